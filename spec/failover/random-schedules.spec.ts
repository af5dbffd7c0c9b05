import { expect } from 'chai';
import fc from 'fast-check';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monotonicMs } from '../../lib/clock/time.js';
import { ociLayout } from '../../lib/engine/layout/oci-layout.js';
import { isPullExhaustedError } from '../../lib/errors/pull-exhausted-error.js';
import type { Timeouts } from '../../lib/policy/limits.js';
import { createPuller } from '../../lib/puller/create-puller.js';
import {
  type Fault,
  type RegistryDouble,
  seededImage,
  startRegistryDouble,
  type TestImage,
} from '../../lib/testing/index.js';
import type { PullReport } from '../../lib/vocabulary/report.js';
import { deadlyFaultOf, faultsOfOne } from './support/fault-arbitraries.js';
import { playSchedules, seed } from './support/play-schedules.js';
import { failureOf } from '../support/failure-of.js';
import { until } from '../support/until.js';

/** Schedules of one run. */
const schedules = Number(process.env['SCHEDULES'] ?? 240);
const atOnce = 8;
/** No schedule takes nearly as long; one that does hangs. */
const hangMs = 60_000;

/** Short, with room for a machine that does eight pulls and twenty-four registries at once. */
const timeouts: Timeouts = {
  metadata: { requestMs: 1_500, totalMs: 2_000 },
  layers: { firstByteMs: 1_500, stallMs: 1_000, windowMs: 1_500 },
  lastCandidate: { firstByteMs: 5_000, stallMs: 5_000 },
};

/** With nobody healthy there is nobody to be patient with. */
const impatient: Timeouts = { ...timeouts, lastCandidate: { firstByteMs: 1_500, stallMs: 1_000 } };

const images: readonly TestImage[] = [
  seededImage({ layers: 3, bytes: 100_000, seed: 'schedules' }),
  seededImage({
    layers: 6,
    bytes: 60_000,
    seed: 'schedules',
    platforms: ['linux/arm64', 'linux/amd64'],
    attestations: true,
  }),
  seededImage({ bytes: [3_000_000, 0, 1, 150_000], seed: 'schedules', compression: 'gzip', mediaTypes: 'docker' }),
  seededImage({ layers: 3, bytes: 400_000, seed: 'schedules', sameLayers: true, digests: 'sha512' }),
  seededImage({ bytes: [1_500_000, 700_000, 90_000], seed: 'schedules' }),
];

interface RegistrySchedule {
  readonly faults: readonly Fault[];
  readonly redirects: boolean;
  readonly hasTokens: boolean;
  /** So slow that more connections bring more; null is as fast as it goes. */
  readonly bytesPerConnection: number | null;
}

interface Schedule {
  readonly image: number;
  readonly byDigest: boolean;
  readonly registries: readonly RegistrySchedule[];
  /** The one without faults. */
  readonly healthy: number;
  readonly hedgeMs: number;
  readonly layersMs: number;
  readonly rangeBytes: number;
  /** As a multiple of the range. */
  readonly windowRanges: number;
  readonly spread: boolean;
  /** A first pull ends so early, and leaves what it has to the second. */
  readonly firstEndsAfterMs: number | null;
}

const registryOf = (faults: fc.Arbitrary<readonly Fault[]>): fc.Arbitrary<RegistrySchedule> =>
  fc.record({
    faults,
    redirects: fc.boolean(),
    hasTokens: fc.boolean(),
    bytesPerConnection: fc.option(fc.constantFrom(1_000_000, 4_000_000), { freq: 3 }),
  });

/** Small ranges split all but the smallest blobs. */
const rangeBytes = fc.constantFrom(16_384, 65_536, 262_144, 2_097_152);
const windowRanges = fc.constantFrom(1, 2, 8);

const schedule: fc.Arbitrary<Schedule> = fc
  .record({
    image: fc.nat(images.length - 1),
    byDigest: fc.boolean(),
    registries: fc.tuple(registryOf(faultsOfOne), registryOf(faultsOfOne), registryOf(faultsOfOne)),
    healthy: fc.nat(2),
    hedgeMs: fc.constantFrom(50, 400, Infinity),
    layersMs: fc.constantFrom(50, 400, Infinity),
    rangeBytes,
    windowRanges,
    spread: fc.boolean(),
    firstEndsAfterMs: fc.option(fc.constantFrom(5, 40, 150, 600, 1_500), { freq: 4 }),
  })
  .map((made) => ({
    ...made,
    // A tag whose answer has no digest is given the one of sha256, which then names the same image.
    byDigest: made.byDigest || images[made.image]?.digest.startsWith('sha512') === true,
    registries: made.registries.map((registry, index) =>
      index === made.healthy ? { ...registry, faults: [] } : registry,
    ),
  }));

