import { finished } from 'node:stream/promises';
import { expect } from 'chai';
import type { EngineStore } from '../../../lib/engine/docker/engine-traits.js';
import {
  type Fault,
  layers,
  type LoggedRequest,
  type RegistryDouble,
  seededImage,
  startRegistryDouble,
  type TestImage,
} from '../../../lib/testing/index.js';
import { closeHeartRigs, openHeartRig } from '../../failover/support/heart-rig.js';
import type { Digest } from '../../../lib/vocabulary/digest.js';
import { until } from '../../support/until.js';
import { createContainerFrom, engineKinds } from '../load/support/load-rig.js';
import { openPull } from '../support/other-client.js';
import { expectNoTrace, openRelayRouteRig, type RelayRouteRig } from './support/relay-route-rig.js';

/** Short for a real daemon, and long beside what one that is well needs here. */
const stallMs = 1_500;

/** What is allowed beside the stall limit and the time of a healthy pull. */
const marginMs = 3_000;

/** A pull of somebody else's client, which gets nowhere. */
interface StuckPull {
  /** Ends the client, as a person does who has waited long enough. */
  leave(): Promise<void>;
}

for (const [name, kind] of Object.entries(engineKinds)) {
  describe(`a wedged daemon: ${kind.title}`, function () {
    this.timeout(90_000);
    kind.require();
    let rig: RelayRouteRig;
    const registries: RegistryDouble[] = [];
    const stuck: StuckPull[] = [];
    before(async () => {
      rig = await openRelayRouteRig(await kind.start());
    });
    after(async () => {
      await rig?.[Symbol.asyncDispose]();
    });
    afterEach(async () => {
      await Promise.all(stuck.splice(0).map((pull) => pull.leave()));
      // Whatever the daemon still waits for ends with these.
      await Promise.all(registries.splice(0).map((registry) => registry.close()));
      await closeHeartRigs();
      await expectNoTrace(rig);
      await rig.clear();
    });

    /** Has another client pull an image from a registry that answers no more; resolves when it is stuck there. */
    async function stickAt(image: TestImage, fault: Fault): Promise<StuckPull> {
      const registry = await startRegistryDouble({ images: { 'team/app:1': image }, faults: [fault], strict: false });
      registries.push(registry);
      const controller = new AbortController();
      const ended = (async () => {
        const stream = await openPull(rig.real, `${registry.host}/team/app:1`, controller.signal);
        await finished(stream.resume());
      })().catch(() => undefined);
      const isStuck = ({ object, outcome }: LoggedRequest): boolean =>
        outcome === 'open' && 'object' in fault && object === fault.object;
      await until(() => registry.requests.some(isStuck), 'the other pull is stuck');
      const pull: StuckPull = {
        leave: async () => {
          controller.abort();
          await ended;
        },
      };
      stuck.push(pull);
      return pull;
    }

    const store = (): EngineStore => rig.real.store;
    const bytes = [2_000_000, 1_500_000, 30_000];

    /** How long the same pull takes in a daemon that is well. */
    async function healthyMs(seed: string): Promise<number> {
      const heart = await openHeartRig({ image: seededImage({ bytes, seed }), registries: [[]] });
      const pull = await rig.start(heart.openPull());
      const startedMs = performance.now();
      await pull.whole();
      return performance.now() - startedMs;
    }

    async function expectBrought(image: TestImage, limitMs: number): Promise<'relay' | 'load'> {
      const heart = await openHeartRig({ image, registries: [[]] });
      const pull = await rig.start(heart.openPull(), { stallMs, reference: 'registry.example/team/ours:1' });
      const startedMs = performance.now();
      const { reference, route } = await pull.whole();
      expect(performance.now() - startedMs).to.be.lessThan(limitMs);
      await createContainerFrom(rig.docker, reference);
      expect(pull.told).to.have.length(new Set(pull.tree.layers.map(({ digest }) => digest)).size + 1);
      if (route === 'relay') {
        expect(pull.changes).to.deep.equal([]);
        return 'relay';
      }
      expect(pull.changes.map(({ from, to, reason }) => `${from} ${to} ${reason.cause} ${reason.code}`)).to.deep.equal([
        'relay load engine engine-wedged',
      ]);
      // No registry of ours is to blame.
      expect(heart.openPull().sources.attempts).to.deep.equal([]);
      return 'load';
    }

    const stops: Readonly<Record<string, (object: Digest) => Fault>> = {
      'before its first byte': (object) => layers.noHeaders({ object }),
      'in the middle': (object) => layers.stall({ object, afterShare: 0.5 }),
    };
    for (const [where, stop] of Object.entries(stops)) {
      it(`brings an image of which another client waits for a layer that has stopped ${where}`, async () => {
        const ms = await healthyMs(`healthy ${name} ${where}`);
        const image = seededImage({ bytes, seed: `held ${name} ${where}` });
        await stickAt(image, stop(layerOf(image)));
        const route = await expectBrought(image, stallMs + ms + marginMs);
        expect(route).to.equal(store() === 'podman' ? 'relay' : 'load');
      });

      it(`brings an image of which another client waits for the config that has stopped ${where}`, async () => {
        const ms = await healthyMs(`healthy config ${name} ${where}`);
        const image = seededImage({ bytes, seed: `held config ${name} ${where}` });
        await stickAt(image, stop(image.config.digest));
        const route = await expectBrought(image, stallMs + ms + marginMs);
        expect(route).to.equal(store() === 'containerd' ? 'load' : 'relay');
      });
    }

    it('brings an image while three stalled pulls hold all download slots', async () => {
      const ms = await healthyMs(`healthy slots ${name}`);
      for (const index of [1, 2, 3]) {
        const other = seededImage({ bytes: [50_000], seed: `slot ${name} ${index}` });
        await stickAt(other, layers.noHeaders({ object: layerOf(other) }));
      }
      const route = await expectBrought(seededImage({ bytes, seed: `slots ${name}` }), stallMs + ms + marginMs);
      expect(route).to.equal(store() === 'graph' ? 'load' : 'relay');
    });

    it('brings an image of which an aborted pull has left a layer waiting for its first byte', async () => {
      const ms = await healthyMs(`healthy aborted ${name}`);
      const image = seededImage({ bytes, seed: `aborted ${name}` });
      const other = await stickAt(image, layers.noHeaders({ object: layerOf(image) }));
      await other.leave();
      const route = await expectBrought(image, stallMs + ms + marginMs);
      expect(route).to.equal(store() === 'graph' ? 'load' : 'relay');
    });

    it('brings an image also for a host that has set no limit to a stall', async () => {
      const image = seededImage({ bytes, seed: `without a limit ${name}` });
      await stickAt(image, layers.stall({ object: layerOf(image), afterShare: 0.5 }));
      const heart = await openHeartRig({ image, registries: [[]] });
      const pull = await rig.start(heart.openPull(), { stallMs: Infinity });
      const { route } = await pull.whole();
      expect(route).to.equal(store() === 'podman' ? 'relay' : 'load');
    });

    it('pulls by the relay again when whoever had wedged it is gone', async () => {
      const image = seededImage({ bytes, seed: `recovered ${name}` });
      const other = await stickAt(image, layers.stall({ object: layerOf(image), afterShare: 0.5 }));
      await expectBrought(image, 30_000);
      await other.leave();
      await Promise.all(registries.splice(0).map((registry) => registry.close()));
      await rig.clear();
      expect(await expectBrought(image, 30_000)).to.equal('relay');
    });
  });
}

function layerOf({ layers: [layer] }: TestImage): Digest {
  if (layer === undefined) throw new Error('it has layers');
  return layer.digest;
}
