import { expect } from 'chai';
import { createEventBus, type PullEventDraft } from '../../lib/events/event-bus.js';
import type { PullEvent } from '../../lib/events/pull-event.js';
import { measure } from '../../lib/drill/measure.js';
import { compareWith2017, type DrillMeasurements } from '../../lib/drill/numbers.js';
import { compareTransfers, type RegistryLog } from '../../lib/drill/transfers.js';
import type { LoggedRequest } from '../../lib/testing/request-log.js';
import type { PullReport } from '../../lib/vocabulary/report.js';
import type { Reason } from '../../lib/vocabulary/reason.js';

type Told = PullEventDraft & { readonly atMs?: number };

/** Numbers and dates events as a puller does, with the times given. */
function told(drafts: readonly Told[]): readonly PullEvent[] {
  const events: PullEvent[] = [];
  const bus = createEventBus();
  bus.on('*', (event) => events.push(event));
  for (const { atMs, ...draft } of drafts) {
    bus.emit(draft);
    const last = events.pop();
    if (last !== undefined) events.push(atMs === undefined ? last : { ...last, atMs });
  }
  return events;
}

const scope = (id: string, kind = 'database') => ({
  pullId: id,
  image: `quay.io/aptible/${id}`,
  operation: { kind, id },
  engine: 'host-1',
});
const stalled: Reason = { cause: 'registry-storage', code: 'stalled', message: 'stalled' };
const moved = { phase: 'layers', from: 'a', to: 'b', reason: stalled } as const;
const reportOf = (
  bytes: Partial<PullReport['bytes']>,
  served: readonly (readonly [registry: string, bytes: number])[] = [],
): PullReport =>
  ({
    bytes: { total: 0, fetched: 0, kept: 0, local: 0, ...bytes },
    served: served.map(([registry, sent]) => ({
      ...{ registry, objects: 1, bytes: sent, wastedBytes: Math.floor(sent / 10), connections: 1 },
      hedges: { won: 1, lost: 2 },
    })),
  }) as unknown as PullReport;
const failed = { error: { code: 'ERR_PULL_EXHAUSTED', message: 'none', retryable: true }, attempts: [] } as const;

describe('the numbers of a day', () => {
  it('count operations by kind and by how they ended', () => {
    const { provisioned, failed: ended } = measure(
      told([
        { type: 'pull:succeeded', ...scope('1'), report: reportOf({}) },
        { type: 'pull:succeeded', ...scope('2', 'app'), report: reportOf({}) },
        { type: 'pull:failed', ...scope('3', 'app'), ...failed },
        { type: 'pull:aborted', ...scope('4', 'build'), attempts: [] },
        { type: 'pull:succeeded', ...scope('5'), operation: null, report: reportOf({}) },
      ]),
    );
    expect(provisioned).to.deep.equal({ database: 1, app: 1 });
    expect(ended).to.deep.equal({ app: 1, build: 1 });
  });

  it('measure each failover from the beginning of its pull, or of its last try, the longest first', () => {
    const { failoverMs } = measure(
      told([
        { type: 'pull:started', ...scope('1'), atMs: 1_000 },
        { type: 'pull:started', ...scope('2'), atMs: 2_000 },
        { type: 'pull:failed-over', ...scope('1'), ...moved, bytesKept: 5, atMs: 1_900 },
        { type: 'pull:resumed', ...scope('2'), parkedMs: 60_000, why: 'interval', atMs: 62_000 },
        { type: 'pull:failed-over', ...scope('2'), ...moved, bytesKept: 0, atMs: 63_500 },
      ]),
    );
    expect(failoverMs).to.deep.equal([1_500, 900]);
  });

  it('count the failures that were blamed on a host, and on whom else', () => {
    const attempt = { registry: 'a', phase: 'layers', verdict: 'ill', object: 'x', elapsedMs: 1, bytes: 0 } as const;
    const full: Reason = { cause: 'host-disk', code: 'disk-full', message: 'full' };
    const { failedAttempts, hostBlamed } = measure(
      told([
        { type: 'registry:failed', ...scope('1'), ...attempt, finding: null, reason: stalled },
        { type: 'registry:failed', ...scope('1'), ...attempt, finding: null, reason: full },
      ]),
    );
    expect({ failedAttempts, hostBlamed }).to.deep.equal({ failedAttempts: 2, hostBlamed: 1 });
  });

  it('count what was missing once per image, what was parked once per pull, and what an operator let go on', () => {
    const missing = { registry: 'b', phase: 'layers' } as const;
    const parked = { phase: 'layers', reason: stalled, untilMs: null } as const;
    const measured = measure(
      told([
        { type: 'replica:missing', ...scope('1'), ...missing, object: 'sha256:1' },
        { type: 'replica:missing', ...scope('1'), ...missing, object: 'sha256:2' },
        { type: 'pull:parked', ...scope('1'), ...parked },
        { type: 'pull:resumed', ...scope('1'), parkedMs: 3_000, why: 'cool-down-over' },
        { type: 'pull:parked', ...scope('1'), ...parked },
        { type: 'pull:resumed', ...scope('1'), parkedMs: 4_000, why: 'promoted' },
        { type: 'pull:parked', ...scope('2'), ...parked },
      ]),
    );
    expect(measured.missingImages).to.deep.equal(['quay.io/aptible/1']);
    expect(measured.parkedOperations).to.equal(2);
    expect(measured.resumedByHand).to.equal(1);
  });

  it('count bytes twice that were not needed, and those of a joined pull once', () => {
    const measured = measure(
      told([
        { type: 'pull:succeeded', ...scope('1'), report: reportOf({ total: 100, fetched: 90, kept: 20, local: 10 }) },
        { type: 'pull:joined', ...scope('2'), joinedPullId: '1' },
        { type: 'pull:succeeded', ...scope('2'), report: reportOf({ total: 100, fetched: 90, kept: 20, local: 10 }) },
        { type: 'pull:succeeded', ...scope('3'), report: reportOf({ total: 50, fetched: 50 }) },
      ]),
    );
    expect(measured.bytesTwice).to.equal(20);
    expect(measured.bytesFetched).to.equal(140);
  });

  it('stand beside those of 2017, and none of them is the same whatever was measured', () => {
    const good: DrillMeasurements = {
      provisioned: { database: 8, app: 15, build: 2 },
      failed: {},
      failoverMs: [1_040, 900],
      failedAttempts: 49,
      hostBlamed: 0,
      resumedByHand: 0,
      missingImages: ['a', 'b'],
      parkedOperations: 2,
      bytesTwice: 2_648,
      bytesFetched: 97_500_000,
      healMs: 5_100,
      imagesRight: 20,
      imagesRead: 20,
      databasesAsked: 1,
      databasesAnswered: 1,
    };
    const bad: DrillMeasurements = {
      provisioned: { database: 6 },
      failed: { database: 2, app: 3, build: 2 },
      failoverMs: [1_560_000],
      failedAttempts: 50,
      hostBlamed: 16,
      resumedByHand: 12,
      missingImages: ['a', 'b', 'c'],
      parkedOperations: 0,
      bytesTwice: 9e6,
      bytesFetched: 50e6,
      healMs: null,
      imagesRight: 3,
      imagesRead: 4,
      databasesAsked: 1,
      databasesAnswered: 0,
    };
    const rows = compareWith2017(good);
    expect(rows.map(({ what, in2017, inDrill }) => [what, in2017, inDrill])).to.deep.equal([
      ['database operations failed', '2', '0 of 8'],
      ['app operations failed', '3', '0 of 15'],
      ['time to fail over', '26 min', '1.0 s at most'],
      ['operators switching by hand', '10 to 30 min', '0 times'],
      ['failures blamed on a host', '1, for 16 min', '0 of 49'],
      ['images found not replicated', '2', '2'],
      ['operations that needed those', 'failed or waited', '2 waited, 0 of 2 failed'],
      ['bytes fetched twice', null, '0.003 of 97.5 MB'],
      ['back on the first registry', 'next day, by hand', '5.1 s, by itself'],
      ['images whole and right', null, '20 of 20'],
      ['databases that answer a PING', null, '1 of 1'],
    ]);
    const others = compareWith2017(bad);
    for (const [index, { what, inDrill }] of rows.entries()) expect(others[index]?.inDrill, what).to.not.equal(inDrill);
  });
});

