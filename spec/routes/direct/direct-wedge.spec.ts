import { expect } from 'chai';
import { isHostFaultError } from '../../../lib/errors/host-fault-error.js';
import { isPullExhaustedError } from '../../../lib/errors/pull-exhausted-error.js';
import { layers, metadata, seededImage, type TestImage } from '../../../lib/testing/index.js';
import { closeHeartRigs } from '../../failover/support/heart-rig.js';
import { requireDockerRegistry } from '../../support/docker-registry.js';
import { failureOf } from '../../support/failure-of.js';
import { until } from '../../support/until.js';
import { engineKinds } from '../load/support/load-rig.js';
import { type DirectRig, openDirectRig } from './support/direct-rig.js';

let seeds = 0;
function newImage(layerCount = 3): TestImage {
  seeds += 1;
  return seededImage({ layers: layerCount, bytes: 2_000_000, seed: `direct wedge ${seeds}` });
}

const kinds = [engineKinds.installed, engineKinds.nextContainerd, engineKinds.podman];

for (const kind of kinds) {
  const isGraph = kind === engineKinds.installed;
  const isContainerd = kind === engineKinds.nextContainerd;
  const isDocker = kind !== engineKinds.podman;

  describe(`the route direct, when ${kind.title} cannot go on by itself`, function () {
    this.timeout(90_000);
    requireDockerRegistry();
    kind.require();
    let rig: DirectRig;
    beforeEach(async () => {
      rig = await openDirectRig(await kind.start());
    });
    afterEach(async () => {
      await closeHeartRigs();
      await rig[Symbol.asyncDispose]();
    });

    const noAnswer = (image: TestImage) => image.layers.map(({ digest }) => layers.noHeaders({ object: digest }));

    if (isGraph) {
      it('sends an archive when it keeps waiting for layers whose answer never began', async () => {
        const image = newImage();
        await rig.push(image);
        await rig.setFaults(noAnswer(image));
        const pull = await rig.start(image, { escape: true });
        const { route, reference } = await pull.whole();
        expect(route).to.equal('load');
        expect(reference).to.equal('registry.example/team/app:1');
        expect(pull.changes).to.have.length(1);
        expect(pull.changes[0]).to.deep.include({ from: 'direct', to: 'load' });
        expect(pull.changes[0]?.reason).to.include({ cause: 'engine', code: 'engine-wedged' });
        expect(pull.pull.attempts[0]).to.equal('A registry-storage/first-byte-late next');
        const inspected = await rig.real.docker.getImage(reference).inspect();
        expect(inspected.RootFS.Layers).to.have.length(image.layers.length);
        expect((await rig.names()).filter((name) => name.includes('127.0.0.1'))).to.deep.equal([]);
      });

      it('ends with what to do when no archive can be made, and blames no registry', async () => {
        const image = newImage();
        await rig.push(image);
        await rig.setFaults(noAnswer(image));
        const pull = await rig.start(image);
        const failure = await failureOf(pull.whole());
        if (!isHostFaultError(failure)) throw failure;
        expect(failure.reason).to.include({ cause: 'engine', code: 'engine-wedged' });
        expect(failure.message).to.include('restart it');
        expect(pull.pull.attempts).to.deep.equal(['A registry-storage/first-byte-late next']);
        expect(pull.pull.ill).to.deep.equal([]);
        expect(await rig.names()).to.deep.equal([]);
        // The registry's connections end, and the daemon is as before.
        await rig.setFaults();
        expect((await (await rig.start(image)).whole()).route).to.equal('direct');
      });
    } else {
      it('goes on at the next registry when no answer of a layer begins, and then knows whose fault it was', async () => {
        const image = newImage();
        await rig.push(image);
        await rig.setFaults(noAnswer(image));
        const pull = await rig.start(image);
        expect((await pull.whole()).route).to.equal('direct');
        expect(pull.pull.attempts).to.have.length(1);
        expect(pull.pull.attempts[0]).to.match(/^A registry-(storage\/first-byte|api\/metadata)-late (next|ill)$/);
        // Podman shares nothing between two pulls, but may have been unpacking, for all it says.
        expect(pull.pull.ill).to.deep.equal(isContainerd ? ['A layers'] : []);
      });
    }

    if (isDocker) {
      it('sends an archive when other pulls, which do not end, hold its layers', async () => {
        const image = newImage();
        await rig.push(image);
        await rig.setFaults(noAnswer(image));
        const [first, second] = rig.proxies;
        // Another client of the daemon, at the registry that stalls; ours asks the other one first.
        const other = new AbortController();
        const stream = rig.real.docker
          .pull(`${first?.host ?? ''}/team/app:1`, { abortSignal: other.signal })
          .then((answer) => answer.on('error', () => undefined).resume())
          .catch(() => undefined);
        await until(() => (first?.requests ?? []).some(({ faults }) => faults.length > 0), 'it hangs');
        const pull = await rig.start(image, { escape: true });
        pull.pull.sources.sendLast(pull.pull.sources.order('layers')[0] ?? fail(), 'layers');
        const { route } = await pull.whole();
        expect(route).to.equal('load');
        expect(pull.pull.ill).to.deep.equal([]);
        expect(second?.requests.filter(({ kind: what }) => what === 'blob').length).to.be.greaterThan(0);
        other.abort();
        await stream;
      });
    }

    if (isGraph) {
      it('sends an archive when other pulls, which do not end, hold all download slots', async () => {
        const others = newImage();
        await rig.push(others);
        await rig.setFaults(noAnswer(others));
        const [first] = rig.proxies;
        const other = new AbortController();
        const stream = rig.real.docker
          .pull(`${first?.host ?? ''}/team/app:1`, { abortSignal: other.signal })
          .then((answer) => answer.on('error', () => undefined).resume())
          .catch(() => undefined);
        await until(() => (first?.requests ?? []).filter(({ faults }) => faults.length > 0).length === 3, 'it hangs');
        const image = newImage();
        await rig.push(image);
        const pull = await rig.start(image, { escape: true });
        expect((await pull.whole()).route).to.equal('load');
        expect(pull.changes.map(({ reason }) => reason.code)).to.deep.equal(['engine-wedged']);
        expect(pull.changes[0]?.reason.message).to.include('download slots');
        expect(pull.pull.attempts).to.deep.equal([]);
        other.abort();
        await stream;
      });

      it('asks the next registry when the archive that would help cannot be made', async () => {
        const image = newImage();
        await rig.push(image);
        await rig.setFaults(noAnswer(image), [metadata.missing()]);
        const pull = await rig.start(image, { escape: 'unreached' });
        const failure = await failureOf(pull.whole());
        if (!isPullExhaustedError(failure)) throw failure;
        expect(pull.changes).to.deep.equal([]);
        expect(pull.pull.attempts).to.deep.equal([
          'A registry-storage/first-byte-late next',
          'B not-replicated/http-404 next',
        ]);
      });
    }

    it('does not take a lying registry for a broken engine', async () => {
      const image = newImage();
      const [layer] = image.layers;
      await rig.push(image);
      await rig.setFaults([layers.wrongBytes({ object: layer?.digest ?? '' })]);
      const pull = await rig.start(image);
      const { route } = await pull.whole();
      expect(route).to.equal('direct');
      expect(pull.pull.attempts[0]).to.match(/^A content\/digest-mismatch /);
      expect(pull.pull.ill).to.deep.equal(['A layers']);
    });

    it('waits for a daemon that went away in the middle, once', async () => {
      const image = newImage();
      await rig.push(image);
      const [layer] = image.layers;
      await rig.setFaults([layers.stall({ afterShare: 0.3, object: layer?.digest ?? '', times: 1 })]);
      const pull = await rig.start(image, { limits: { stallMs: 30_000, patientStallMs: 30_000, metadataMs: 30_000 } });
      const delivered = pull.whole();
      await until(() => (rig.proxies[0]?.requests ?? []).some(({ faults }) => faults.length > 0), 'it hangs');
      await rig.real.kill();
      await rig.real.restart();
      expect((await delivered).route).to.equal('direct');
      expect(pull.pull.attempts).to.deep.equal([]);
    });

    // Podman obeys it by itself, for minutes.
    if (isDocker) {
      it('leaves a registry alone that asks for it, and goes on', async () => {
        const image = newImage();
        await rig.push(image);
        await rig.setFaults([metadata.status(429)]);
        const pull = await rig.start(image);
        expect((await pull.whole()).route).to.equal('direct');
        expect(pull.pull.attempts).to.deep.equal(['A rate-limit/http-429 limited']);
      });
    }
  });

  describe(`the route direct, when the disk of ${kind.title} is full`, function () {
    this.timeout(90_000);
    requireDockerRegistry();
    kind.require();

    it('is a fault of the host at once, and no registry is blamed', async () => {
      await using rig = await openDirectRig(await kind.start({ dataRootBytes: 8_000_000 }));
      const image = seededImage({ layers: 2, bytes: 9_000_000, seed: 'direct full disk' });
      await rig.push(image);
      const pull = await rig.start(image, { escape: true });
      const failure = await failureOf(pull.whole());
      await closeHeartRigs();
      if (!isHostFaultError(failure)) throw failure;
      expect(failure.reason).to.include({ cause: 'host-disk', code: 'disk-full' });
      expect(pull.pull.attempts).to.deep.equal([]);
      expect(pull.changes).to.deep.equal([]);
    });
  });
}

function fail(): never {
  throw new Error('the rig has two registries');
}
