import { PullDeadlineError } from '../errors/pull-deadline-error.js';
import type { HeartContext } from '../failover/context.js';
import type { DerivedAbort } from '../policy/deadline.js';
import { startLoopTimer, type LoopTimer } from '../policy/loop-timer.js';

/** Ends a pull by `abort` when its layers take longer than `layers.totalMs`. Cancel it when they are there. */
export function startLayersDeadline({ limits, image, sources }: HeartContext, abort: DerivedAbort): LoopTimer {
  const { totalMs } = limits.layers;
  return startLoopTimer(totalMs, () => {
    abort.abort(new PullDeadlineError(image, 'layers.totalMs', totalMs, [...sources.attempts]));
  });
}
