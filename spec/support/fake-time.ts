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

/** A timeout of more fires at once, here as in Node. */
const maxTimeoutMs = 2 ** 31 - 1;

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

  async function pass(ms: number): Promise<void> {
    let passed = false;
    clock.setTimeout(() => {
      passed = true;
    }, ms);
    await turn(turnsPerStep);
    // One timer after the other: what an expiry sets off must see the time at which it expired.
    while (!passed) {
      await clock.nextAsync();
      await turn(turnsPerStep);
    }
    await clock.tickAsync(0);
    await turn(turnsPerStep);
  }

  return {
    passMs: async (ms) => {
      const untilMs = clock.now + ms;
      do await pass(Math.min(untilMs - clock.now, maxTimeoutMs));
      while (clock.now < untilMs);
    },
    restore: () => {
      restoreSource();
      clock.restore();
    },
  };
}
