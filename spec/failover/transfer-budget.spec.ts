import { expect } from 'chai';
import fc from 'fast-check';
import { getEventListeners } from 'node:events';
import type { Permit } from '../../lib/failover/permit.js';
import { createTransferBudget, type TransferBudget } from '../../lib/failover/transfer-budget.js';
import type { Taker } from '../../lib/failover/transfer-shares.js';
import { failureOf } from '../support/failure-of.js';
import { startFakeTime, type FakeTime } from '../support/fake-time.js';
import { seededRandom } from '../support/seeded-random.js';
import { endBudgetRigs, openBudgetRig, settle, type BudgetRig, type Claimed, type Wish } from './support/budget-rig.js';

/** Timers that keep this process alive. */
function timersLeft(): number {
  return process.getActiveResourcesInfo().filter((resource) => resource === 'Timeout').length;
}

/** Takes connections for these pulls, each as one claim. */
async function hold(rig: BudgetRig, wishes: readonly Wish[]): Promise<Claimed[]> {
  const held: Claimed[] = [];
  for (const wish of wishes) held.push(await rig.want(wish));
  expect(held.every(({ isHeld }) => isHeld)).to.equal(true);
  return held;
}

/** Claims that have to wait, in this order. */
async function queue(rig: BudgetRig, wishes: readonly Wish[]): Promise<Claimed[]> {
  const waiting: Claimed[] = [];
  for (const wish of wishes) waiting.push(await rig.want(wish));
  expect(waiting.some(({ isHeld }) => isHeld)).to.equal(false);
  return waiting;
}

function times<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index));
}

