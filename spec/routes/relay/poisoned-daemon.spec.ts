import { expect } from 'chai';
import { type Fault, layers, seededImage, startRegistryDouble, type TestImage } from '../../../lib/testing/index.js';
import { closeHeartRigs, openHeartRig, type RigRegistry } from '../../failover/support/heart-rig.js';
import type { Digest } from '../../../lib/vocabulary/digest.js';
import { failureOf } from '../../support/failure-of.js';
import { until } from '../../support/until.js';
import { createContainerFrom, engineKinds } from '../load/support/load-rig.js';
import { openPull } from '../support/other-client.js';
import { expectNoTrace, openRelayRouteRig, type RelayRouteRig, type StartedPull } from './support/relay-route-rig.js';

/** The first byte of what it sends of this layer is another one; nobody can know before the whole layer is there. */
const liesAbout = (object: Digest): Fault => layers.wrongBytes({ object });

const liesAndStops = (image: TestImage): readonly Fault[] => [
  liesAbout(layerOf(image)),
  layers.stall({ object: layerOf(image), afterShare: 0.7 }),
];

function layerOf({ layers: [layer] }: TestImage): Digest {
  if (layer === undefined) throw new Error('it has layers');
  return layer.digest;
}

for (const [name, kind] of Object.entries(engineKinds)) {
  describe(`a daemon that was given wrong bytes: ${kind.title}`, function () {
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
      await expectNoTrace(rig);
      await rig.clear();
    });

    const bytes = [4_000_000, 60_000];

    async function pullFrom(image: TestImage, registries: readonly RigRegistry[]): Promise<StartedPull> {
      const heart = await openHeartRig({ image, registries });
      return rig.start(heart.openPull());
    }

    /** Nothing is left in the way of the next pull, nor of one into an empty daemon. */
    async function expectHealthy(image: TestImage): Promise<readonly string[]> {
      const codes: string[] = [];
      for (let pulls = 1; pulls <= 2; pulls += 1) {
        const pull = await pullFrom(image, [{}]);
        const { reference } = await pull.whole();
        codes.push(...pull.changes.map(({ reason }) => reason.code));
        await createContainerFrom(rig.docker, reference);
        await rig.clear();
      }
      return codes;
    }

    it('by a registry that another one had to correct, gets the image all the same', async () => {
      const image = seededImage({ bytes, seed: `corrected ${name}` });
      const pull = await pullFrom(image, [{ faults: liesAndStops(image) }, {}]);
      const { reference, route } = await pull.whole();
      expect(route).to.equal('load');
      expect(pull.changes.map(({ reason }) => reason.code)).to.deep.equal(['engine-poisoned']);
      await createContainerFrom(rig.docker, reference);
      await rig.clear();
      expect(await expectHealthy(image)).to.deep.equal([]);
    });

    it('by a registry that lied to the end, gets the image all the same', async () => {
      const image = seededImage({ bytes, seed: `lied ${name}` });
      const pull = await pullFrom(image, [{ faults: [layers.wrongBytes()] }, {}]);
      const { reference } = await pull.whole();
      await createContainerFrom(rig.docker, reference);
      await rig.clear();
      expect(await expectHealthy(image)).to.deep.equal([]);
    });

    it('when its caller gave up meanwhile, gets the image from healthy registries the next time', async () => {
      const image = seededImage({ bytes, seed: `given up ${name}` });
      const heart = await openHeartRig({ image, registries: [{ faults: liesAndStops(image) }] });
      const caller = heart.openPull();
      const { limits } = caller.context;
      const patient = { ...limits, lastCandidate: { firstByteMs: 60_000, stallMs: 60_000 } };
      const pull = await rig.start(caller, { context: { limits: patient } });
      const ended = failureOf(pull.whole());
      await until(
        () =>
          heart
            .double('A')
            .requests.some(({ object, bytesSent }) => object === layerOf(image) && bytesSent > 2_500_000),
        'wrong bytes are on their way',
      );
      const reason = new Error('the caller has given up');
      caller.abort(reason);
      expect(await ended).to.equal(reason);
      const codes = await expectHealthy(image);
      if (rig.real.store !== 'containerd') expect(codes).to.deep.equal([]);
    });

    it("by another client's registry, gets the image from healthy registries", async () => {
      const image = seededImage({ bytes, seed: `poisoned by another ${name}` });
      const registry = await startRegistryDouble({
        images: { 'team/app:1': image },
        faults: liesAndStops(image),
        strict: false,
      });
      const controller = new AbortController();
      const other = openPull(rig.real, `${registry.host}/team/app:1`, controller.signal).catch(() => undefined);
      await until(
        () => registry.requests.some(({ object, bytesSent }) => object === layerOf(image) && bytesSent > 2_500_000),
        'wrong bytes are on their way',
      );
      // The store writes in steps of 1 MiB, some time after it has read them.
      await new Promise((resolve) => setTimeout(resolve, 500));
      controller.abort();
      await other;
      await registry.close();
      const codes = await expectHealthy(image);
      expect(codes).to.deep.equal(rig.real.store === 'containerd' ? ['engine-poisoned'] : []);
    });
  });
}
