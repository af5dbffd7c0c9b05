import type { PullEvent } from '../events/pull-event.js';

/** The stage is set. Once, before anything else. */
export interface DrillStarted {
  readonly type: 'drill:started';
  readonly atMs: number;
  /** What the names of 2017 stand for here, in the order in which registries are asked. */
  readonly standIns: readonly { readonly name: string; readonly prefix: string }[];
}

/** An act begins. */
export interface ActStarted {
  readonly type: 'drill:act-started';
  readonly atMs: number;
  readonly clock: string;
  readonly title: string;
}

/** What a drill tells while it runs: the puller's own events between those of the stage. */
export type DrillEvent = DrillStarted | ActStarted | PullEvent;