const deadSchedule: fc.Arbitrary<Schedule> = fc
  .tuple(
    fc.nat(images.length - 1),
    fc
      .constantFrom('metadata', 'layers')
      .chain((phase) =>
        fc.array(registryOf(deadlyFaultOf[phase].map((fault) => [fault])), { minLength: 1, maxLength: 3 }),
      ),
    rangeBytes,
    windowRanges,
    fc.boolean(),
  )
  .map(([image, registries, range, ranges, spread]) => ({
    image,
    byDigest: false,
    registries,
    healthy: -1,
    hedgeMs: Infinity,
    layersMs: Infinity,
    rangeBytes: range,
    windowRanges: ranges,
    spread,
    firstEndsAfterMs: null,
  }));

interface Stage {
  readonly doubles: readonly RegistryDouble[];
  readonly image: TestImage;
  readonly pull: (signal?: AbortSignal) => Promise<PullReport>;
  /** Who was found ill, by number: `0 layers …`. */
  readonly ill: readonly string[];
  /** Whose bytes of a blob were found to be wrong, by number. */
  readonly liars: readonly number[];
  /** That what the report says is in the layout, and right to the last byte. */
  readonly verify: (report: PullReport) => Promise<void>;
}

/** Whether it makes a registry send other bytes than those of the blob, so that only the digest tells. */
function isLie({ on, kind }: Fault): boolean {
  return on === 'layers' && ['wrong-bytes', 'wrong-range', 'wrong-length', 'status', 'content-encoding'].includes(kind);
}

/** Sets a schedule up, plays it, and holds it to leaving nothing open. */
async function onStage(made: Schedule, play: (stage: Stage) => Promise<void>): Promise<void> {
  const isHopeless = made.healthy === -1;
  const image = images[made.image];
  if (image === undefined) throw new Error('there is no such image');
  const directory = await mkdtemp(join(tmpdir(), 'pull-failover-schedule-'));
  const doubles = await Promise.all(
    made.registries.map(({ faults, redirects, hasTokens, bytesPerConnection }) =>
      startRegistryDouble({
        images: { 'team/app:1': image },
        faults,
        redirects,
        ...(bytesPerConnection === null ? {} : { bandwidth: { perConnectionBytesPerSecond: bytesPerConnection } }),
        ...(hasTokens ? { auth: { kind: 'bearer' } } : {}),
      }),
    ),
  );
  const layout = ociLayout(join(directory, 'layout'));
  const prefixes = doubles.map(({ host }) => `${host}/team`);
  const puller = createPuller({
    engine: layout,
    registries: prefixes,
    platform: 'linux/amd64',
    timeouts: isHopeless ? impatient : timeouts,
    transfer: {
      rangeBytes: made.rangeBytes,
      windowBytes: made.rangeBytes * made.windowRanges,
      spread: made.spread,
      hedge: { metadataMs: made.hedgeMs, layersMs: made.layersMs, budget: 1 },
    },
  });
  const ill: string[] = [];
  const liars: number[] = [];
  puller.events.on('registry:failed', ({ registry, phase, verdict, reason }) => {
    if (verdict === 'ill') ill.push(`${prefixes.indexOf(registry)} ${phase} ${reason.message}`);
    if (phase === 'layers' && reason.code === 'digest-mismatch') liars.push(prefixes.indexOf(registry));
  });
  const name = `${prefixes[0]}/app${made.byDigest ? `@${image.digest}` : ':1'}`;
  try {
    await play({
      doubles,
      image,
      ill,
      liars,
      pull: (signal) => puller.pullWithFailover(name, signal === undefined ? {} : { signal }),
      verify: async (report) => {
        expect(report.digest).to.equal(image.digest);
        const found = await layout.findImage(report.image);
        expect(found?.digest).to.equal(image.digest);
        const manifest = image.manifests.find(({ digest }) => digest === report.manifestDigest);
        expect(manifest?.platform).to.equal('linux/amd64');
        for (const { digest, sizeBytes } of [...(manifest?.layers ?? []), manifest?.config ?? image.config]) {
          // Read with the digest as the judge.
          const bytes = await layout.readBlob(digest, Infinity);
          expect(bytes?.length, digest).to.equal(sizeBytes);
        }
      },
    });
  } finally {
    await puller.close();
    await layout.close();
    try {
      await until(() => doubles.every(({ openConnections }) => openConnections === 0), 'no connection is left open');
      for (const { violations } of doubles)
        expect(
          violations.map(({ rule, detail, request }) => `${rule}: ${detail} (${request.method} ${request.path})`),
        ).to.deep.equal([]);
    } finally {
      await Promise.all(doubles.map((double) => double.close()));
      await rm(directory, { recursive: true, force: true });
    }
  }
}

