import { expect } from 'chai';
import fc from 'fast-check';
import { fetchBlob } from '../../../lib/failover/blob/fetch-blob.js';
import { type Fault, parseFault } from '../../../lib/testing/index.js';
import { until } from '../../support/until.js';
import { seededRandom } from '../../support/seeded-random.js';
import { closeHeartRigs, untilQuiet } from '../support/heart-rig.js';
import { memorySink } from '../support/memory-sink.js';
import { playSchedules, seed } from '../support/play-schedules.js';
import { expectAllGivenBack, openRangeRig, right, size, wanted } from '../support/range-fetch.js';

/** Schedules of one run. */
const schedules = Number(process.env['SCHEDULES'] ?? 120);
const atOnce = 6;
/** No schedule takes nearly as long; one that does hangs. */
const hangMs = 45_000;

/** Short, with room for a machine on which several schedules and their registries run at once. */
const timeouts = {
  metadata: { requestMs: 1_500, totalMs: 2_000 },
  layers: { firstByteMs: 1_200, stallMs: 900, windowMs: 1_200 },
  lastCandidate: { firstByteMs: 5_000, stallMs: 5_000 },
};

const place = fc.integer({ min: 0, max: size - 1 });
const scope = fc.oneof(
  fc.constant({}),
  fc.record({ times: fc.integer({ min: 1, max: 5 }) }),
  fc.record({ after: fc.integer({ min: 1, max: 6 }) }),
  fc.record({ probability: fc.constantFrom(0.2, 0.5), seed: fc.nat(1_000) }),
);
const trouble = fc.oneof(
  fc.tuple(fc.constantFrom('stall', 'reset', 'truncate'), place).map(([kind, afterBytes]) => ({ kind, afterBytes })),
  fc.tuple(place, fc.constantFrom(100, 30_000, 200_000)).map(([afterBytes, bytesPerSecond]) => ({
    kind: 'drip',
    afterBytes,
    bytesPerSecond,
  })),
  place.map((atByte) => ({ kind: 'wrong-bytes', atByte })),
  fc.constantFrom(1, -1, 700).map((byBytes) => ({ kind: 'wrong-range', byBytes, header: 'as-asked' })),
  fc.constantFrom(200, 5_000, 40_000).map((maxBytes) => ({ kind: 'short-range', maxBytes })),
  fc.constantFrom('ignore-range', 'unknown-total', 'no-headers', 'hang-up', 'missing').map((kind) => ({ kind })),
  fc.constantFrom(20, 150, 600).map((ms) => ({ kind: 'delay', ms })),
  fc.constantFrom(401, 404, 416, 500, 503).map((status) => ({ kind: 'status', status })),
  fc.constantFrom(0, 1).map((retryAfter) => ({ kind: 'status', status: 429, retryAfter })),
);
const fault: fc.Arbitrary<Fault> = fc
  .tuple(trouble, scope)
  .map(([what, which]) => parseFault({ on: 'layers', ...what, ...which }));

const lies: readonly Fault['kind'][] = ['wrong-bytes', 'wrong-range'];

interface Schedule {
  readonly registries: readonly { readonly faults: readonly Fault[]; readonly redirects: boolean }[];
  /** The one without faults. */
  readonly healthy: number;
  readonly connections: number;
  readonly maxConnections: number;
  readonly rangeBytes: number;
  readonly windowRanges: number;
  readonly spread: boolean;
  readonly layersMs: number;
  /** Pulls that fetch it at the same time. */
  readonly pulls: number;
  readonly slowSink: boolean;
  readonly kept: number;
}

const schedule: fc.Arbitrary<Schedule> = fc
  .record({
    registries: fc.array(
      fc.record({ faults: fc.array(fault, { minLength: 1, maxLength: 3 }), redirects: fc.boolean() }),
      { minLength: 2, maxLength: 4 },
    ),
    healthy: fc.nat(3),
    connections: fc.integer({ min: 1, max: 6 }),
    maxConnections: fc.constantFrom(6, 7, 16),
    rangeBytes: fc.constantFrom(16_384, 50_000, 65_536, 200_000),
    windowRanges: fc.constantFrom(1, 2, 4, 16),
    spread: fc.boolean(),
    layersMs: fc.constantFrom(60, 300, Infinity),
    pulls: fc.constantFrom(1, 1, 2, 3),
    slowSink: fc.boolean(),
    kept: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, place),
  })
  .map((made) => {
    const healthy = made.healthy % made.registries.length;
    return {
      ...made,
      healthy,
      registries: made.registries.map((registry, index) =>
        index === healthy ? { ...registry, faults: [] } : registry,
      ),
    };
  });

async function play(made: Schedule): Promise<void> {
  const rig = await openRangeRig(made.registries, {
    connections: made.connections,
    timeouts,
    hedge: { metadataMs: Infinity, layersMs: made.layersMs, budget: 1 },
    transfer: {
      rangeBytes: made.rangeBytes,
      windowBytes: made.rangeBytes * made.windowRanges,
      maxConnections: made.maxConnections,
      connectionsPerBlob: 6,
      spread: made.spread,
    },
  });
  try {
    const pulls = Array.from({ length: made.pulls }, () => rig.openPull());
    const random = seededRandom(made.kept);
    await Promise.all(
      pulls.map(async (pull) => {
        let writing = 0;
        const sink = memorySink({
          kept: right.subarray(0, made.kept),
          onWrite: async () => {
            writing += 1;
            expect(writing, 'one write at a time').to.equal(1);
            if (made.slowSink && random() < 0.2) await new Promise((resolve) => setTimeout(resolve, random() * 30));
            writing -= 1;
          },
        });
        await fetchBlob(pull.context, wanted, sink);
        expect(sink.isCommitted).to.equal(true);
        expect(sink.content.equals(right), 'the bytes are right').to.equal(true);
        const named = pull.attempts
          .filter((attempt) => attempt.includes('content/digest-mismatch'))
          .map((attempt) => rig.candidates.findIndex(({ registry }) => rig.nameOf(registry) === attempt.slice(0, 1)));
        for (const liar of named) {
          const { faults = [] } = made.registries[liar] ?? {};
          expect(
            faults.some(({ kind }) => lies.includes(kind)),
            `${liar} has lied`,
          ).to.equal(true);
        }
        // Bytes that were right are never thrown away once they are in the sink.
        const restarts = sink.calls.filter(({ call }) => call === 'restart').length;
        if (restarts > 0) expect(named.length, 'somebody is named').to.be.above(0);
        const healthy = rig.candidates[made.healthy]?.registry ?? '';
        expect(pull.ill).to.not.include(`${rig.nameOf(healthy)} layers`);
      }),
    );
    rig.end();
    await untilQuiet(rig.doubles);
    for (const { sources } of pulls) {
      await until(
        () => rig.candidates.every((candidate) => sources.connectionsTo(candidate) === 0),
        'no connection is in use',
      );
    }
    for (const pull of pulls) expectAllGivenBack(rig, pull);
    for (const { violations } of rig.doubles) expect(violations.map(({ detail }) => detail)).to.deep.equal([]);
  } finally {
    rig.end();
  }
}

describe(`random schedules of a blob in ranges (SEED=${seed})`, function () {
  this.timeout(600_000);
  afterEach(closeHeartRigs);

  it('with one healthy registry: the blob arrives whole, liars are named, nothing is left open', async () => {
    await playSchedules({ what: 'one blob', arbitrary: schedule, count: schedules, atOnce, hangMs, play });
  });
});
