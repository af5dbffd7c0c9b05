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

/** There is an engine: one database will be started in it and asked. At most once, after `drill:started`. */
export interface EngineFound {
  readonly type: 'drill:engine-found';
  readonly atMs: number;
  /** What it is and where: `docker 20.10.24, unix:///var/run/docker.sock`. */
  readonly engine: string;
  /** The server that the database is. */
  readonly server: string;
  /** Why it is not the one that was wanted, and how to get that; null where it is. */
  readonly remark: string | null;
}

/** Instead of `drill:engine-found`: no database can be started. */
export interface EngineMissing {
  readonly type: 'drill:engine-missing';
  readonly atMs: number;
  /** What is missing, and how to get it. */
  readonly why: string;
}

/** A container was started from an image that was pulled, and the server in it has answered. */
export interface DatabaseAnswered extends AnsweredDatabase {
  readonly type: 'drill:database-answered';
  readonly atMs: number;
}

/** A database that runs. */
export interface AnsweredDatabase {
  /** The id of the operation. */
  readonly operation: string;
  readonly server: string;
  /** What it said to a PING. */
  readonly answer: string;
  /** From the beginning of the container to the answer. */
  readonly elapsedMs: number;
}

/** What a drill tells while it runs: the puller's own events between those of the stage. */
export type DrillEvent = DrillStarted | EngineFound | EngineMissing | ActStarted | DatabaseAnswered | PullEvent;
