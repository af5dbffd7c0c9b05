import { finished } from 'node:stream/promises';
import { expect } from 'chai';
import type { PullEvent } from '../../../lib/index.js';
import {
  layers,
  type RegistryDouble,
  type RegistryDoubleOptions,
  seededImage,
  startRegistryDouble,
  type TestImage,
} from '../../../lib/testing/index.js';
import { openPull } from '../../routes/support/other-client.js';
import { requireDockerd, requireNextRelease, startDockerd } from '../../support/docker-engine.js';
import type { RealEngine } from '../../support/real-engine.js';
import { createAuthority } from '../../support/tls.js';
import { until } from '../../support/until.js';
import { expectInDaemon, expectNoRelayNames } from '../support/image-in-daemon.js';
import { broughtBy, recordDaemonPull } from '../support/recorded-daemon-pull.js';

const stallMs = 1_500;

const stores = [
  { store: 'graph', title: 'the classic store', require: requireDockerd },
  { store: 'containerd', title: 'a containerd store', require: requireNextRelease },
] as const;

/** The events that tell of the way, in their order. */
function wayOf(events: readonly PullEvent[]): readonly string[] {
  return events.flatMap((event) => {
    switch (event.type) {
      case 'pull:planned':
        return [`planned ${event.route}`];
      case 'pull:route-changed':
        return [`${event.from} → ${event.to}: ${event.reason.code}`];
      case 'pull:succeeded':
      case 'pull:failed':
        return [event.type];
      default:
        return [];
    }
  });
}

/** What this process is warned of while the work goes on. */
async function warningsDuring(work: () => Promise<void>): Promise<readonly string[]> {
  const warnings: string[] = [];
  const onWarning = (warning: Error & { readonly code?: string }): void => {
    if (warning.code === 'PULL_FAILOVER_ROUTE') warnings.push(warning.message);
  };
  process.on('warning', onWarning);
  try {
    await work();
    // Warnings are told in a turn of their own.
    await new Promise((resolve) => setImmediate(resolve));
  } finally {
    process.off('warning', onWarning);
  }
  return warnings;
}

for (const { store, title, require } of stores) {
  describe(`An image that takes another way than was planned into a daemon with ${title}`, function () {
    this.timeout(60_000);
    require();
    let real: RealEngine;
    const registries: RegistryDouble[] = [];
    let images = 0;

    before(async () => {
      real = await startDockerd({ store });
    });
    after(() => real?.close());
    afterEach(async () => {
      await Promise.all(registries.splice(0).map((registry) => registry.close()));
      await expectNoRelayNames(real);
    });

    function newImage(): TestImage {
      images += 1;
      return seededImage({ bytes: [200_000, 100_000], seed: `another way ${store} ${images}` });
    }

    async function serve(
      image: TestImage,
      options: Omit<RegistryDoubleOptions, 'images'> = {},
    ): Promise<RegistryDouble> {
      // Daemons ask less strictly than this library does.
      const registry = await startRegistryDouble({ images: { 'team/app:1': image }, strict: false, ...options });
      registries.push(registry);
      return registry;
    }

    it('goes on by an archive where another client holds a layer, and events and report say why', async () => {
      const image = newImage();
      const [layer] = image.layers;
      if (layer === undefined) throw new Error('it has layers');
      const dead = await serve(image, { faults: [layers.noHeaders({ object: layer.digest })] });
      const well = await serve(image);
      const other = new AbortController();
      const stuck = openPull(real, `${dead.host}/team/app:1`, other.signal)
        .then((stream) => finished(stream.resume()))
        .catch(() => undefined);
      await until(
        () => dead.requests.some(({ object, outcome }) => object === layer.digest && outcome === 'open'),
        'the other client waits for the layer',
      );
      try {
        const { report, events, ill } = await broughtBy(
          recordDaemonPull(real, {
            image: `${well.host}/team/app:1`,
            puller: { registries: [`${well.host}/team`], timeouts: { layers: { stallMs } } },
          }),
        );
        expect(wayOf(events)).to.deep.equal(['planned relay', 'relay → load: engine-wedged', 'pull:succeeded']);
        expect(report).to.include({ route: 'load', source: 'registry', digest: image.digest });
        expect(report.routeReason).to.match(/has not asked for what it needs for 1\.5 s.*sent as an archive$/);
        expect(report.attempts).to.deep.equal([]);
        expect(ill).to.deep.equal([]);
        await expectInDaemon(real, report.reference, image);
      } finally {
        other.abort();
        await stuck;
      }
    });

    for (const by of ['tag', 'digest'] as const) {
      it(`is pulled by the engine itself, by ${by}, where this process trusts no registry, which is told once with the fix`, async () => {
        const image = newImage();
        const registry = await serve(image, { tls: createAuthority().issue(['127.0.0.1']) });
        const name = `${registry.host}/team/app${by === 'tag' ? ':1' : `@${image.digest}`}`;
        const pulls: unknown[] = [];
        const warnings = await warningsDuring(async () => {
          for (const times of [1, 2]) {
            const { report, events } = await broughtBy(
              recordDaemonPull(real, {
                image: name,
                // On loopback a daemon takes any certificate.
                puller: { registries: [{ prefix: `${registry.host}/team`, plainHttp: false }] },
              }),
            );
            pulls.push(wayOf(events));
            expect(report).to.include({
              route: 'direct',
              source: 'registry',
              digest: image.digest,
              resolution: by === 'tag' ? 'first-registry' : 'digest-given',
            });
            expect(report.routeReason, String(times)).to.match(
              /no trusted TLS connection.*so the engine pulled by itself$/,
            );
            await expectInDaemon(real, report.reference, image);
          }
        });
        const way = ['planned relay', 'relay → direct: tls-failed', 'pull:succeeded'];
        expect(pulls).to.deep.equal([way, way]);
        expect(warnings.filter((text) => !/reaches no registry.*TLS.*\bca\b/.test(text))).to.deep.equal([]);
        // Once for each daemon: whichever of these two runs first is told.
        expect(warnings).to.have.length(by === 'tag' ? 1 : 0);
      });
    }

    it('is not left to the engine where its registries are reached and do not have it', async () => {
      const registry = await serve(newImage());
      const { error, events } = await recordDaemonPull(real, {
        image: `${registry.host}/team/none:1`,
        puller: { registries: [`${registry.host}/team`] },
      });
      expect(error).to.have.property('code', 'ERR_PULL_EXHAUSTED');
      expect(wayOf(events)).to.deep.equal(['planned relay', 'pull:failed']);
    });

    it('is planned as an archive where the engine does not reach the relay, which is told once with the fix', async () => {
      const image = newImage();
      const registry = await serve(image);
      const warnings = await warningsDuring(async () => {
        for (const times of [1, 2]) {
          const { report, events } = await broughtBy(
            recordDaemonPull(real, {
              image: `${registry.host}/team/app:1`,
              puller: { registries: [`${registry.host}/team`] },
              // Nobody listens there.
              engine: { relay: { advertise: '127.0.0.1:1' } },
            }),
          );
          expect(wayOf(events), String(times)).to.deep.equal(['planned load', 'pull:succeeded']);
          expect(report.routeReason).to.include('publish the port of relay.listen there');
        }
      });
      expect(warnings).to.have.length(1);
      expect(warnings[0]).to.include('relay.advertise');
    });
  });
}
