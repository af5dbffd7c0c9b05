import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { expect } from 'chai';
import { replaceTimeSource } from '../../../lib/clock/time.js';
import { dockerEngine, dockerParts } from '../../../lib/engine/docker/docker-engine.js';
import type { DockerLike } from '../../../lib/engine/docker/docker-like.js';
import { ownOwner } from '../../../lib/files/process-owner.js';
import { parseReference } from '../../../lib/image/reference.js';
import type { Relay } from '../../../lib/relay/relay.js';
import { relayName } from '../../../lib/relay/relay-name.js';
import { startRelay } from '../../../lib/relay/start-relay.js';
import { loadName } from '../../../lib/routes/load/load-names.js';
import { sweepLeftovers } from '../../../lib/routes/relay/leftovers.js';
import { isRelayGone } from '../../../lib/routes/relay/relay-gone.js';
import { handshakeLimits } from '../../../lib/routes/relay/relay-handshake.js';
import { seededImage, startRegistryDouble } from '../../../lib/testing/index.js';
import { closeHeartRigs, openHeartRig } from '../../failover/support/heart-rig.js';
import { failureOf } from '../../support/failure-of.js';
import { until } from '../../support/until.js';
import { createContainerFrom, engineKinds, namesIn } from '../load/support/load-rig.js';
import { chooseFor } from '../support/choose-for.js';
import { openPull } from '../support/other-client.js';
import { type OwnerChild, startOwnerChild } from './support/owner-child.js';
import { openRelayRouteRig, type RelayRouteRig } from './support/relay-route-rig.js';

/** Where the dead process's relay was. */
const address = '127.0.0.1:40001';

/** Processes that cannot be looked for from here. */
const strangers: Readonly<Record<'ofAnotherBoot' | 'inAContainer' | 'withoutProc', string>> = {
  ofAnotherBoot: '123-456-0123456789ab-789',
  inAContainer: ownOwner().replace(/\d+$/, '4026539999'),
  withoutProc: '123-0-0123456789ab-0',
};

const never: AbortSignal = new AbortController().signal;

function nameBy(owner: string, reference: string, at: string = address): string {
  const { repository, tag } = relayName(parseReference(reference), owner, at);
  return `${at}/${repository}:${tag}`;
}

async function openRelay(): Promise<Relay> {
  return startRelay({ listen: { host: '127.0.0.1', port: 0 }, advertise: null });
}

/** Takes connections, and never says a word. */
async function startSilence(): Promise<{
  readonly address: string;
  readonly isAsked: () => boolean;
  readonly close: () => void;
}> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    socket.on('error', () => {});
    sockets.push(socket);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    isAsked: () => sockets.length > 0,
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

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

    const sweep = (signal: AbortSignal = never) => sweepLeftovers(dockerParts(rig.engine).daemon, signal);

    /** As a host with this relay does, or one without. */
    async function sweepThrough(own: Relay | null): Promise<boolean> {
      const { daemon } = dockerParts(rig.engine);
      const { inDoubt } = await sweepLeftovers(daemon, never, (at) =>
        isRelayGone({ daemon, address: at, own, signal: never }),
      );
      return inDoubt;
    }

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
        nameBy(strangers.ofAnotherBoot, 'quay.io/team/app:3'),
        nameBy(strangers.withoutProc, 'quay.io/team/app:4'),
      ];
      await leave('in use', ...names);
      expect(await sweep()).to.deep.equal({ inDoubt: true });
      expect(await shown()).to.have.members(names);
    });

    for (const [who, owner] of Object.entries(strangers)) {
      it(`is that of a process nobody can look for (${who}) when no relay listens for it any more`, async () => {
        const relay = await openRelay();
        const name = nameBy(owner, 'quay.io/team/app:1', relay.address);
        await leave(`by a stranger ${who}`, name);
        expect(await sweepThrough(rig.relay), 'in doubt').to.equal(true);
        expect(await shown(), 'while its relay listens').to.deep.equal([name]);
        await relay.close();
        expect(await sweepThrough(rig.relay), 'in doubt').to.equal(false);
        expect(await shown()).to.deep.equal(['quay.io/team/app:1']);
        await createContainerFrom(rig.docker, 'quay.io/team/app:1');
      });
    }

    it('is that of a host in a container which was made anew, and has the published port again', async () => {
      const name = nameBy(strangers.inAContainer, 'quay.io/team/app:1', rig.relay.address);
      await leave('by its forerunner', name);
      await sweepThrough(null);
      expect(await shown(), 'to a host with another relay').to.deep.equal([name]);
      await sweepThrough(rig.relay);
      expect(await shown()).to.deep.equal(['quay.io/team/app:1']);
    });

    it('stays where a refusal proves nothing: beyond a network, and of a load, which never listens', async () => {
      const { name, tag } = loadName();
      const names = [
        nameBy(strangers.ofAnotherBoot, 'quay.io/team/app:1', '192.0.2.9:40001'),
        nameBy(strangers.ofAnotherBoot, 'quay.io/team/app:1', 'relay.example:40001'),
        `${name.replace(ownOwner(), strangers.ofAnotherBoot)}:${tag}`,
      ];
      await leave('beyond a network', ...names);
      expect(await sweepThrough(rig.relay), 'in doubt').to.equal(true);
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

    describe('to a host that lives for weeks', () => {
      /** Lets time pass for whoever asks the library's clock. */
      let passMs = 0;
      let restore = (): void => {};
      beforeEach(() => {
        passMs = 0;
        restore = replaceTimeSource({ monotonicMs: () => performance.now() + passMs, epochMs: Date.now });
      });
      afterEach(() => restore());

      it('is looked for again, every ten minutes at most', async () => {
        let searches = 0;
        const { modem } = rig.docker;
        const counted: DockerLike = {
          modem: {
            dial: (options, callback) => {
              if (options.path.startsWith('/images/json')) searches += 1;
              modem.dial(options, callback);
            },
          },
        };
        await using engine = dockerEngine(counted);
        const choose = () => chooseFor(engine, async () => rig.relay, never);
        await choose();
        const name = nameBy(dead.owner, 'quay.io/team/app:1');
        await leave('by a neighbour', name);
        passMs = 590_000;
        for (let times = 0; times < 3; times += 1) await choose();
        expect(searches).to.equal(1);
        expect(await shown()).to.deep.equal([name]);
        passMs = 610_000;
        await choose();
        await until(async () => (await shown()).join() === 'quay.io/team/app:1', 'it has its own name');
        await choose();
        expect(searches).to.equal(2);
      });

      it('is not waited for, however long it takes to find out', async () => {
        const silence = await startSilence();
        const name = nameBy(strangers.ofAnotherBoot, 'quay.io/team/app:1', silence.address);
        await leave('by a stranger', name);
        await using engine = dockerEngine(rig.docker);
        const choose = () => chooseFor(engine, async () => rig.relay, never);
        try {
          const startedAtMs = performance.now();
          expect(await choose()).to.include({ route: 'relay' });
          expect(performance.now() - startedAtMs).to.be.below(handshakeLimits.totalMs / 2);
          await until(silence.isAsked);
          expect(await shown()).to.deep.equal([name]);
        } finally {
          silence.close();
        }
        passMs = 610_000;
        await choose();
        await until(async () => (await shown()).join() === 'quay.io/team/app:1', 'it has its own name');
      });
    });
  });
}
