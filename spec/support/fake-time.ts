import sinon from 'sinon';
import { replaceTimeSource } from '../../lib/clock/time.js';

/** Time that passes only when the spec says so. */
export interface FakeTime {
  /** Lets `ms` milliseconds pass, running what falls due and the promises it settles. */
  passMs(ms: number): Promise<void>;
  restore(): void;
}

/** Replaces timers and the library's clock, and nothing else: with more faked, an undici request hangs. */
export function startFakeTime(startMs: number = Date.UTC(2017, 6, 26, 18, 20)): FakeTime {
  const clock = sinon.useFakeTimers({
    now: startMs,
    toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date'],
  });
  const restoreSource = replaceTimeSource({ monotonicMs: () => clock.now - startMs, epochMs: () => clock.now });
  return {
    passMs: async (ms) => {
      await clock.tickAsync(ms);
    },
    restore: () => {
      restoreSource();
      clock.restore();
    },
  };
}
