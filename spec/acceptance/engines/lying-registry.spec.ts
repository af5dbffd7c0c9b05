import { expect } from 'chai';
import type { Digest, Timeouts } from '../../../lib/index.js';
import {
  type Fault,
  layers,
  type RegistryDouble,
  seededImage,
  startRegistryDouble,
  type TestImage,
} from '../../../lib/testing/index.js';
import { requireDockerd, requireNextRelease, startDockerd } from '../../support/docker-engine.js';
import { type RealEngine, removeImages } from '../../support/real-engine.js';
import { until } from '../../support/until.js';
import { type HostChild, startHostChild } from '../support/host-child.js';
import { expectInDaemon, expectNoRelayNames } from '../support/image-in-daemon.js';
import { broughtBy, recordDaemonPull } from '../support/recorded-daemon-pull.js';

const layerBytes = 3_500_000;
/** Of the layer; what the daemon's store has written by then is more than the 1 MiB in which it writes. */
const stopsAfterBytes = 3_000_000;
/** Sent, and as good as written by the one who reads it. */
const almostAllBytes = 2_900_000;

/** Where the byte is that is another one. */
const lies = [
  ['early', { atByte: 0 }],
  ['in the middle', { atShare: 0.5 }],
  ['in the last byte', { atByte: layerBytes - 1 }],
] as const;

/** The one registry stays as silent as it wants. */
const patient: Timeouts = {
  layers: { firstByteMs: 60_000, stallMs: 60_000, minBytesPerSecond: 1, windowMs: 60_000 },
  lastCandidate: { firstByteMs: 60_000, stallMs: 60_000 },
};

const stores = [
  { store: 'graph', title: 'the classic store', require: requireDockerd },
  { store: 'containerd', title: 'a containerd store', require: requireNextRelease },
] as const;

for (const { store, title, require } of stores) {
  describe(`A daemon with ${title} that was given wrong bytes by a registry`, function () {
    this.timeout(60_000);
    require();
    let real: RealEngine;
    let liar: RegistryDouble;
    let healthy: RegistryDouble;
    const hosts: HostChild[] = [];

    before(async () => {
      [real, liar, healthy] = await Promise.all([
        startDockerd({ store }),
        startRegistryDouble(),
        startRegistryDouble(),
      ]);
    });

    afterEach(async () => {
      await Promise.all(hosts.splice(0).map((host) => host.kill()));
      liar.resetConnections();
    });

    after(async () => {
      await Promise.all([liar?.close(), healthy?.close()]);
      await real?.close();
    });

    const nameAt = ({ host }: RegistryDouble): string => `${host}/team/app:1`;

    /** Knows nobody but the liar. */
    function startHost(): HostChild {
      const host = startHostChild({
        socketPath: real.socketPath,
        puller: { registries: [`${liar.host}/team`], timeouts: patient },
      });
      hosts.push(host);
      return host;
    }

    /** A host pulls from the liar until most of the lie is in the daemon, or all but what the relay holds back. */
    async function lieTo(host: HostChild, image: TestImage, isWhole: boolean): Promise<void> {
      void host.start(`${liar.host}/team/app:1`);
      if (isWhole) {
        await host.event(({ type }) => type === 'registry:failed');
        return;
      }
      const [layer] = image.layers;
      await until(
        () => liar.requests.some(({ object, bytesSent }) => object === layer?.digest && bytesSent > almostAllBytes),
        'wrong bytes are on their way',
      );
      // The store writes in steps, some time after it has read them.
      await new Promise((resolve) => setTimeout(resolve, store === 'containerd' ? 300 : 50));
    }

    /** A host that knows nothing of it gets the very image, from a registry that is well. */
    async function expectNextPull(image: TestImage): Promise<void> {
      const { report, events, ill } = await broughtBy(
        recordDaemonPull(real, { image: nameAt(healthy), puller: { registries: [`${healthy.host}/team`] } }),
      );
      await expectInDaemon(real, report.reference, image);
      expect(report.attempts).to.deep.equal([]);
      expect(ill).to.deep.equal([]);
      const changes = events.filter(({ type }) => type === 'pull:route-changed');
      expect(changes).to.have.lengthOf.at.most(store === 'containerd' ? 1 : 0);
      await expectNoRelayNames(real);
      await removeImages(real);
    }

    async function lieAnew(seed: string, faultsOf: (object: Digest) => readonly Fault[]): Promise<TestImage> {
      const image = seededImage({ bytes: [layerBytes, 60_000], seed: `${seed} ${store}` });
      for (const registry of [liar, healthy]) registry.putImage('team/app:1', image);
      const [layer] = image.layers;
      if (layer === undefined) throw new Error('it has layers');
      await liar.setFaults(faultsOf(layer.digest));
      return image;
    }

    for (const [where, at] of lies) {
      const isLast = where === 'in the last byte';
      const lie = (object: Digest): readonly Fault[] => [
        layers.wrongBytes({ ...at, object }),
        ...(isLast ? [] : [layers.stall({ object, afterBytes: stopsAfterBytes })]),
      ];

      it(`${where}, and its host killed: the next pull brings the image`, async () => {
        const image = await lieAnew(`killed ${where}`, lie);
        const host = startHost();
        await lieTo(host, image, isLast);
        await host.kill();
        await expectNextPull(image);
      });

      it(`${where}, and its caller gone: the next pull brings the image`, async () => {
        const image = await lieAnew(`aborted ${where}`, lie);
        const host = startHost();
        await lieTo(host, image, isLast);
        host.abort();
        // With the whole lie there, nobody else could have helped, and the pull may have failed by itself.
        await host.event(({ type }) => type === 'pull:aborted' || (isLast && type === 'pull:failed'));
        await host.close();
        await expectNextPull(image);
      });

      it(`${where}, gets the image all the same from another registry, and so does the next pull`, async () => {
        const image = await lieAnew(`corrected ${where}`, (object) => [layers.wrongBytes({ ...at, object })]);
        const { report } = await broughtBy(
          recordDaemonPull(real, {
            image: nameAt(liar),
            puller: { registries: [`${liar.host}/team`, `${healthy.host}/team`] },
          }),
        );
        await expectInDaemon(real, report.reference, image);
        expect(report.attempts.map(({ registry, reason }) => [registry, reason.code])).to.deep.equal([
          [`${liar.host}/team`, 'digest-mismatch'],
        ]);
        await real.docker.getImage(report.reference).remove({ force: true });
        await expectNextPull(image);
      });
    }
  });
}
