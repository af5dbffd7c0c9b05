import { expect } from 'chai';
import { isEngineError } from '../../../lib/errors/engine-error.js';
import { isHostFaultError } from '../../../lib/errors/host-fault-error.js';
import { layers, seededImage } from '../../../lib/testing/index.js';
import { closeHeartRigs, type HeartPull, type HeartRig, openHeartRig } from '../../failover/support/heart-rig.js';
import { failureOf } from '../../support/failure-of.js';
import { until } from '../../support/until.js';
import { createContainerFrom, engineKinds } from '../load/support/load-rig.js';
import { zstdImage } from '../support/zstd-image.js';
import { expectNoTrace, openRelayRouteRig, type RelayRouteRig } from './support/relay-route-rig.js';

const smallDiskBytes = 30_000_000;

for (const kind of [engineKinds.installed, engineKinds.nextContainerd, engineKinds.podman]) {
  describe(`an engine that fails while it pulls through the relay: ${kind.title}`, function () {
    this.timeout(90_000);
    kind.require();
    let rig: RelayRouteRig;
    before(async () => {
      rig = await openRelayRouteRig(await kind.start());
    });
    after(async () => {
      await rig?.[Symbol.asyncDispose]();
    });
    afterEach(async () => {
      await closeHeartRigs();
      await until(async () => (await rig.names()).every((name) => !name.includes('pull-failover')), 'no name is left');
      await rig.clear();
    });

    const expectNobodyBlamed = (pull: HeartPull): void => {
      expect(pull.attempts).to.deep.equal([]);
      expect(pull.ill).to.deep.equal([]);
    };

    /** A registry that takes some seconds for the last of its layers. */
    async function openSlow(seed: string): Promise<HeartRig> {
      const image = seededImage({ bytes: [200_000, 1_000_000], seed: `${seed} ${rig.real.store}` });
      return openHeartRig({
        image,
        registries: [[layers.drip({ bytesPerSecond: 400_000, object: image.layers[1]!.digest })]],
      });
    }

    const untilHalfSent = (heart: HeartRig): Promise<void> =>
      until(() =>
        heart.double('A').requests.some(({ kind: what, bytesSent }) => what === 'blob' && bytesSent > 400_000),
      );

    it('gets the image when it is back, where it was killed and started again in the middle', async () => {
      const heart = await openSlow('killed');
      const caller = heart.openPull();
      const pull = await rig.start(caller);
      const whole = pull.whole();
      await untilHalfSent(heart);
      await rig.real.kill();
      await rig.real.restart();
      const { reference, route } = await whole;
      expect(route).to.equal('relay');
      expect(pull.changes).to.deep.equal([]);
      expectNobodyBlamed(caller);
      await createContainerFrom(rig.docker, reference);
    });

    it('is waited for as long as its caller wants, and not a moment longer', async () => {
      const heart = await openSlow('gone');
      const caller = heart.openPull();
      const failing = failureOf((await rig.start(caller)).whole());
      await untilHalfSent(heart);
      await rig.real.kill();
      await new Promise((resolve) => setTimeout(resolve, 500));
      const reason = new Error('the caller has waited long enough');
      const abortedMs = performance.now();
      caller.abort(reason);
      expect(await failing).to.equal(reason);
      expect(performance.now() - abortedMs).to.be.lessThan(1_500);
      await rig.real.restart();
    });

    it('is told to be at fault when it cannot unpack what is right', async () => {
      // So small that it is no archive.
      const image = seededImage({ bytes: [1_000], seed: `no archive ${rig.real.store}` });
      const heart = await openHeartRig({ image, registries: [[], []] });
      const caller = heart.openPull();
      const pull = await rig.start(caller);
      const failure = await failureOf(pull.whole());
      expect(isEngineError(failure), String(failure)).to.equal(true);
      expect(pull.changes).to.deep.equal([]);
      expectNobodyBlamed(caller);
    });

    if (kind === engineKinds.installed) {
      it('is told to be at fault at once when it does not know how layers are compressed', async () => {
        const heart = await openHeartRig({ image: zstdImage('relay zstd'), registries: [[], []] });
        const caller = heart.openPull();
        const pull = await rig.start(caller);
        const startedMs = performance.now();
        const failure = await failureOf(pull.whole());
        // Nobody has waited for anything: not for the daemon, and not for another try.
        expect(performance.now() - startedMs).to.be.lessThan(2_000);
        expect(isEngineError(failure), String(failure)).to.equal(true);
        expect(String(failure)).to.match(/zstd/);
        expect(pull.changes).to.deep.equal([]);
        expectNobodyBlamed(caller);
        expect(heart.double('B').requests).to.deep.equal([]);
        await expectNoTrace(rig);
      });
    }

    it('is told to be at fault when it has everything and gets nowhere', async () => {
      // It takes a while to unpack, so that there is time to suspend it.
      const image = seededImage({ bytes: [60_000_000], seed: `hangs ${rig.real.store}` });
      const heart = await openHeartRig({ image, registries: [[]] });
      const caller = heart.openPull();
      const pull = await rig.start(caller, { extractStallMs: 1_000 });
      await pull.layers();
      await rig.real.suspend();
      const startedMs = performance.now();
      try {
        const failure = await failureOf(pull.extract());
        expect(isHostFaultError(failure) && failure.reason.code, String(failure)).to.equal('extract-late');
        expect(performance.now() - startedMs).to.be.lessThan(6_000);
        expectNobodyBlamed(caller);
      } finally {
        await rig.real.resume();
      }
    });

    it('does not hold its caller back when it hangs', async () => {
      const heart = await openSlow('hangs in layers');
      const caller = heart.openPull();
      const failing = failureOf((await rig.start(caller)).whole());
      await untilHalfSent(heart);
      await rig.real.suspend();
      try {
        const reason = new Error('the caller does not wait for a daemon');
        const abortedMs = performance.now();
        caller.abort(reason);
        expect(await failing).to.equal(reason);
        expect(performance.now() - abortedMs).to.be.lessThan(2_500);
      } finally {
        await rig.real.resume();
      }
    });
  });

  describe(`an engine with a full disk that pulls through the relay: ${kind.title}`, function () {
    this.timeout(90_000);
    kind.require();
    afterEach(closeHeartRigs);

    it('is told so at once, and no registry is blamed', async () => {
      await using rig = await openRelayRouteRig(await kind.start({ dataRootBytes: smallDiskBytes }));
      const image = seededImage({ bytes: [smallDiskBytes], seed: 'relay full disk' });
      const heart = await openHeartRig({ image, registries: [[], []] });
      const caller = heart.openPull();
      const pull = await rig.start(caller);
      const failure = await failureOf(pull.whole());
      expect(isHostFaultError(failure) && failure.reason.code, String(failure)).to.equal('disk-full');
      expect(pull.changes).to.deep.equal([]);
      expect(caller.attempts).to.deep.equal([]);
      await expectNoTrace(rig);
    });
  });
}