describe('what was fetched from whom', () => {
  const request = (of: Partial<LoggedRequest>): LoggedRequest =>
    ({ kind: 'storage', status: 200, bytesSent: 0, ...of }) as unknown as LoggedRequest;
  const logs: readonly RegistryLog[] = [
    {
      prefix: 'a',
      requests: [
        request({ kind: 'ping', bytesSent: 2 }),
        request({ kind: 'token', bytesSent: 90 }),
        request({ kind: 'manifest', bytesSent: 10 }),
        request({ kind: 'blob', status: 307, bytesSent: 3 }),
        request({ kind: 'storage', status: 206, bytesSent: 30 }),
      ],
    },
    { prefix: 'b', requests: [request({ kind: 'manifest', status: 404, bytesSent: 77 }), request({ bytesSent: 60 })] },
  ];
  const succeeded = (id: string, served: readonly (readonly [string, number])[]): Told => ({
    type: 'pull:succeeded',
    ...scope(id),
    report: reportOf({}, served),
  });

  it('agrees when the bytes of content by both ends are the same, registry by registry', () => {
    const events = told([
      succeeded('1', [['a', 25]]),
      succeeded('2', [
        ['a', 15],
        ['b', 60],
      ]),
    ]);
    expect(compareTransfers(logs, events)).to.deep.equal([
      {
        ...{ registry: 'a', requests: 2, sentBytes: 40, arrivedBytes: 40, agrees: true },
        ...{ wastedBytes: 3, hedges: { won: 2, lost: 4 } },
      },
      {
        ...{ registry: 'b', requests: 1, sentBytes: 60, arrivedBytes: 60, agrees: true },
        ...{ wastedBytes: 6, hedges: { won: 1, lost: 2 } },
      },
    ]);
  });

  it('differs by a single byte', () => {
    const events = told([
      succeeded('1', [
        ['a', 39],
        ['b', 61],
      ]),
    ]);
    expect(compareTransfers(logs, events).map(({ agrees }) => agrees)).to.deep.equal([false, false]);
  });

  it('counts what arrived for a joined pull once', () => {
    const events = told([
      succeeded('1', [
        ['a', 40],
        ['b', 60],
      ]),
      { type: 'pull:joined', ...scope('2'), joinedPullId: '1' },
      succeeded('2', [
        ['a', 40],
        ['b', 60],
      ]),
    ]);
    expect(compareTransfers(logs, events).map(({ agrees }) => agrees)).to.deep.equal([true, true]);
  });

  it('is not judged when a pull failed, whose events name no bytes', () => {
    const events = told([succeeded('1', [['a', 40]]), { type: 'pull:failed', ...scope('2'), ...failed }]);
    expect(compareTransfers(logs, events).map(({ agrees }) => agrees)).to.deep.equal([null, null]);
  });
});
