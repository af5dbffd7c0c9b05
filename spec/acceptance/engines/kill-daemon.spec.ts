import { expect } from 'chai';
import {
  createPuller,
  dockerEngine,
  type DockerEngineOptions,
  explainFailure,
  isHostFaultError,
  type PullEvent,
  type PullReport,
} from '../../../lib/index.js';
import { type RegistryDouble, seededImage, startRegistryDouble, type TestImage } from '../../../lib/testing/index.js';
import { type DockerdOptions, requireDockerd, requireNextRelease, startDockerd } from '../../support/docker-engine.js';
import { failureOf } from '../../support/failure-of.js';
import type { RealEngine } from '../../support/real-engine.js';
import { until } from '../../support/until.js';
import { expectInDaemon, expectNoRelayNames } from '../support/image-in-daemon.js';

/** What the library gives a daemon to come back, which is no option. */
const backWithinMs = 30_000;

interface Daemon {
  readonly title: string;
  readonly require: () => void;
  readonly options: DockerdOptions;
}

const daemons: readonly Daemon[] = [
  { title: 'a daemon', require: requireDockerd, options: {} },
  { title: 'a daemon with live-restore', require: requireDockerd, options: { liveRestore: true } },
  { title: 'a daemon with a containerd store', require: requireNextRelease, options: { store: 'containerd' } },
];

describe('A pull whose daemon dies', function () {
  this.timeout(90_000);
  requireDockerd();
  let registry: RegistryDouble;
  let images = 0;
  /** A pull into a daemon that stays away; it takes long, and other tests need not wait for it. */
  let forsaken: Promise<{ readonly error: unknown; readonly elapsedMs: number; readonly pull: OpenPull }> | undefined;
  let away: RealEngine | undefined;

  before(async () => {
    registry = await startRegistryDouble({ bandwidth: { totalBytesPerSecond: 3e6 } });
  });

  after(async () => {
    await registry?.close();
    await away?.close();
  });

  interface OpenPull extends AsyncDisposable {
    readonly image: TestImage;
    readonly ended: Promise<PullReport>;
    readonly events: readonly PullEvent[];
    readonly health: () => readonly string[];
  }

  function openPull(real: RealEngine, options: DockerEngineOptions): OpenPull {
    images += 1;
    const image = seededImage({ bytes: [1_500_000, 700_000], seed: `its daemon dies ${images}` });
    registry.putImage(`team/app-${images}:1`, image);
    const engine = dockerEngine(real.docker, options);
    const puller = createPuller({ engine, registries: [`${registry.host}/team`] });
    const events: PullEvent[] = [];
    puller.events.on('*', (event) => events.push(event));
    const ended = puller.pullWithFailover(`${registry.host}/team/app-${images}:1`);
    ended.catch(() => {});
    return {
      image,
      ended,
      events,
      health: () => puller.health().map(({ phase, state }) => `${phase} ${state}`),
      [Symbol.asyncDispose]: async () => {
        await puller.close();
        await engine.close();
      },
    };
  }

  function expectNobodyBlamed({ events, health }: OpenPull): void {
    expect(events.filter(({ type }) => /^circuit:|^registry:|failed-over/.test(type))).to.deep.equal([]);
    expect(health().filter((state) => !state.endsWith(' closed'))).to.deep.equal([]);
  }

  const half = (pull: OpenPull): Promise<void> =>
    until(
      () => pull.events.some((event) => event.type === 'pull:progressed' && event.bytes.fetched > 1_000_000),
      'half of it is there',
    );
  const lastByte = (pull: OpenPull): Promise<void> =>
    until(
      () => pull.events.some((event) => event.type === 'phase:started' && event.phase === 'extract'),
      'all of it is there',
    );

  /** What happens to the daemon, and when. */
  const deaths = [
    ['killed in the middle of the layers', half, 'relay', (real: RealEngine) => real.kill()],
    ['killed with the last byte', lastByte, 'relay', (real: RealEngine) => real.kill()],
    ['ended in good order in the middle of the layers', half, 'relay', async () => {}],
    ['killed in the middle of an archive', half, 'load', (real: RealEngine) => real.kill()],
  ] as const;

  for (const { title, require, options } of daemons) {
    describe(`${title}, which comes back`, () => {
      require();
      let real: RealEngine;
      before(async () => {
        real = await startDockerd(options);
      });
      after(async () => {
        if (real !== away) await real?.close();
      });

      for (const [how, when, route, die] of deaths) {
        it(`and was ${how}, ends well by itself`, async () => {
          await using pull = openPull(real, { route });
          await when(pull);
          await die(real);
          await real.restart();
          const { reference, route: taken, source } = await pull.ended;
          expect({ taken, source }).to.deep.equal({ taken: route, source: 'registry' });
          expectNobodyBlamed(pull);
          await expectInDaemon(real, reference, pull.image);
          await expectNoRelayNames(real);
        });
      }

      if (options !== daemons[0]?.options) return;
      it('waits for it while it is away', async () => {
        const pull = openPull(real, {});
        await half(pull);
        const startedMs = performance.now();
        await real.kill();
        away = real;
        forsaken = failureOf(pull.ended).then((error) => ({ error, elapsedMs: performance.now() - startedMs, pull }));
        await new Promise((resolve) => setTimeout(resolve, 200));
        expect(pull.events.filter(({ type }) => type === 'pull:failed')).to.deep.equal([]);
      });
    });
  }

  describe('a daemon, which does not come back', () => {
    it('and stays away, ends with the host’s fault, within its limit', async () => {
      if (forsaken === undefined) throw new Error('no pull waits');
      const { error, elapsedMs, pull } = await forsaken;
      await using _ = pull;
      expect(isHostFaultError(error), String(error)).to.equal(true);
      expect(error).to.have.nested.property('reason.cause', 'engine');
      expect(explainFailure(error)).to.match(/docker|engine|daemon/i);
      expect(elapsedMs).to.be.within(backWithinMs - 1_000, backWithinMs + 5_000);
      expectNobodyBlamed(pull);
    });

    it('and was away from the beginning, ends with the host’s fault at once', async () => {
      if (away === undefined) throw new Error('no daemon is away');
      const startedMs = performance.now();
      await using pull = openPull(away, {});
      const error = await failureOf(pull.ended);
      expect(isHostFaultError(error), String(error)).to.equal(true);
      expect(performance.now() - startedMs).to.be.below(2_000);
      expectNobodyBlamed(pull);
    });
  });
});
