import { expect } from 'chai';
import { dockerParts } from '../../../lib/engine/docker/docker-engine.js';
import { ownOwner } from '../../../lib/files/process-owner.js';
import { parseReference } from '../../../lib/image/reference.js';
import { relayName } from '../../../lib/relay/relay-name.js';
import { sweepLeftovers } from '../../../lib/routes/relay/leftovers.js';
import { seededImage, startRegistryDouble } from '../../../lib/testing/index.js';
import { closeHeartRigs, openHeartRig } from '../../failover/support/heart-rig.js';
import { failureOf } from '../../support/failure-of.js';
import { createContainerFrom, engineKinds, namesIn } from '../load/support/load-rig.js';
import { openPull } from '../support/other-client.js';
import { type OwnerChild, startOwnerChild } from './support/owner-child.js';
import { openRelayRouteRig, type RelayRouteRig } from './support/relay-route-rig.js';

/** Where the dead process's relay was. */
const address = '127.0.0.1:40001';

for (const kind of Object.values(engineKinds)) {
  describe(`what dead processes left in ${kind.title}`, function () {
    this.timeout(60_000);
    kind.require();
    let rig: RelayRouteRig;
    let alive: OwnerChild;
    let dead: OwnerChild;
    before(async () => {
      [rig, alive, dead] = await Promise.all([
        kind.start().then(openRelayRouteRig),
        startOwnerChild(),
        startOwnerChild(),
      ]);
      await dead.kill();
    });
    after(async () => {
      await alive?.kill();
      await rig?.[Symbol.asyncDispose]();
    });
    afterEach(async () => {
      await closeHeartRigs();
      await rig.clear();
    });

    const sweep = (signal: AbortSignal = new AbortController().signal): Promise<void> =>
      sweepLeftovers(dockerParts(rig.engine).daemon, signal);

    /** Brings an image, which then has no name but these. */
    async function leave(seed: string, ...names: readonly string[]): Promise<string> {
      const image = seededImage({ bytes: 30_000, seed: `left ${seed}` });
      const heart = await openHeartRig({ image, registries: [{ image }] });
      const pull = await rig.start(heart.openPull(), { reference: 'registry.example/first:1' });
      const { imageId, reference } = await pull.whole();
      for (const name of names) {
        const [repo = '', tag = ''] = name.split(/:(?=[^:/]*$)/);
        await rig.docker.getImage(reference).tag({ repo, tag });
      }
      await rig.docker.getImage(reference).remove();
      return imageId;
    }

    const nameBy = (owner: string, reference: string): string => {
      const { repository, tag } = relayName(parseReference(reference), owner, address);
      return `${address}/${repository}:${tag}`;
    };
    const shown = async (): Promise<readonly string[]> =>
      (await namesIn(rig.docker)).map((name) => name.replace(/^docker\.io\/(?:library\/)?/, ''));
    const idOf = async (name: string): Promise<string> => (await rig.docker.getImage(name).inspect()).Id;

    it('gets its own name when it had none yet', async () => {
      await leave('nameless', nameBy(dead.owner, 'quay.io/team/app:1'), nameBy(dead.owner, 'redis:3'));
      await sweep();
      expect(await shown()).to.have.members(['quay.io/team/app:1', 'redis:3']);
      await createContainerFrom(rig.docker, 'quay.io/team/app:1');
    });

    it('only loses the name of the relay where it has its own one', async () => {
      const id = await leave('named', 'quay.io/team/app:1', nameBy(dead.owner, 'quay.io/team/app:1'));
      await sweep();
      expect(await shown()).to.deep.equal(['quay.io/team/app:1']);
      expect(await idOf('quay.io/team/app:1')).to.equal(id);
    });

    it('goes when its name belongs to another image by now', async () => {
      const newer = await leave('newer', 'quay.io/team/app:1');
      await leave('older', nameBy(dead.owner, 'quay.io/team/app:1'));
      await sweep();
      expect(await shown()).to.deep.equal(['quay.io/team/app:1']);
      expect(await idOf('quay.io/team/app:1')).to.equal(newer);
    });

    it('goes when its own name was too long to be told', async () => {
      await leave('long', nameBy(dead.owner, `quay.io/${'long/'.repeat(40)}app:1`));
      await sweep();
      expect(await shown()).to.deep.equal([]);
    });

    it('goes when it has no tag yet', async () => {
      const image = seededImage({ bytes: 30_000, seed: 'left by digest' });
      const { repository } = relayName(parseReference('quay.io/team/app:1'), dead.owner, address);
      await using registry = await startRegistryDouble({ images: { [`${repository}:1`]: image }, strict: false });
      const response = await openPull(
        rig.real,
        `${registry.host}/${repository}@${image.digest}`,
        AbortSignal.timeout(20_000),
      );
      await response.resume().toArray();
      expect((await rig.names()).join()).to.include(`${repository}@${image.digest}`);
      await sweep();
      // Podman could take it for another image; and there a pull of ours never leaves such a name.
      const left = rig.real.store === 'podman' ? 1 : 0;
      expect(await rig.docker.listImages({ all: true })).to.have.length(left);
    });

    it('is not what a process that lives, this one, or one of which nothing is known pulls just now', async () => {
      const names = [
        nameBy(alive.owner, 'quay.io/team/app:1'),
        nameBy(ownOwner(), 'quay.io/team/app:2'),
        nameBy('123-456-0123456789ab-789', 'quay.io/team/app:3'),
        nameBy('123-0-0123456789ab-0', 'quay.io/team/app:4'),
      ];
      await leave('in use', ...names);
      await sweep();
      expect(await shown()).to.have.members(names);
    });

    it("is none of a person's own images, however they are called", async () => {
      const names = [
        '127.0.0.1:5001/x:1',
        '127.0.0.1:5001/team/pull-failover:1',
        '127.0.0.1:5001/pull-failover/x:1',
        `quay.io/pull-failover/${dead.owner}/quay.io/app:1`,
        `127.0.0.1:5001/pull-failover/${dead.owner}/app:1`,
      ];
      await leave('of a person', ...names);
      await sweep();
      expect(await shown()).to.have.members(names);
    });

    it('is swept by several at once without harm', async () => {
      await leave('by several', ...[1, 2, 3].map((tag) => nameBy(dead.owner, `quay.io/team/app:${tag}`)));
      await Promise.all([sweep(), sweep(), sweep()]);
      expect(await shown()).to.have.members(['quay.io/team/app:1', 'quay.io/team/app:2', 'quay.io/team/app:3']);
    });

    it('stays when the search is given up', async () => {
      const name = nameBy(dead.owner, 'quay.io/team/app:1');
      await leave('given up', name);
      const reason = new Error('given up');
      expect(await failureOf(sweep(AbortSignal.abort(reason)))).to.equal(reason);
      expect(await shown()).to.deep.equal([name]);
    });
  });
}
