import { expect } from 'chai';
import { type Done, summarize, type Trial } from '../../bench/summary.js';
import { judge, type Judgement, type Target } from '../../bench/target.js';
import { done } from './support/results.js';

const mebibyte: number = 2 ** 20;

function summaryOf(...trials: readonly Trial[]): Done {
  const summary = summarize(trials);
  if (summary.ending !== 'done') throw new Error('these trials did not succeed');
  return summary;
}

/** 1 GB over a link that needs 10 s for it, beside another one that takes 4 s. */
function judged(target: Target, own: readonly Trial[], others: readonly Trial[] = [done(4)]): Judgement | null {
  return judge(target, {
    summary: summaryOf(...own),
    blobBytes: 1e9,
    limitSeconds: 10,
    find: (name) => (name === 'other' ? { title: 'the other', summary: summaryOf(...others) } : null),
  });
}

describe('a target of the comparison', () => {
  const cases: readonly {
    readonly target: Target;
    readonly text: string;
    readonly met: Trial;
    readonly missed: Trial;
    readonly measured: string;
    readonly others?: Trial;
  }[] = [
    {
      target: { kind: 'times', times: 1.1, of: 'other' },
      text: '≤ 1.10 × the other',
      met: done(4.4),
      missed: done(4.5),
      measured: '1.10 ×',
    },
    {
      target: { kind: 'times-limit', times: 1.25 },
      text: '≤ 1.25 × bytes ÷ bandwidth',
      met: done(12.5),
      missed: done(12.6),
      measured: '1.25 ×',
    },
    {
      target: { kind: 'longer', ms: 5_000, of: 'other' },
      text: '≤ the other + 5 s = 9.00 s',
      met: done(9),
      missed: done(9.01),
      measured: '9.00 s',
    },
    {
      target: { kind: 'rate', share: 0.8, of: 'other' },
      text: '≥ 0.8 × the other in MB/s',
      met: done(5),
      missed: done(5.1),
      measured: '0.80 ×',
    },
    {
      target: { kind: 'each', times: 1.1, of: 'other' },
      text: 'slowest pull ≤ 1.10 × slowest of the other',
      met: done(90, { slowestSeconds: 0.55 }),
      missed: done(1, { slowestSeconds: 0.56 }),
      measured: '1.10 × (0.55 s)',
      others: done(4, { slowestSeconds: 0.5 }),
    },
    {
      target: { kind: 'sent-twice', bytes: 2 * mebibyte, why: 'a range' },
      text: 'sent twice ≤ 2 MiB: a range',
      met: done(1, { sentByA: 1e9, sentByB: 2 * mebibyte }),
      missed: done(1, { sentByA: 1e9, sentByB: 2 * mebibyte + 1 }),
      measured: '2.0 MiB',
    },
    {
      target: { kind: 'growth', bytes: 100 * mebibyte },
      text: 'memory grows by ≤ 100 MiB',
      met: done(1, { rssGrowthBytes: 100 * mebibyte }),
      missed: done(1, { rssGrowthBytes: 101 * mebibyte }),
      measured: '100 MiB at most',
    },
    {
      target: { kind: 'loop-delay', ms: 50 },
      text: 'event-loop delay p99 ≤ 50 ms',
      met: done(1, { loopDelayMs: 50 }),
      missed: done(1, { loopDelayMs: 51 }),
      measured: '50 ms',
    },
    {
      target: { kind: 'cpu', secondsPerGb: 2.3 },
      text: '≤ 2.3 CPU-s/GB, hashing included',
      met: done(1, { cpuSeconds: 2.3 }),
      missed: done(1, { cpuSeconds: 2.4 }),
      measured: '2.30',
    },
    {
      target: { kind: 'no-refusals' },
      text: 'no request answered 429',
      met: done(1, { refusals: 0 }),
      missed: done(1, { refusals: 1 }),
      measured: '0',
    },
  ];

  for (const { target, text, met, missed, measured, others } of cases) {
    it(`of ${target.kind} holds a pull to what is promised, and not a moment more`, () => {
      const beside = others === undefined ? undefined : [others];
      expect(judged(target, [met], beside)).to.include({ target: text, measured, isMet: true });
      expect(judged(target, [missed], beside)).to.include({ target: text, isMet: false });
    });
  }

  it('is judged by the median of times, and by the worst round of memory', () => {
    const times = { kind: 'times', times: 1, of: 'other' } as const;
    expect(judged(times, [done(1), done(4), done(90)])).to.include({ isMet: true });
    const growth = { kind: 'growth', bytes: 10 } as const;
    const rounds = [1, 2, 11].map((rssGrowthBytes) => done(1, { rssGrowthBytes }));
    expect(judged(growth, rounds)).to.include({ isMet: false });
  });

  it('tells the longest time that meets it, where it is one of time', () => {
    expect(judged({ kind: 'times', times: 0.5, of: 'other' }, [done(1)])).to.include({ allowedSeconds: 2 });
    expect(judged({ kind: 'times-limit', times: 0.5 }, [done(1)])).to.include({ allowedSeconds: 5 });
    expect(judged({ kind: 'rate', share: 0.8, of: 'other' }, [done(1)])).to.include({ allowedSeconds: 5 });
    expect(judged({ kind: 'no-refusals' }, [done(1, { refusals: 0 })])).to.include({ allowedSeconds: null });
  });

  it('is not judged where nothing was measured, or there is nobody to compare with', () => {
    const unmeasured: readonly Target[] = [
      { kind: 'times', times: 1, of: 'nobody' },
      { kind: 'longer', ms: 1, of: 'nobody' },
      { kind: 'rate', share: 1, of: 'nobody' },
      ...cases
        .map(({ target }) => target)
        .filter(({ kind }) => !['times', 'times-limit', 'longer', 'rate'].includes(kind)),
    ];
    for (const target of unmeasured) expect(judged(target, [done(1)]), target.kind).to.equal(null);
  });
});
