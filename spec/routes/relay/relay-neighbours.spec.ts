import { expect } from 'chai';
import {
  layers,
  seededImage,
  startRegistryDouble,
  type RegistryDouble,
  type TestImage,
} from '../../../lib/testing/index.js';
import { closeHeartRigs, openHeartRig } from '../../failover/support/heart-rig.js';
import { failureOf } from '../../support/failure-of.js';
import { until } from '../../support/until.js';
import { createContainerFrom, engineKinds } from '../load/support/load-rig.js';
import { openPull } from '../support/other-client.js';
import { expectNoTrace, openRelayRouteRig, type RelayRouteRig, type StartedPull } from './support/relay-route-rig.js';

/** Shorter than what the pulls wait for each other, and longer than anything a daemon that is well does without a word. */
const stallMs = 1_500;

for (const [name, kind] of Object.entries(engineKinds)) {
  describe(`pulls beside each other in ${kind.title}`, function () {
    this.timeout(90_000);
    kind.require();
    let rig: RelayRouteRig;
    const others: RegistryDouble[] = [];
    before(async () => {
      rig = await openRelayRouteRig(await kind.start());
    });
    after(async () => {
      await rig?.[Symbol.asyncDispose]();
    });
    afterEach(async () => {
      await Promise.all(others.splice(0).map((registry) => registry.close()));
      await closeHeartRigs();
      await expectNoTrace(rig);
      await rig.clear();
    });

    /** Another client pulls an image from a registry of its own; resolves when the first layer is under way. */
    async function beside(image: TestImage, bytesPerSecond: number): Promise<void> {
      const registry = await startRegistryDouble({
        images: { 'team/app:1': image },
        faults: [layers.drip({ bytesPerSecond })],
        strict: false,
      });
      others.push(registry);
      const pulled = openPull(rig.real, `${registry.host}/team/app:1`, AbortSignal.timeout(60_000));
      pulled.then((response) => response.resume()).catch(() => undefined);
      const [layer] = image.layers;
      await until(() =>
        registry.requests.some(({ object, outcome }) => object === layer?.digest && outcome === 'open'),
      );
    }

    const expectByRelay = async (pulls: readonly StartedPull[]): Promise<void> => {
      const delivered = await Promise.all(pulls.map((pull) => pull.whole()));
      expect(pulls.flatMap(({ changes }) => changes.map(({ reason }) => reason.message))).to.deep.equal([]);
      for (const { reference } of delivered) await createContainerFrom(rig.docker, reference);
    };

    it('wait for download slots that others of ours have, and for nothing else', async () => {
      const started = await Promise.all(
        Array.from({ length: 8 }, async (_, index) => {
          const image = seededImage({ bytes: [300_000, 200_000], seed: `neighbour ${name} ${index}` });
          const heart = await openHeartRig({
            image,
            registries: [[layers.drip({ bytesPerSecond: 250_000 })]],
          });
          return rig.start(heart.openPull(), { reference: `registry.example/team/app-${index}:1`, stallMs });
        }),
      );
      await expectByRelay(started);
    });

    it('ride along while another client brings the same layers, however slowly', async () => {
      const image = seededImage({ bytes: [6_000_000, 40_000], seed: `along ${name}` });
      await beside(image, 1_500_000);
      const heart = await openHeartRig({ image, registries: [[]] });
      await expectByRelay([await rig.start(heart.openPull(), { stallMs })]);
    });

    it('go on when the one that had asked for their common layer is given up', async () => {
      const image = seededImage({ bytes: [2_000_000, 40_000], seed: `given up ${name}` });
      const slow = [layers.drip({ bytesPerSecond: 1_000_000 })];
      const hearts = await Promise.all([1, 2].map(() => openHeartRig({ image, registries: [slow] })));
      const [first, second] = hearts.map((heart) => heart.openPull());
      const one = await rig.start(first!, { reference: 'registry.example/team/one:1', stallMs });
      const two = await rig.start(second!, { reference: 'registry.example/team/two:1', stallMs });
      const ended = failureOf(one.whole());
      await until(() => hearts[0]!.double('A').requests.some(({ bytesSent }) => bytesSent > 100_000));
      const whole = two.whole();
      await new Promise((resolve) => setTimeout(resolve, 300));
      const reason = new Error('given up');
      first!.abort(reason);
      expect(await ended).to.equal(reason);
      const { reference } = await whole;
      expect(two.changes).to.deep.equal([]);
      await createContainerFrom(rig.docker, reference);
    });
  });
}
