import type { ComposedParts } from './compose.js';
import type { JoinableWork } from './join.js';
import { Pull, type PullRun } from './pull.js';
import type { PullJob } from './pull-job.js';

/** Starts what an accepted pull does; those who want it are in `run`. */
export type StartWork = (parts: ComposedParts, job: PullJob, run: PullRun) => JoinableWork;

/** Starts a pull that asks registries. */
export function startPull(parts: ComposedParts, job: PullJob, run: PullRun): JoinableWork {
  const { pullId } = run.scope;
  const pull = new Pull(parts, job, run);
  parts.callersOf.set(pullId, run.callers);
  return { done: pull.run().finally(() => parts.callersOf.delete(pullId)), attempts: () => pull.attempts };
}
