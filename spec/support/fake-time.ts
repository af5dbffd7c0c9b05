import sinon from 'sinon';
import { replaceTimeSource } from '../../lib/clock/time.js';

/** Time that passes only when the spec says so. */
export interface FakeTime {
  /** Lets `ms` milliseconds pass, running what falls due and the promises it settles. */
  passMs(ms: number): Promise<void>;
  restore(): void;
}

/** Turns of the real loop after each step: a limit is confirmed by two polls before it expires, and promises follow. */
const turnsPerStep = 4;

async function turn(times: number): Promise<void> {
  for (let left = times; left > 0; left -= 1) await new Promise<void>((resolve) => setImmediate(resolve));
}

/** Replaces timers and the library's clock, and nothing else: with more faked, an undici request hangs. */
export function startFakeTime(startMs: number = Date.UTC(2017, 6, 26, 18, 20)): FakeTime {
  const clock = sinon.useFakeTimers({
    now: startMs,
    toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date'],
  });
  const restoreSource = replaceTimeSource({
    monotonicMs: () => clock.now - startMs,
    epochMs: () => clock.now,
    movedByHand: true,
  });

  /** When the next timer falls due; sinon keeps it, but its types do not say so. */
  const nextDueMs = (): number => {
    const { timers = {} } = clock as unknown as { timers?: Readonly<Record<string, { readonly callAt: number }>> };
    return Math.min(Infinity, ...Object.values(timers).map((timer) => timer.callAt));
  };

  return {
    passMs: async (ms) => {
      const untilMs = clock.now + ms;
      await turn(turnsPerStep);
      // One due time after the other: what an expiry sets off must see the time at which it expired.
      for (let dueMs = nextDueMs(); dueMs <= untilMs; dueMs = nextDueMs()) {
        await clock.tickAsync(Math.max(0, dueMs - clock.now));
        await turn(turnsPerStep);
      }
      await clock.tickAsync(untilMs - clock.now);
      await turn(turnsPerStep);
    },
    restore: () => {
      restoreSource();
      clock.restore();
    },
  };
}
