import { expect } from 'chai';
import { isPullExhaustedError } from '../../../lib/errors/pull-exhausted-error.js';
import { parseCredentials } from '../../../lib/registries/credential-source.js';
import type { CredentialSource } from '../../../lib/registries/credentials.js';
import { type Fault, layers, metadata, seededImage, type TestImage } from '../../../lib/testing/index.js';
import { closeHeartRigs } from '../../failover/support/heart-rig.js';
import { registryUser, requireDockerRegistry } from '../../support/docker-registry.js';
import { failureOf } from '../../support/failure-of.js';
import { until } from '../../support/until.js';
import { engineKinds } from '../load/support/load-rig.js';
import { openPull } from '../support/other-client.js';
import {
  configuredPodman,
  type DirectPullOptions,
  type DirectRig,
  openDirectRig,
  type StartedDirectPull,
} from './support/direct-rig.js';

const credentialsOf = (username: string, password: string): CredentialSource =>
  parseCredentials({ username, password }, 'credentials', 'registry');

let seeds = 0;
/** Nothing of it is in any engine yet. */
function newImage(): TestImage {
  seeds += 1;
  return seededImage({ layers: 3, bytes: 4_000_000, seed: `direct ${seeds}` });
}

for (const kind of [engineKinds.installed, engineKinds.nextContainerd, engineKinds.podman, configuredPodman]) {
  describe(`the route direct into ${kind.title}`, function () {
    this.timeout(60_000);
    requireDockerRegistry();
    kind.require();
    let rig: DirectRig;
    before(async () => {
      rig = await openDirectRig(await kind.start(), ['htpasswd', 'none']);
    });
    after(() => rig?.[Symbol.asyncDispose]());
    afterEach(async () => {
      await closeHeartRigs();
      await rig.clear();
    });

    const first = credentialsOf(registryUser.name, registryUser.password);

    async function start(
      image: TestImage,
      faults: readonly Fault[],
      options: DirectPullOptions = {},
    ): Promise<StartedDirectPull> {
      await rig.setFaults(faults);
      await rig.push(image);
      return rig.start(image, { credentials: [first, null], ...options });
    }

    const blobsAskedOf = (index: number): number =>
      rig.proxies[index]?.requests.filter(({ kind: what, method }) => what === 'blob' && method === 'GET').length ?? 0;

    /** The engine has it under its own name, and nothing tells where it came from. */
    async function expectThere(image: TestImage, reference: string): Promise<void> {
      const inspected = await rig.real.docker.getImage(reference).inspect();
      expect(inspected.RootFS.Layers).to.have.length(image.layers.length);
      const names = await rig.names();
      expect(names.filter((name) => name.includes('127.0.0.1'))).to.deep.equal([]);
      const container = await rig.real.docker.createContainer({ Image: reference, Cmd: ['/none'] });
      await container.remove({ force: true });
    }

    for (const by of ['digest', 'tag'] as const) {
      it(`has it pull by ${by} from the first registry, and give the image its own name`, async () => {
        const image = newImage();
        const pull = await start(image, [], { by });
        const delivered = await pull.whole();
        expect(delivered).to.include({ reference: 'registry.example/team/app:1', route: 'direct' });
        if (by === 'digest' || rig.real.store !== 'podman') expect(delivered.digest).to.equal(image.digest);
        expect(delivered.resolvedBy).to.equal(by === 'tag' ? (pull.pull.sources.candidates[0]?.registry ?? '') : null);
        await expectThere(image, delivered.reference);
        expect(pull.pull.attempts).to.deep.equal([]);
        expect(rig.proxies[1]?.requests).to.deep.equal([]);
        if (by === 'digest') {
          expect([...pull.told].toSorted()).to.deep.equal(image.blobs.map(({ digest }) => digest).toSorted());
        }
      });
    }

    it('goes on at the next registry when layers stop at 30 %', async () => {
      const image = newImage();
      const stalls = image.layers.map(({ digest }) => layers.stall({ afterShare: 0.3, object: digest }));
      const pull = await start(image, stalls);
      const delivered = await pull.whole();
      await expectThere(image, delivered.reference);
      expect(delivered.route).to.equal('direct');
      expect(pull.pull.attempts).to.have.length(1);
      // Podman may have been unpacking, for all it says.
      const verdict = rig.real.store === 'podman' ? 'next' : 'ill';
      expect(pull.pull.attempts[0]).to.match(new RegExp(`^A registry-storage/(stalled|first-byte-late) ${verdict}$`));
      expect(pull.pull.of('failedOver').map(([{ phase }]) => phase)).to.deep.equal(['layers']);
      expect(blobsAskedOf(1)).to.be.greaterThan(0);
    });

    // It differs from the other Podman only in what it says of layers.
    if (kind === configuredPodman) return;

    it('keeps an image that was asked for by digest under a tag made of it', async () => {
      const image = newImage();
      const pull = await start(image, [], { reference: `registry.example/team/app@${image.digest}` });
      const { reference } = await pull.whole();
      expect(reference).to.equal(`registry.example/team/app:digest-sha256-${image.digest.slice('sha256:'.length)}`);
      await expectThere(image, reference);
    });

    it('goes on at the next registry when the manifest does not come', async () => {
      const image = newImage();
      const pull = await start(image, [metadata.noHeaders()]);
      await expectThere(image, (await pull.whole()).reference);
      expect(pull.pull.attempts).to.deep.equal(['A registry-api/metadata-late ill']);
      expect(pull.pull.of('failedOver')).to.have.length(1);
      expect(pull.pull.ill).to.deep.equal(['A metadata']);
      expect(blobsAskedOf(0)).to.equal(0);
    });

    it('goes on at the next registry when the config does not come, and the first is no worse at manifests for it', async () => {
      const image = newImage();
      const pull = await start(image, [layers.noHeaders({ object: image.config.digest })]);
      // As after the heart has asked it for the manifest, by which Podman's silence can be told apart.
      const [candidate] = pull.pull.sources.candidates;
      if (candidate !== undefined) pull.pull.sources.delivered(candidate, 'metadata', image.digest, 1);
      await expectThere(image, (await pull.whole()).reference);
      expect(pull.pull.attempts[0]).to.match(/^A registry-storage\/(stalled|first-byte-late) ill$/);
      expect(pull.pull.ill).to.deep.equal(['A layers']);
    });

    it('goes on at the next registry when connections are reset in the middle of layers', async () => {
      const image = newImage();
      const resets = image.layers.map(({ digest }) => layers.reset({ afterShare: 0.3, object: digest }));
      const pull = await start(image, resets);
      await expectThere(image, (await pull.whole()).reference);
      expect(pull.pull.attempts).to.have.length(1);
      expect(pull.pull.attempts[0]).to.match(/^A registry-storage\//);
    });

    it('goes on at the next registry when the first does not have it, and blames nobody', async () => {
      const image = newImage();
      const pull = await start(image, [metadata.missing()]);
      await expectThere(image, (await pull.whole()).reference);
      expect(pull.pull.attempts).to.deep.equal(['A not-replicated/http-404 next']);
      expect(pull.pull.ill).to.deep.equal([]);
      expect(pull.pull.of('replicaMissing')).to.have.length(1);
    });

    it('shows each registry its own credentials alone', async () => {
      const image = newImage();
      const pull = await start(image, [metadata.status(503)]);
      await expectThere(image, (await pull.whole()).reference);
      const authorization = (index: number): ReadonlySet<string> =>
        new Set(rig.proxies[index]?.requests.map((request) => request.authorization));
      expect([...authorization(0)]).to.include('basic');
      expect([...authorization(1)]).to.deep.equal(rig.real.store === 'podman' ? ['none'] : ['none']);
    });

    it('ends with every attempt when no registry has it', async () => {
      const image = newImage();
      await rig.setFaults([metadata.missing()], [metadata.missing()]);
      await rig.push(image);
      const pull = await rig.start(image, { credentials: [first, null] });
      const failure = await failureOf(pull.whole());
      if (!isPullExhaustedError(failure)) throw failure;
      expect(pull.pull.attempts).to.deep.equal(['A not-replicated/http-404 next', 'B not-replicated/http-404 next']);
      expect(await rig.names()).to.deep.equal([]);
    });

    it('rethrows the reason of an abort at once, in each phase, and leaves nothing', async () => {
      for (const fault of [metadata.noHeaders(), layers.stall({ afterShare: 0.3 })]) {
        const image = newImage();
        const caller = new AbortController();
        const pull = await start(image, [fault], { signal: caller.signal });
        const ended = failureOf(pull.whole());
        await until(() => (rig.proxies[0]?.requests ?? []).some(({ faults }) => faults.length > 0), 'it hangs');
        const reason = new Error('enough');
        const abortedAtMs = performance.now();
        caller.abort(reason);
        expect(await ended).to.equal(reason);
        expect(performance.now() - abortedAtMs).to.be.lessThan(1_000);
        await rig.setFaults();
        expect(await rig.names()).to.deep.equal([]);
      }
    });

    it('leaves no name of a registry when it is aborted while the image gets its own', async () => {
      for (let times = 0; times < 6; times += 1) {
        const image = newImage();
        const caller = new AbortController();
        const pull = await start(image, [], { signal: caller.signal });
        await pull.metadata();
        await pull.layers();
        const ended = pull.extract().catch((error: unknown) => error);
        await new Promise((resolve) => setTimeout(resolve, times * 12));
        caller.abort(new Error('enough'));
        await ended;
        await until(
          // Podman cannot list images while one goes away.
          async () => !(await rig.names().catch(() => ['127.0.0.1'])).some((name) => name.startsWith('127.0.0.1')),
          'the name of the registry is gone',
        );
        await rig.clear();
      }
    });

    it('takes no name away that was there before', async () => {
      const image = newImage();
      await start(image, []);
      const host = rig.proxies[1]?.host ?? '';
      // The host's own, of the very image, in the repository of the second registry.
      const stream = await rig.real.docker.pull(`${host}/team/app:1`, { authconfig: undefined });
      await new Promise((resolve) => stream.on('end', resolve).resume());
      const before = (await rig.names()).filter((name) => name.startsWith(host));
      if (rig.real.store === 'podman' && before.length === 0) return;
      expect(before).to.not.deep.equal([]);
      const pull = await rig.start(image, { credentials: [credentialsOf('nobody', 'wrong'), null] });
      await pull.whole();
      expect((await rig.names()).filter((name) => name.startsWith(host))).to.include.members(
        before.filter((name) => !name.includes('@') || rig.real.store !== 'podman'),
      );
      expect((await rig.names()).join(' ')).to.include('registry.example/team/app:1');
    });

    it('leaves what another client has pulled meanwhile under the same name, when it is ended itself', async () => {
      const image = newImage();
      await rig.setFaults([], [metadata.noHeaders({ times: 1 })]);
      await rig.push(image);
      const name = `${rig.proxies[1]?.host}/team/app:1`;
      const caller = new AbortController();
      const pull = await rig.start(image, {
        by: 'tag',
        reference: name,
        signal: caller.signal,
        credentials: [credentialsOf('nobody', 'wrong'), null],
      });
      const ended = failureOf(pull.whole());
      await until(() => (rig.proxies[1]?.requests ?? []).some(({ faults }) => faults.length > 0), 'it hangs');
      const other = await openPull(rig.real, name, new AbortController().signal);
      await new Promise((resolve) => other.on('end', resolve).resume());
      expect(await rig.names()).to.include(name);
      const reason = new Error('enough');
      caller.abort(reason);
      expect(await ended).to.equal(reason);
      // Whatever is done behind the caller's back would be over by then.
      await new Promise((resolve) => setTimeout(resolve, 500));
      expect(await rig.names()).to.include(name);
    });
  });
}
