import { expect } from 'chai';
import { type Fault, layers, seededImage } from '../../../lib/testing/index.js';
import { closeHeartRigs } from '../../failover/support/heart-rig.js';
import { requireDockerRegistry } from '../../support/docker-registry.js';
import { engineKinds } from '../load/support/load-rig.js';
import { configuredPodman, type DirectRig, openDirectRig, type StartedDirectPull } from './support/direct-rig.js';

/** So fast that every engine tells of it about once a second: nobody takes it for a stall. */
const bytesPerSecond = 1_250_000;
const windowMs = 3_000;
/** Takes such a registry longer than the window, by as much as Podman needs: it may be unpacking the end of a layer. */
const layerMs = 7_500;
const tooHigh = { windowMs, minBytesPerSecond: 4 * bytesPerSecond };

let seeds = 0;

// Podman says nothing of bytes unless it is told to trust its loopback.
for (const kind of [engineKinds.installed, engineKinds.nextContainerd, configuredPodman]) {
  describe(`the lowest rate that the route direct lets through into ${kind.title}`, function () {
    this.timeout(60_000);
    requireDockerRegistry();
    kind.require();
    let rig: DirectRig;
    before(async () => {
      rig = await openDirectRig(await kind.start());
    });
    after(() => rig?.[Symbol.asyncDispose]());
    afterEach(closeHeartRigs);

    /** Pulls a new image from registries of which some drip. */
    async function pullFrom(
      faults: readonly (readonly Fault[])[],
      limits: typeof tooHigh,
      dripMs: number = windowMs * 1.3,
    ): Promise<StartedDirectPull & { readonly elapsedMs: number }> {
      seeds += 1;
      const image = seededImage({ bytes: [(bytesPerSecond * dripMs) / 1_000], seed: `direct rate ${seeds}` });
      await rig.setFaults(...faults);
      await rig.push(image);
      const pull = await rig.start(image, { limits });
      const startedMs = performance.now();
      const { reference, route } = await pull.whole();
      const elapsedMs = performance.now() - startedMs;
      expect(route).to.equal('direct');
      expect((await rig.real.docker.getImage(reference).inspect()).RootFS.Layers).to.have.length(1);
      return { ...pull, elapsedMs };
    }

    it('ends the pull from a registry that is below it over the whole window, and goes on at the next one', async () => {
      const { pull, elapsedMs } = await pullFrom([[layers.drip({ bytesPerSecond })], []], tooHigh, layerMs);
      expect(pull.attempts).to.deep.equal(['A registry-storage/too-slow ill']);
      expect(pull.ill).to.deep.equal(['A layers']);
      expect(pull.of('failedOver').map(([{ phase }]) => phase)).to.deep.equal(['layers']);
      expect(elapsedMs, 'not before the window is over').to.be.at.least(windowMs);
    });

    // What follows from the rate is the same for every engine.
    if (kind !== engineKinds.installed) return;

    it('is none for the last registry: it may take its time', async () => {
      const drip = layers.drip({ bytesPerSecond });
      const { pull, elapsedMs } = await pullFrom([[drip], [drip]], tooHigh);
      expect(pull.attempts).to.deep.equal(['A registry-storage/too-slow ill']);
      expect(elapsedMs, 'the window of the first, and all of the second').to.be.at.least(2 * windowMs);
    });

    it('spares a registry that is above it, however long it takes', async () => {
      const { pull, elapsedMs } = await pullFrom([[layers.drip({ bytesPerSecond })], []], {
        windowMs,
        minBytesPerSecond: bytesPerSecond / 4,
      });
      expect(pull.attempts).to.deep.equal([]);
      expect(elapsedMs, 'it was measured').to.be.at.least(windowMs);
    });
  });
}
