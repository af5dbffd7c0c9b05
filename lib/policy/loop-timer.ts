import { isTimeMovedByHand, monotonicMs } from '../clock/time.js';

/** How often the loop is seen to turn while limits run: 20 wake-ups a second cost nothing measurable. */
const tickMs = 50;

/**
 * The longest gap between two ticks that counts in full. A loop that is merely busy (turns of up to 100 ms)
 * still polls its sockets ten times a second, and there a limit must not stretch; of a longer gap only this much counts.
 */
const countedGapMs = 150;

/**
 * Polls of the sockets between the moment a limit seems over and its expiry. The first one brings what waited in the
 * kernel; the second is for readers that are reached through a stream or a promise which goes on in the next turn.
 */
const confirmingPolls = 2;

/** `setTimeout` fires at once for anything longer. */
export const maxTimeoutMs: number = 2 ** 31 - 1;

/** What sums of the same times can differ by. */
const roundingMs = 0.001;

let foldedLossMs = 0;
let lastTurnMs = 0;
let lastReadMs = -Infinity;
let ticker: NodeJS.Timeout | null = null;
let liveTimers = 0;

/** What of the gap since the last tick is already known not to count. */
function openLossMs(nowMs: number): number {
  return ticker === null ? 0 : Math.max(0, nowMs - lastTurnMs - countedGapMs);
}

function noteTurn(): void {
  if (isTimeMovedByHand()) return;
  const nowMs = monotonicMs();
  foldedLossMs += openLossMs(nowMs);
  lastTurnMs = nowMs;
}

function enter(): void {
  liveTimers += 1;
  if (ticker !== null || isTimeMovedByHand()) return;
  lastTurnMs = monotonicMs();
  ticker = setInterval(noteTurn, tickMs);
  ticker.unref();
}

function leave(): void {
  liveTimers -= 1;
  if (liveTimers > 0 || ticker === null) return;
  noteTurn();
  clearInterval(ticker);
  ticker = null;
}

/**
 * Milliseconds, from an arbitrary origin, in which this process's event loop turned: monotonic time without the time
 * of a blocked loop, a stopped or suspended process, a throttled one. Right at every moment, also inside a blocked
 * turn; the loop is watched only while a `LoopTimer` runs, otherwise all time counts. All of time that is moved by hand
 * counts too: every step of it is a gap, and none of them is a loop that did not turn.
 */
export function loopMs(): number {
  const nowMs = monotonicMs();
  if (isTimeMovedByHand()) return nowMs;
  const countedMs = nowMs - foldedLossMs - openLossMs(nowMs);
  // Folding a loss changes the last digits of the sum, which must not look like a clock that goes back.
  if (lastReadMs - countedMs < roundingMs) lastReadMs = Math.max(lastReadMs, countedMs);
  else lastReadMs = countedMs;
  return lastReadMs;
}

/** Milliseconds that `loopMs` did not count since this process started: the difference over an exchange is its lateness. */
export function lostMs(): number {
  return isTimeMovedByHand() ? foldedLossMs : foldedLossMs + openLossMs(monotonicMs());
}

/** A limit that is running. Each method may be called at any time, any number of times, also after the end. */
export interface LoopTimer {
  /** Progress was made: the whole time is available again. Costs one look at the clock. */
  restart(): void;
  /** What follows is not the peer's time (a slow disk makes us wait). */
  pause(): void;
  resume(): void;
  /** Ends it; `onExpired` will not be called. */
  cancel(): void;
}

/**
 * Calls `onExpired` when `ms` milliseconds of loop time have passed without `restart()` and two more polls of the
 * sockets brought no `restart()` either. With that it has ended, unless `onExpired` itself calls `restart()`: then it
 * runs again. `Infinity` never expires. A running timer keeps the process alive.
 */
export function startLoopTimer(ms: number, onExpired: () => void): LoopTimer {
  enter();
  let startedAtMs = loopMs();
  let pausedAtMs: number | null = null;
  let timeout: NodeJS.Timeout | null = null;
  let poll: NodeJS.Immediate | null = null;
  /** Since the limit fell due. */
  let restarted = false;
  let ended = false;

  const remainingMs = (): number => Math.ceil(startedAtMs + ms - loopMs());

  function arm(): void {
    if (ms === Infinity) return;
    timeout = setTimeout(fallDue, Math.min(Math.max(remainingMs(), 1), maxTimeoutMs));
  }

  function fallDue(): void {
    timeout = null;
    if (pausedAtMs !== null) return;
    if (remainingMs() > 0) {
      arm();
    } else {
      restarted = false;
      confirm(confirmingPolls);
    }
  }

  // The timers of a turn run before its poll: after a blocked loop a limit falls due while the bytes that keep it
  // wait in the kernel.
  function confirm(polls: number): void {
    poll = setImmediate(() => {
      poll = null;
      if (pausedAtMs !== null) return;
      // Also when what was read in the poll blocked the loop for longer than the limit: it was progress.
      if (restarted || remainingMs() > 0) {
        arm();
      } else if (polls > 1) {
        confirm(polls - 1);
      } else {
        expire();
      }
    });
  }

  function expire(): void {
    restarted = false;
    try {
      onExpired();
    } finally {
      if (restarted && !ended) arm();
      else end();
    }
  }

  function end(): void {
    if (ended) return;
    ended = true;
    if (timeout !== null) clearTimeout(timeout);
    if (poll !== null) clearImmediate(poll);
    timeout = null;
    poll = null;
    leave();
  }

  arm();
  return {
    // Thousands of calls a second: the timeout is left as it is, and armed again for the rest when it fires.
    restart: () => {
      restarted = true;
      startedAtMs = loopMs();
      if (pausedAtMs !== null) pausedAtMs = startedAtMs;
    },
    pause: () => {
      pausedAtMs ??= loopMs();
    },
    resume: () => {
      if (pausedAtMs === null) return;
      startedAtMs += loopMs() - pausedAtMs;
      pausedAtMs = null;
      if (!ended && timeout === null && poll === null) arm();
    },
    cancel: end,
  };
}

/** Loop timers in the shape of the global ones, for `customTimers` of p-timeout. They serve nothing else. */
export const loopTimers: {
  readonly setTimeout: typeof globalThis.setTimeout;
  readonly clearTimeout: typeof globalThis.clearTimeout;
} = {
  // The handle is only ever handed back to `clearTimeout`, so it need not be a real `Timeout`.
  setTimeout: ((callback: () => void, ms: number) =>
    startLoopTimer(ms, callback)) as unknown as typeof globalThis.setTimeout,
  clearTimeout: ((timer: LoopTimer | undefined) => {
    timer?.cancel();
  }) as unknown as typeof globalThis.clearTimeout,
};