describe('the connections of a puller', () => {
  afterEach(endBudgetRigs);

  describe('are lent', () => {
    it('at once while one is free, and to the next in the same turn in which one is given back', async () => {
      const rig = openBudgetRig(2);
      const [first] = await hold(rig, [{}, {}]);
      const [third] = await queue(rig, [{}]);
      await rig.release(first!);
      expect(third!.isHeld).to.equal(true);
    });

    it('once each, however often they are given back', async () => {
      const { connection, tryConnection } = createTransferBudget({ maxConnections: 2, maxWindowBytes: 0 });
      const claim = { kind: '', pullId: 'a', remainingBytes: () => 1, onYield: () => undefined };
      const { signal } = new AbortController();
      const first = await connection(claim, signal);
      const second = tryConnection(claim);
      for (const permit of [first, second, first, second]) permit?.release();
      await connection(claim, signal);
      expect(tryConnection(claim)).to.not.equal(null);
      expect(tryConnection(claim)).to.equal(null);
    });

    it('to the kind that holds fewest first, whoever came before', async () => {
      const rig = openBudgetRig(4);
      const [app] = await hold(rig, [...times(3, () => ({ kind: 'app' })), { kind: 'database' }]);
      const [late, soon] = await queue(rig, [{ kind: 'app', remainingBytes: 1 }, { kind: 'database' }]);
      await rig.release(app!);
      expect([soon!.isHeld, late!.isHeld]).to.deep.equal([true, false]);
    });

    it('of kinds that hold equally many, to the one that was served longest ago', async () => {
      const rig = openBudgetRig(1);
      for (const kind of ['a', 'b', 'c']) await rig.release(...(await hold(rig, [{ kind }])));
      await hold(rig, [{ kind: 'x' }]);
      await queue(
        rig,
        ['c', 'b', 'a', 'c', 'b', 'a'].map((kind) => ({ kind })),
      );
      for (let turn = 0; turn < 6; turn += 1) await rig.release(rig.served.at(-1)!);
      expect(rig.served.slice(4).map(({ kind }) => kind)).to.deep.equal(['a', 'b', 'c', 'a', 'b', 'c']);
    });

    it('within a kind to the pull that holds fewest', async () => {
      const rig = openBudgetRig(4);
      const [one] = await hold(
        rig,
        ['a', 'a', 'a', 'b'].map((pullId) => ({ pullId })),
      );
      const [a, b, c] = await queue(
        rig,
        ['a', 'b', 'c'].map((pullId, remainingBytes) => ({ pullId, remainingBytes })),
      );
      await rig.release(one!);
      expect(rig.served.at(-1)).to.equal(c);
      await rig.release(c!);
      expect(rig.served.at(-1)).to.equal(b);
      await rig.release(b!);
      expect(rig.served.at(-1)).to.equal(a);
    });

    it('of pulls that hold equally many, to the one whose waiting claim has the least left, and so within a pull', async () => {
      const rig = openBudgetRig(1);
      await hold(rig, [{ pullId: 'x' }]);
      const wishes = [
        { pullId: 'a', remainingBytes: 50 },
        { pullId: 'b', remainingBytes: 40 },
        { pullId: 'a', remainingBytes: 10 },
        { pullId: 'c', remainingBytes: 30 },
        { pullId: 'a', remainingBytes: 20 },
      ];
      const claims = await queue(rig, wishes);
      // What is left is looked at when the choice is made.
      claims[1]!.remainingBytes = 15;
      for (const _ of wishes) await rig.release(rig.served.at(-1)!);
      expect(rig.served.slice(1).map(({ remainingBytes }) => remainingBytes)).to.deep.equal([10, 15, 20, 30, 50]);
    });

    it('now and then to whoever waits longest: a stream of small claims does not hold up a large one for ever', async () => {
      const rig = openBudgetRig(1);
      await hold(rig, [{ pullId: 'first' }]);
      const [large] = await queue(rig, [{ pullId: 'large', remainingBytes: 1e9 }]);
      let turns = 0;
      while (!large!.isHeld && turns < 100) {
        await queue(rig, [{ pullId: `small ${turns}`, remainingBytes: 1 }]);
        await rig.release(rig.served.at(-1)!);
        turns += 1;
      }
      expect(turns).to.equal(8);
    });

    it('in a time that thousands of waiting claims do not multiply', async () => {
      const rig = openBudgetRig(16);
      await hold(
        rig,
        times(16, (index) => ({ pullId: `${index}` })),
      );
      const claims = await queue(
        rig,
        times(1_000, (index) => ({ pullId: `${index % 50}`, remainingBytes: index })),
      );
      for (let turn = 0; turn < claims.length; turn += 1) await rig.release(rig.served[turn]!);
      expect(claims.every(({ isHeld, isWaiting }) => (isHeld !== isWaiting && !isWaiting) || !isHeld)).to.equal(true);
      expect(rig.served.length).to.equal(1_016);
      const looks = claims.reduce((sum, claim) => sum + claim.looks, 0);
      expect(looks, 'each is looked at once per turn at most').to.be.below(1_000 * 1_000);
    });
  });

  describe('are waited for', () => {
    it('until the signal is aborted, whose own reason is what the claim rejects with', async () => {
      const rig = openBudgetRig(1);
      const reason = { not: 'an error' };
      const gone = AbortSignal.abort(reason);
      expect(await failureOf((await rig.want({ signal: gone })).done)).to.equal(reason);
      const [held] = await hold(rig, [{}]);
      const abort = new AbortController();
      const [first, second] = await queue(rig, [{ signal: abort.signal, remainingBytes: 1 }, {}]);
      abort.abort(reason);
      expect(await failureOf(first!.done)).to.equal(reason);
      await rig.release(held!);
      expect(second!.isHeld).to.equal(true);
      await rig.release(second!);
      expect((await rig.want()).isHeld, 'nothing was lost').to.equal(true);
    });

    it('without anything left behind: no timer, no listener', async () => {
      await settle();
      const before = timersLeft();
      const rig = openBudgetRig(1);
      const [held] = await hold(rig, [{}]);
      const aborts = times(3, () => new AbortController());
      await queue(
        rig,
        aborts.map(({ signal }) => ({ signal })),
      );
      expect(timersLeft()).to.equal(before + 1);
      for (const { signal } of aborts) expect(getEventListeners(signal, 'abort').length).to.equal(1);
      await rig.release(held!);
      await rig.release(rig.served.at(-1)!);
      aborts[2]!.abort(new Error('no longer'));
      expect(timersLeft()).to.equal(before);
      for (const { signal } of aborts) expect(getEventListeners(signal, 'abort').length).to.equal(0);
    });

    it('in vain by nobody whose signal is aborted after it was served', async () => {
      const rig = openBudgetRig(1);
      const [held] = await hold(rig, [{}]);
      const abort = new AbortController();
      const [claimed] = await queue(rig, [{ signal: abort.signal }]);
      held!.release();
      abort.abort();
      await claimed!.done;
      expect(claimed!.isHeld).to.equal(true);
    });
  });

  describe('are asked for again', () => {
    let time: FakeTime;
    beforeEach(() => {
      time = startFakeTime();
    });
    afterEach(async () => {
      await endBudgetRigs();
      time.restore();
    });

    const yieldsOf = (claims: readonly Claimed[]): number[] => claims.map(({ yields }) => yields);

    it('at once when a kind holds less than its share, from the pull that holds most, where most is left', async () => {
      const rig = openBudgetRig(4);
      const held = await hold(rig, [
        { pullId: 'a', remainingBytes: 9_000 },
        { pullId: 'b', remainingBytes: 10 },
        { pullId: 'b', remainingBytes: 30 },
        { pullId: 'b', remainingBytes: 20 },
      ]);
      await queue(rig, [{ kind: 'database', remainingBytes: 1e9 }]);
      expect(yieldsOf(held)).to.deep.equal([0, 0, 1, 0]);
      await queue(rig, [{ kind: 'database', remainingBytes: 1e9 }]);
      expect(yieldsOf(held)).to.deep.equal([0, 0, 1, 1]);
      await queue(rig, [{ kind: 'database', remainingBytes: 1e9 }]);
      expect(yieldsOf(held), 'two of four are its share').to.deep.equal([0, 0, 1, 1]);
      await rig.release(held[2]!, held[3]!);
      expect(rig.served.slice(4).map(({ kind }) => kind)).to.deep.equal(['database', 'database']);
    });

    it('at once for no more than the share of a kind, and the first connection of a pull', async () => {
      const rig = openBudgetRig(12);
      const held = await hold(rig, [
        ...times(11, (index) => ({ pullId: `${index}`, remainingBytes: index })),
        { kind: 'cron' },
      ]);
      await queue(
        rig,
        times(6, (index) => ({ kind: 'database', pullId: `${index}` })),
      );
      expect(
        yieldsOf(held).reduce((sum, yields) => sum + yields),
        'a third of 12',
      ).to.equal(4);
      const other = openBudgetRig(4);
      const its = await hold(
        other,
        times(4, () => ({ pullId: 'a' })),
      );
      await queue(other, [{ pullId: 'b' }, { pullId: 'b' }]);
      expect(yieldsOf(its)).to.deep.equal([1, 0, 0, 0]);
    });

    it('again when those that were asked have made room, and more is wanted', async () => {
      const rig = openBudgetRig(4);
      const held = await hold(
        rig,
        times(4, (index) => ({ pullId: `${index}`, remainingBytes: 100 - index })),
      );
      await queue(rig, [{ kind: 'database' }]);
      await rig.release(held[0]!);
      await queue(rig, [{ kind: 'database' }]);
      expect(yieldsOf(held)).to.deep.equal([1, 1, 0, 0]);
    });

    it('at once when a pull holds nothing and another one of its kind several', async () => {
      const rig = openBudgetRig(3);
      const held = await hold(rig, [
        { pullId: 'a', remainingBytes: 10 },
        { pullId: 'a', remainingBytes: 20 },
        { pullId: 'b', remainingBytes: 30 },
      ]);
      await queue(rig, [{ pullId: 'c' }]);
      expect(yieldsOf(held)).to.deep.equal([0, 1, 0]);
      await queue(rig, [{ pullId: 'd' }, { pullId: 'b' }, { pullId: 'a' }]);
      expect(yieldsOf(held), 'nobody is left that holds several').to.deep.equal([0, 1, 0]);
    });

    it('not at once from somebody who would then hold less than the one that waits', async () => {
      for (const [max, kinds] of [
        [3, ['a', 'a', 'b']],
        [1, ['a']],
        [5, ['a', 'a', 'b', 'b', 'c']],
      ] as const) {
        const rig = openBudgetRig(max);
        const held = await hold(
          rig,
          kinds.map((kind, index) => ({ kind, pullId: `${index}` })),
        );
        await queue(rig, [{ kind: 'b', pullId: 'late' }]);
        expect(yieldsOf(held)).to.deep.equal(held.map(() => 0));
      }
    });

    it('not at once while one that was taken to be short is out', async () => {
      const rig = openBudgetRig(4);
      const held = await hold(rig, [{ remainingBytes: 5 }, { remainingBytes: 4 }, { remainingBytes: 3 }]);
      const short = rig.budget.tryConnection({ kind: 'app', pullId: 'a' });
      const [first] = await queue(rig, [{ kind: 'database' }]);
      expect(yieldsOf(held)).to.deep.equal([0, 0, 0]);
      await queue(rig, [{ kind: 'database' }]);
      expect(yieldsOf(held), 'one is not enough for two').to.deep.equal([1, 0, 0]);
      short?.release();
      await settle();
      expect(first!.isHeld).to.equal(true);
    });

    it('after a second from the one with most left, if that is more than the waiting one has', async () => {
      const rig = openBudgetRig(2);
      const held = await hold(rig, [
        { pullId: 'a', remainingBytes: 500 },
        { pullId: 'b', remainingBytes: 900 },
      ]);
      await queue(rig, [{ pullId: 'c', remainingBytes: 499 }]);
      await time.passMs(990);
      expect(yieldsOf(held)).to.deep.equal([0, 0]);
      await time.passMs(20);
      expect(yieldsOf(held)).to.deep.equal([0, 1]);
    });

    it('never from one that has no more left than the waiting one', async () => {
      const rig = openBudgetRig(2);
      const held = await hold(rig, [
        { pullId: 'a', remainingBytes: 500 },
        { pullId: 'b', remainingBytes: 300 },
      ]);
      const [waiting] = await queue(rig, [{ pullId: 'c', remainingBytes: 500 }]);
      await time.passMs(10_000);
      expect(yieldsOf(held)).to.deep.equal([0, 0]);
      expect(waiting!.looks, 'it looks around once a second').to.be.within(10, 40);
      held[0]!.remainingBytes = 501;
      await time.passMs(1_000);
      expect(yieldsOf(held)).to.deep.equal([1, 0]);
      expect(waiting!.isWaiting).to.equal(true);
    });

    it('not from a kind or a pull that holds no more than the one that waits: it would go back there', async () => {
      const rig = openBudgetRig(4);
      const held = await hold(rig, [
        { kind: 'app', pullId: 'a', remainingBytes: 900 },
        { kind: 'app', pullId: 'b', remainingBytes: 20 },
        { kind: 'database', pullId: 'c', remainingBytes: 800 },
        { kind: 'database', pullId: 'd', remainingBytes: 30 },
      ]);
      await queue(rig, [{ kind: 'database', pullId: 'd', remainingBytes: 10 }]);
      await time.passMs(1_100);
      expect(yieldsOf(held), 'its own large one').to.deep.equal([0, 0, 0, 1]);
    });

    it('for each that waits, those with the least left first, and from each holder once', async () => {
      const rig = openBudgetRig(3);
      const held = await hold(
        rig,
        times(3, (index) => ({ pullId: `${index}`, remainingBytes: 100 * (index + 1) })),
      );
      await queue(rig, [
        { pullId: 'x', remainingBytes: 250 },
        { pullId: 'y', remainingBytes: 150 },
      ]);
      await time.passMs(1_100);
      expect(yieldsOf(held), 'for y; x has more left than the next').to.deep.equal([0, 0, 1]);
      await queue(rig, [{ pullId: 'z', remainingBytes: 50 }]);
      await time.passMs(1_100);
      expect(yieldsOf(held)).to.deep.equal([0, 1, 1]);
      await rig.release(held[2]!, held[1]!);
      expect(rig.served.slice(3).map(({ pullId }) => pullId)).to.deep.equal(['z', 'y']);
    });

    it('from another one when the first that was asked has not released after four seconds', async () => {
      const rig = openBudgetRig(2);
      const held = await hold(rig, [
        { pullId: 'a', remainingBytes: 500 },
        { pullId: 'b', remainingBytes: 900 },
      ]);
      await queue(rig, [{ pullId: 'c', remainingBytes: 1 }]);
      await time.passMs(4_900);
      expect(yieldsOf(held)).to.deep.equal([0, 1]);
      await time.passMs(1_200);
      expect(yieldsOf(held)).to.deep.equal([1, 1]);
      await time.passMs(60_000);
      expect(yieldsOf(held), 'each once').to.deep.equal([1, 1]);
    });

    it('again on behalf of one whose place another one took', async () => {
      const rig = openBudgetRig(2);
      const held = await hold(rig, [
        { pullId: 'a', remainingBytes: 500 },
        { pullId: 'b', remainingBytes: 900 },
      ]);
      const [waiting] = await queue(rig, [{ pullId: 'c', remainingBytes: 100 }]);
      await time.passMs(1_100);
      const [smaller] = await queue(rig, [{ pullId: 'd', remainingBytes: 50 }]);
      await rig.release(held[1]!);
      expect([smaller!.isHeld, waiting!.isHeld]).to.deep.equal([true, false]);
      await time.passMs(1_000);
      expect(yieldsOf(held)).to.deep.equal([1, 1]);
    });

    it('not on behalf of one that was served in the place of another one meanwhile', async () => {
      const rig = openBudgetRig(4);
      const [database] = await hold(rig, [
        { kind: 'database', remainingBytes: 700 },
        { kind: 'cron', remainingBytes: 5 },
        { kind: 'app', remainingBytes: 900, yieldsAtOnce: true },
        { kind: 'app', remainingBytes: 5 },
      ]);
      const [smallest, other] = await queue(rig, [
        { kind: 'app', remainingBytes: 10 },
        { kind: 'database', remainingBytes: 20 },
      ]);
      await time.passMs(1_100);
      expect([smallest!.isHeld, other!.isHeld], 'both kinds held one').to.deep.equal([false, true]);
      expect(database!.yields).to.equal(0);
    });

    it('from one that may give way within the very call that asks it', async () => {
      const rig = openBudgetRig(3);
      const held = await hold(
        rig,
        times(3, (index) => ({ remainingBytes: 100 * index, yieldsAtOnce: true })),
      );
      const soon = await rig.want({ kind: 'database' });
      expect([soon.isHeld, ...held.map(({ isHeld }) => isHeld)]).to.deep.equal([true, true, true, false]);
      const [large, small] = await queue(rig, [{ remainingBytes: 90 }, { remainingBytes: 20 }]);
      await time.passMs(1_100);
      expect(small!.isHeld).to.equal(true);
      expect(large!.isHeld).to.equal(false);
    });
  });

  describe('that are to be had at once', () => {
    const app = { kind: 'app', pullId: 'a' };

    /** How many more this one gets. */
    function takeAll(rig: BudgetRig, taker: Taker): Permit[] {
      const taken: Permit[] = [];
      for (;;) {
        const permit = rig.budget.tryConnection(taker);
        if (permit === null) return taken;
        taken.push(permit);
      }
    }

    it('are all that are free, for a puller with one pull', async () => {
      const rig = openBudgetRig(16);
      await hold(rig, [app]);
      expect(takeAll(rig, app).length).to.equal(15);
    });

    it('are none while anybody waits', async () => {
      const rig = openBudgetRig(1);
      const short = rig.budget.tryConnection(app);
      const [waiting] = await queue(rig, [{ kind: 'database' }]);
      short?.release();
      expect(rig.budget.tryConnection(app), 'it is lent already').to.equal(null);
      await settle();
      expect(waiting!.isHeld).to.equal(true);
    });

    it('leave to every kind that is at work what it has a right to', async () => {
      const rig = openBudgetRig(16);
      const [database] = await hold(rig, [{ kind: 'database' }]);
      await hold(rig, [app]);
      expect(takeAll(rig, app).length, 'half of 16').to.equal(7);
      expect(takeAll(rig, { kind: 'database', pullId: 'a' }).length).to.equal(7);
      const other = openBudgetRig(16);
      await hold(other, [{ kind: 'database' }, { kind: 'database' }, app]);
      for (const kind of ['database', 'app', 'cron']) takeAll(other, { kind, pullId: 'a' });
      expect(other.budget.tryConnection(app), 'with thirds of 16 none is left over').to.equal(null);
      await rig.release(database!);
      expect(takeAll(rig, app).length, 'the other kind still holds less than its part').to.equal(0);
    });

    it('leave to every pull what it has a right to, if it was refused one in the last second', async () => {
      const time = startFakeTime();
      try {
        const rig = openBudgetRig(8);
        const b = { kind: 'app', pullId: 'b' };
        await hold(rig, [app, b]);
        const taken = takeAll(rig, app);
        expect(taken.length, 'the other one wanted none').to.equal(6);
        expect(rig.budget.tryConnection(b)).to.equal(null);
        taken.pop()?.release();
        expect(rig.budget.tryConnection(app)).to.equal(null);
        const permit = rig.budget.tryConnection(b);
        expect(permit).to.not.equal(null);
        permit?.release();
        await time.passMs(1_100);
        expect(rig.budget.tryConnection(app)).to.not.equal(null);
      } finally {
        await endBudgetRigs();
        time.restore();
      }
    });
  });

  describe('in every order of events', function () {
    this.timeout(60_000);

    const kinds = ['app', 'database', ''];
    const step = fc.oneof(
      fc.record({
        what: fc.constant('want' as const),
        kind: fc.constantFrom(...kinds),
        pullId: fc.constantFrom('a', 'b', 'c'),
        remainingBytes: fc.nat(1_000),
        yieldsAtOnce: fc.boolean(),
      }),
      fc.record({
        what: fc.constant('try' as const),
        kind: fc.constantFrom(...kinds),
        pullId: fc.constantFrom('a', 'b'),
      }),
      fc.record({ what: fc.constantFrom('release' as const, 'abort' as const, 'end' as const), index: fc.nat(50) }),
      fc.record({ what: fc.constant('pass' as const), ms: fc.constantFrom(100, 1_000, 4_000) }),
    );

    it('no more are lent than there are, none is free while somebody waits, and in the end everybody was served', async () => {
      await fc.assert(
        fc.asyncProperty(fc.integer({ min: 1, max: 5 }), fc.array(step, { maxLength: 60 }), async (max, steps) => {
          const time = startFakeTime();
          try {
            const rig = openBudgetRig(max);
            const claims: { readonly claimed: Claimed; readonly abort: AbortController; aborted: boolean }[] = [];
            let shorts: Permit[] = [];
            const expectSound = (): void => {
              const held = claims.filter(({ claimed }) => claimed.isHeld).length + shorts.length;
              const waiting = claims.filter(({ claimed }) => claimed.isWaiting).length;
              expect(held).to.be.at.most(max);
              if (waiting > 0) expect(held, 'none is free while somebody waits').to.equal(max);
              for (const { claimed } of claims) expect(claimed.yields).to.be.at.most(1);
            };
            for (const next of steps) {
              switch (next.what) {
                case 'want': {
                  const abort = new AbortController();
                  const claimed = await rig.want({ ...next, signal: abort.signal });
                  claims.push({ claimed, abort, aborted: false });
                  break;
                }
                case 'try': {
                  const isWaiting = claims.some(({ claimed }) => claimed.isWaiting);
                  const permit = rig.budget.tryConnection(next);
                  if (permit !== null) shorts.push(permit);
                  if (isWaiting) expect(permit).to.equal(null);
                  break;
                }
                case 'release': {
                  const held = claims.filter(({ claimed }) => claimed.isHeld);
                  if (held.length > 0) await rig.release(held[next.index % held.length]!.claimed);
                  break;
                }
                case 'abort': {
                  const one = claims[next.index % Math.max(1, claims.length)];
                  if (one !== undefined) {
                    if (one.claimed.isWaiting) one.aborted = true;
                    one.abort.abort(new Error('no longer'));
                  }
                  await settle();
                  break;
                }
                case 'end':
                  shorts.at(next.index % Math.max(1, shorts.length))?.release();
                  shorts = shorts.filter((_, index) => index !== next.index % Math.max(1, shorts.length));
                  await settle();
                  break;
                case 'pass':
                  await time.passMs(next.ms);
                  break;
              }
              expectSound();
            }
            for (const short of shorts) short.release();
            await settle();
            shorts = [];
            for (let turns = claims.length; turns > 0; turns -= 1) {
              await rig.release(...claims.map(({ claimed }) => claimed).filter(({ isHeld }) => isHeld));
              expectSound();
            }
            for (const { claimed, aborted } of claims) {
              expect(claimed.isWaiting, 'nobody waits for ever').to.equal(false);
              expect(rig.served.includes(claimed)).to.equal(!aborted);
            }
            const free = Array.from({ length: max + 1 }, () =>
              rig.budget.tryConnection({ kind: 'new', pullId: 'new' }),
            );
            expect(free.filter((permit) => permit !== null).length, 'all came back').to.equal(max);
          } finally {
            await endBudgetRigs();
            time.restore();
          }
        }),
        { numRuns: 150 },
      );
    });

    it('one pull of a database is next, while twenty of apps take whatever comes back', async () => {
      await fc.assert(
        fc.asyncProperty(fc.integer({ min: 1, max: 20 }), fc.integer(), async (max, seed) => {
          const random = seededRandom(seed);
          const rig = openBudgetRig(max);
          let apps = await Promise.all(
            times(20, (index) =>
              rig.want({ kind: 'app', pullId: `${index}`, remainingBytes: Math.floor(random() * 100) }),
            ),
          );
          let database = await rig.want({ kind: 'database', pullId: 'd', remainingBytes: 1e12 });
          for (let turn = 0; turn < 40; turn += 1) {
            if (database.isHeld && random() < 0.5) {
              await rig.release(database);
              database = await rig.want({ kind: 'database', pullId: 'd', remainingBytes: 1e12 });
              continue;
            }
            const wasWaiting = database.isWaiting;
            const held = apps.filter(({ isHeld }) => isHeld);
            const done = held[Math.floor(random() * held.length)];
            if (done === undefined) continue;
            await rig.release(done);
            const again = await rig.want({
              kind: 'app',
              pullId: done.pullId,
              remainingBytes: Math.floor(random() * 100),
            });
            apps = apps.map((app) => (app === done ? again : app));
            if (wasWaiting) expect(database.isHeld, 'it gets the very next one').to.equal(true);
          }
          await rig.release(database, ...apps);
        }),
        { numRuns: 60 },
      );
    });
  });
});