/** Plays so many schedules. */
function playAll(
  what: string,
  arbitrary: fc.Arbitrary<Schedule>,
  count: number,
  play: (made: Schedule) => Promise<void>,
): Promise<void> {
  return playSchedules({ what, arbitrary, count, atOnce, hangMs, play });
}

/** Sockets, timers and files of this process. */
function handles(): readonly string[] {
  return process
    .getActiveResourcesInfo()
    .filter((name) => /^(TCP|Timeout|FSReq|FileHandle)/.test(name))
    .toSorted();
}

async function untilAsBefore(before: readonly string[]): Promise<void> {
  try {
    await until(() => handles().length <= before.length, 'sockets and timers are gone');
  } catch (error) {
    throw new Error(`left open: ${handles().join(' ')}; before: ${before.join(' ')}`, { cause: error });
  }
}

describe(`random schedules of faults (SEED=${seed})`, function () {
  this.timeout(300_000);

  it('over three registries with one healthy: the image arrives whole, and nothing is left open', async () => {
    // Mocha starts its own timer after the first turn.
    await new Promise((resolve) => setImmediate(resolve));
    const before = handles();
    await playAll('one healthy', schedule, schedules, (made) =>
      onStage(made, async ({ pull, ill, liars, verify }) => {
        if (made.firstEndsAfterMs !== null) {
          const reason = new Error('the first pull is ended');
          const ending = new AbortController();
          const timer = setTimeout(() => {
            ending.abort(reason);
          }, made.firstEndsAfterMs);
          try {
            await pull(ending.signal);
          } catch (error) {
            if (error !== reason) throw error;
          } finally {
            clearTimeout(timer);
          }
        }
        await verify(await pull());
        expect(ill.filter((one) => one.startsWith(`${made.healthy} `))).to.deep.equal([]);
        for (const liar of liars) expect(made.registries[liar]?.faults.some(isLie), `${liar} has lied`).to.equal(true);
      }),
    );
    await untilAsBefore(before);
  });

  it('over registries of which none can deliver: the end comes within the limits, with every attempt', async () => {
    // Mocha starts its own timer after the first turn.
    await new Promise((resolve) => setImmediate(resolve));
    const before = handles();
    await playAll('none can deliver', deadSchedule, Math.ceil(schedules / 6), (made) =>
      onStage(made, async ({ pull, doubles }) => {
        const startedAtMs = monotonicMs();
        const error = await failureOf(pull());
        if (!isPullExhaustedError(error)) throw error;
        // Tag and manifest, and both again for another packing at each candidate; a blob gets at most three walks in a
        // row without a new byte, as many rows as there are places where these sources end, and three waits of 1 s.
        const count = doubles.length;
        const metadataMs = (2 + 2 * count) * (count * 2_000 + 3 * 1_000);
        const walkMs = count * 3 * (1_500 + 1_000 + 500) + 4_000;
        expect(monotonicMs() - startedAtMs).to.be.below(metadataMs + (count + 1) * 3 * walkMs + 3 * (1_000 + walkMs));
        expect(error.attempts.length).to.be.above(0);
        const times = error.attempts.map(({ atMs }) => atMs);
        expect(times).to.deep.equal(times.toSorted((a, b) => a - b));
        for (const { registry, phase, reason, verdict } of error.attempts) {
          expect(doubles.some(({ host }) => registry === `${host}/team`)).to.equal(true);
          expect(phase).to.be.oneOf(['metadata', 'layers']);
          expect(reason.cause).to.not.equal('host-process');
          expect(verdict).to.be.oneOf(['again', 'next', 'ill', 'limited']);
        }
        expect(new Set(error.attempts.map(({ registry }) => registry)).size).to.equal(count);
      }),
    );
    await untilAsBefore(before);
  });
});
