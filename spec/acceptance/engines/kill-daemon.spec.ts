import { randomInt } from 'node:crypto';
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
import { namesOf } from '../../contract/engine-contract.js';
import { type DockerdOptions, requireDockerd, requireNextRelease, startDockerd } from '../../support/docker-engine.js';
import { beforeRequest } from '../../support/before-request.js';
import { failureOf } from '../../support/failure-of.js';
import type { RealEngine } from '../../support/real-engine.js';
import { seededRandom } from '../../support/seeded-random.js';
import { until } from '../../support/until.js';
import { expectInDaemon, expectNoRelayNames } from '../support/image-in-daemon.js';

/** Given again, the daemons are killed at the same moments. */
const seed = Number(process.env['KILL_SEED'] ?? randomInt(2 ** 31));

/** What the library gives a daemon to come back, which is no option. */
const backWithinMs = 30_000;

/** About as long as a daemon takes for an image that it has all bytes of. */
const lateMs = 150;

interface Daemon {
  readonly title: string;
  readonly require: () => void;
  readonly options: DockerdOptions;
  /** How often it is killed at a random moment. */
  readonly kills: number;
}

const daemons: readonly Daemon[] = [
  { title: 'a daemon', require: requireDockerd, options: {}, kills: 8 },
  { title: 'a daemon with live-restore', require: requireDockerd, options: { liveRestore: true }, kills: 0 },
  {
    title: 'a daemon with a containerd store',
    require: requireNextRelease,
    options: { store: 'containerd' },
    kills: 4,
  },
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
    readonly name: string;
    readonly image: TestImage;
    readonly ended: Promise<PullReport>;
    readonly events: readonly PullEvent[];
    readonly health: () => readonly string[];
  }

  /** A new image, in the registry. */
  function newImage(): Pick<OpenPull, 'name' | 'image'> {
    images += 1;
    const image = seededImage({ bytes: [1_500_000, 700_000], seed: `its daemon dies ${images}` });
    registry.putImage(`team/app-${images}:1`, image);
    return { image, name: `${registry.host}/team/app-${images}:1` };
  }

  function openPull(
    { docker }: { readonly docker: NonNullable<Parameters<typeof dockerEngine>[0]> },
    options: DockerEngineOptions,
    signal: AbortSignal = new AbortController().signal,
    { image, name }: Pick<OpenPull, 'name' | 'image'> = newImage(),
  ): OpenPull {
    const engine = dockerEngine(docker, options);
    const puller = createPuller({ engine, registries: [`${registry.host}/team`] });
    const events: PullEvent[] = [];
    puller.events.on('*', (event) => events.push(event));
    const ended = puller.pullWithFailover(name, { signal });
    ended.catch(() => {});
    return {
      name,
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

  /** How long a pull takes when nothing happens. */
  async function timeHealthy(real: RealEngine): Promise<number> {
    const startedMs = performance.now();
    await using pull = openPull(real, { route: 'relay' });
    await pull.ended;
    return performance.now() - startedMs;
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

  /** What a daemon is about to be asked when it dies before the layers, and the engine's route. */
  const earlyDeaths = [
    ['what it is', /^\/info/, 'auto'],
    ['what a crash may have left in it', /^\/images\/json/, 'auto'],
    ['whether it reaches this process', /^\/images\/create/, 'relay'],
    ['what it has of the image', /^\/images\/[^?]*\/json/, 'load'],
  ] as const;

  for (const { title, require, options, kills } of daemons) {
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

      for (const [question, path, route] of kills > 0 ? earlyDeaths : []) {
        it(`and was killed as it was to be asked ${question}, ends well by itself`, async () => {
          const restarts: Promise<void>[] = [];
          const docker = beforeRequest(real.docker, path, async () => {
            await real.kill();
            restarts.push(new Promise((resolve) => setTimeout(resolve, 300)).then(() => real.restart()));
          });
          await using pull = openPull({ docker }, { route });
          const { reference, route: taken } = await pull.ended;
          expect(restarts, 'it was killed').to.have.length(1);
          await Promise.all(restarts);
          expect(taken).to.equal(route === 'auto' ? 'relay' : route);
          expectNobodyBlamed(pull);
          await expectInDaemon(real, reference, pull.image);
          await expectNoRelayNames(real);
        });
      }

      if (kills > 0) {
        it(`and is killed at ${kills} random moments (KILL_SEED=${seed}), has each image whole or not at all, and every next pull goes well`, async () => {
          const random = seededRandom(seed);
          const healthyMs = await timeHealthy(real);
          for (let kill = 0; kill < kills; kill += 1) {
            // A third of them while it unpacks the image and gives it its name, which is soon over.
            const isLate = kill % 3 === 2;
            const waitMs = random() * (isLate ? lateMs : healthyMs);
            const what = `kill ${kill}, ${waitMs.toFixed(0)} ms after ${isLate ? 'the last byte' : 'the beginning'}`;
            // Every other host has no patience with a daemon that is away.
            const isPatient = kill % 2 === 0;
            const host = new AbortController();
            const leaving = new Error('the daemon is away');
            const pull = openPull(real, { route: 'relay' }, host.signal);
            if (isLate) await lastByte(pull);
            await new Promise((resolve) => setTimeout(resolve, waitMs));
            const hadAnswered = pull.events.some(({ type }) => type === 'pull:planned');
            await real.kill();
            if (!isPatient) host.abort(leaving);
            const ended = pull.ended.then(
              () => 'well',
              (error: unknown) => error,
            );
            const [outcome] = await Promise.all([ended, real.restart()]);
            // A daemon that is away before it has answered anything is waited for by nobody.
            if (outcome !== 'well' && outcome !== leaving) expect(isHostFaultError(outcome), what).to.equal(true);
            if (isPatient && hadAnswered) expect(outcome, what).to.equal('well');
            expectNobodyBlamed(pull);
            const isThere = (await namesOf(real)).includes(pull.name);
            if (outcome === 'well') expect(isThere, what).to.equal(true);
            if (isThere) await expectInDaemon(real, pull.name, pull.image);
            await pull[Symbol.asyncDispose]();

            await using next = openPull(real, { route: 'relay' }, undefined, pull);
            const { route, source } = await next.ended;
            expect({ route, source }, what).to.deep.equal({ route: 'relay', source: 'registry' });
            await expectInDaemon(real, pull.name, pull.image);
            await expectNoRelayNames(real);
            expectNobodyBlamed(next);
          }
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