describe('the window memory of a puller', () => {
  const a = { kind: 'app', pullId: 'a' };
  const b = { kind: 'app', pullId: 'b' };
  const database = { kind: 'database', pullId: 'd' };

  /** Takes as many stretches as there are to be had. */
  function takeAll(budget: TransferBudget, taker: Taker, bytes: number): Permit[] {
    const taken: Permit[] = [];
    for (let permit = budget.tryWindow(taker, bytes); permit !== null; permit = budget.tryWindow(taker, bytes)) {
      taken.push(permit);
    }
    return taken;
  }

  const open = (maxWindowBytes: number): TransferBudget => createTransferBudget({ maxConnections: 16, maxWindowBytes });

  it('is all for one pull while there is no other', () => {
    const budget = open(64);
    expect(takeAll(budget, a, 2).length).to.equal(32);
    expect(budget.tryWindow(b, 2)).to.equal(null);
  });

  it('comes back once, however often it is given back', () => {
    const budget = open(64);
    const permit = budget.tryWindow(a, 48);
    for (let again = 0; again < 3; again += 1) permit?.release();
    expect(budget.tryWindow(a, 65)).to.equal(null);
    expect(budget.tryWindow(a, 64)).to.not.equal(null);
  });

  it('is shared between pulls, and goes to the one below its part as soon as something comes back', async () => {
    const budget = open(64);
    const { signal } = new AbortController();
    for (const taker of [a, b]) {
      await budget.connection({ ...taker, remainingBytes: () => 1, onYield: () => undefined }, signal);
    }
    const first = takeAll(budget, a, 2);
    expect(first.length).to.equal(31);
    for (let turn = 0; turn < 100; turn += 1) {
      first.shift()?.release();
      // The one that has it asks first, each time.
      const again = budget.tryWindow(a, 2);
      if (again !== null) first.push(again);
      takeAll(budget, b, 2);
    }
    expect(first.length, 'half of 64').to.equal(16);
  });

  for (const [who, newcomer] of [
    ['pull', b],
    ['kind', database],
  ] as const) {
    it(`has a stretch left for a ${who} that comes later, once it is known that there are several`, async () => {
      const budget = open(64);
      const abort = new AbortController();
      const claim = { remainingBytes: () => 1, onYield: () => undefined };
      await budget.connection({ ...a, ...claim }, abort.signal);
      const permit = await budget.connection({ ...newcomer, ...claim }, abort.signal);
      expect(takeAll(budget, a, 2).length, 'all but what half of the rest would not leave').to.equal(31);
      expect(budget.tryWindow(newcomer, 2)).to.not.equal(null);
      permit.release();
    });
  }

  it('is shared between kinds first: twenty pulls of one leave half to the pull of another', async () => {
    const budget = open(64);
    const { signal } = new AbortController();
    await budget.connection({ ...database, remainingBytes: () => 1, onYield: () => undefined }, signal);
    const apps = Array.from({ length: 20 }, (_, index) => ({ kind: 'app', pullId: `${index}` }));
    const held = apps.flatMap((app) => takeAll(budget, app, 2));
    const its = takeAll(budget, database, 2);
    expect(its.length).to.be.at.least(1);
    for (const permit of held.splice(0, 20)) {
      permit.release();
      for (const app of apps) expect(takeAll(budget, app, 2).length).to.be.at.most(1);
      its.push(...takeAll(budget, database, 2));
    }
    expect(its.length, 'half of 64').to.equal(16);
  });

  it('is a first stretch for every pull while there is any, however many there are', async () => {
    const budget = createTransferBudget({ maxConnections: 40, maxWindowBytes: 64 });
    const apps = Array.from({ length: 40 }, (_, index) => ({ kind: 'app', pullId: `${index}` }));
    const { signal } = new AbortController();
    for (const app of apps) {
      await budget.connection({ ...app, remainingBytes: () => 1, onYield: () => undefined }, signal);
    }
    expect(apps.filter((app) => budget.tryWindow(app, 2) !== null).length).to.equal(32);
  });

  it('is never more than there is, and all is there again in the end', () => {
    const step = fc.record({
      kind: fc.constantFrom('app', 'database', ''),
      pullId: fc.constantFrom('a', 'b', 'c'),
      bytes: fc.integer({ min: 1, max: 40 }),
      release: fc.option(fc.nat(20), { nil: null }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const budget = open(64);
        let held: { readonly bytes: number; readonly permit: Permit }[] = [];
        for (const { release, ...taker } of steps) {
          const freeBytes = 64 - held.reduce((sum, { bytes }) => sum + bytes, 0);
          const permit = budget.tryWindow(taker, taker.bytes);
          if (permit !== null) expect(taker.bytes).to.be.at.most(freeBytes);
          else expect(taker.bytes * 2, 'half of what is free is never refused').to.be.above(freeBytes);
          if (permit !== null) held.push({ bytes: taker.bytes, permit });
          if (release === null || held.length === 0) continue;
          const given = held[release % held.length];
          given?.permit.release();
          held = held.filter((each) => each !== given);
        }
        for (const { permit } of held) permit.release();
        expect(budget.tryWindow(a, 64)).to.not.equal(null);
      }),
    );
  });
});
