import Dockerode from 'dockerode';
import { expect } from 'chai';
import { createPuller, dockerEngine } from '../../../lib/index.js';
import { layers, type RegistryDouble, seededImage, startRegistryDouble } from '../../../lib/testing/index.js';
import { requireDockerd, requireNextRelease, startDockerd } from '../../support/docker-engine.js';
import type { RealEngine } from '../../support/real-engine.js';
import { until } from '../../support/until.js';
import { openPull } from '../../routes/support/other-client.js';
import { type HeardSocket, listenIn } from '../support/heard-socket.js';
import { expectInDaemon, expectNoRelayNames, removeFromDaemon } from '../support/image-in-daemon.js';

/** A containerd store tells of bytes by the MiB: where they stop, it has told of one. */
const layerBytes = 4_000_000;
/** Bytes come every few milliseconds until they stop. */
const stallMs = 600;
/** How long it takes at most until the other end of a connection has noticed its end. */
const noticedMs = 500;
/** As many layers at once as a daemon downloads in all its pulls, and one more. */
const layerCount = 4;

const stores = [
  { store: 'graph', title: 'the classic store', require: requireDockerd },
  { store: 'containerd', title: 'a containerd store', require: requireNextRelease },
] as const;

for (const { store, title, require } of stores) {
  describe(`A pull into a daemon with ${title} that is parked`, function () {
    this.timeout(60_000);
    require();
    let real: RealEngine;
    let heard: HeardSocket;
    let stalling: readonly RegistryDouble[];
    let healthy: RegistryDouble;

    before(async () => {
      real = await startDockerd({ store });
      heard = await listenIn(real.socketPath);
    });

    after(async () => {
      await heard?.close();
      await real?.close();
    });

    afterEach(async () => {
      await Promise.all([...stalling, healthy].map((registry) => registry.close()));
    });

    for (const route of ['relay', 'direct'] as const) {
      it(`by the route ${route} has ended the daemon’s own pull first, so that other clients find slots and layers free`, async () => {
        const image = seededImage({ layers: layerCount, bytes: layerBytes, seed: `parked ${route}` });
        const others = seededImage({ layers: layerCount, bytes: 300_000, seed: `beside what is parked ${route}` });
        const images = { 'team/app:1': image, 'team/other:1': others };
        // Docker offers to take layers compressed once more.
        const start = (): Promise<RegistryDouble> => startRegistryDouble({ images, strict: false });
        const [first, second, third] = await Promise.all([start(), start(), start()]);
        stalling = [first, second];
        healthy = third;
        // Not the config, for which Docker's classic store waits behind the back of a client that has left.
        const stalls = image.layers.map(({ digest }) => layers.stall({ afterShare: 0.3, object: digest }));
        for (const registry of stalling) await registry.setFaults(stalls);

        await using engine = dockerEngine(new Dockerode({ socketPath: heard.path }), { route });
        await using puller = createPuller({
          engine,
          registries: stalling.map(({ host }) => `${host}/team`),
          timeouts: {
            layers: { firstByteMs: stallMs, stallMs },
            lastCandidate: { firstByteMs: stallMs, stallMs },
          },
          whenExhausted: { waitMs: 120_000 },
        });
        const pulls = (): number => heard.open.filter((asked) => asked.includes('/images/create?')).length;
        const parked = puller.events.waitFor('pull:parked');
        const name = `${first.host}/team/app:1`;
        const pulled = puller.pullWithFailover(name);
        pulled.catch(() => {});
        await until(() => pulls() > 0, 'the daemon pulls');
        const { pullId } = await parked;

        const parkedMs = performance.now();
        // The daemon has let go of it, too.
        await until(() => pulls() === 0, 'the daemon pulls no more');
        expect(performance.now() - parkedMs).to.be.below(noticedMs);
        for (const [other, wanted] of [
          ['other', others],
          ['app', image],
        ] as const) {
          const reference = `${healthy.host}/team/${other}:1`;
          await pullAsAnother(real, reference);
          await expectInDaemon(real, reference, wanted);
          await removeFromDaemon(real, reference);
        }
        expect(
          puller.parked.list().map((each) => each.pullId),
          'it is parked all the while',
        ).to.deep.equal([pullId]);

        for (const registry of stalling) await registry.setFaults([]);
        expect(puller.parked.promote(pullId)).to.equal(true);
        const report = await pulled;
        expect(report).to.include({ route, source: 'registry' });
        await expectInDaemon(real, name, image);
        await expectNoRelayNames(real);
      });
    }
  });
}

/** To the end. */
async function pullAsAnother(real: RealEngine, reference: string): Promise<void> {
  const answer = await openPull(real, reference, AbortSignal.timeout(10_000));
  let said = '';
  for await (const chunk of answer) said += String(chunk);
  expect(said).to.match(/Status: Downloaded newer image/);
}
