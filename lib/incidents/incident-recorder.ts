import { epochMs } from '../clock/time.js';
import type { PullEvent } from '../events/pull-event.js';
import type { StateDocument } from '../health/state-document.js';
import type { Incident } from './incident.js';
import { IncidentArchive } from './incident-archive.js';
import { type CircuitNow, type IncidentStart, IncidentWatch } from './incident-watch.js';
import type { KeptIncidents } from './incidents-document.js';

/** What a recorder is given. */
export interface IncidentRecorderOptions {
  /** Where incidents are kept; default in memory. */
  readonly document?: StateDocument<KeptIncidents>;
  /**
   * What the circuits are now, asked for when a pull is planned: circuits that closed without a word (in another process,
   * while an operator held them) end the incident too.
   */
  readonly circuits?: () => readonly CircuitNow[];
  /** An incident began. Not called for one that is taken over from a process that has ended. */
  readonly onOpened?: (incident: Incident, start: IncidentStart) => void;
  /** Every circuit is closed again. Operations that it touched may still run; the record follows them to their end. */
  readonly onClosed?: (incident: Incident) => void;
  /** Past incidents that are kept; default 10. */
  readonly maxIncidents?: number;
}

/** Writes the record of incidents from the events of one puller. */
export interface IncidentRecorder {
  /** Takes the next event. Cheap, and never throws. */
  observe(event: PullEvent): void;
  /** The incident that is open, else null. */
  current(): Incident | null;
  /** Past incidents, also of other processes that share the state; the newest first. */
  list(): readonly Incident[];
  /**
   * Reads what was recorded before, and goes on with the incident of a process that ended during it. Never rejects.
   * Begins by itself with the first event; events that come meanwhile wait for it.
   */
  load(): Promise<void>;
  /** Resolves when everything recorded is on disk, or could not be written. */
  flush(): Promise<void>;
  /** Writes what is there and ends. An open incident stays open: the next process goes on with it. */
  close(): Promise<void>;
}

/** A postmortem of some weeks. All together they stay within a few MB. */
const defaultMaxIncidents = 10;

/** How often an open incident is written: a crash loses no more, and a disk is not kept busy by it. */
const saveEveryMs = 10_000;

/** One in which nothing happens is written too, seldom: as a sign of life. */
const signOfLifeMs = 60_000;

/** Events that wait while the disk is read. */
const maxEarly = 5_000;

export function createIncidentRecorder(options: IncidentRecorderOptions = {}): IncidentRecorder {
  return new Recorder(options);
}

class Recorder implements IncidentRecorder {
  readonly #archive: IncidentArchive;
  readonly #watch: IncidentWatch;
  readonly #isKept: boolean;
  #loading: Promise<void> | null = null;
  /** Events that wait for what is on disk; null once it was read. */
  #early: PullEvent[] | null;
  #timer: NodeJS.Timeout | null = null;
  #keptAtMs = 0;
  #keptRevisions = 0;
  #isClosed = false;

  constructor({ document, circuits, onOpened, onClosed, maxIncidents = defaultMaxIncidents }: IncidentRecorderOptions) {
    this.#archive = new IncidentArchive(document ?? null, maxIncidents);
    this.#isKept = document !== undefined;
    this.#early = this.#isKept ? [] : null;
    this.#watch = new IncidentWatch(
      {
        opened: (record, start) => {
          this.#keep();
          this.#runTimer();
          onOpened?.(record.snapshot(), start);
        },
        closed: (record) => {
          this.#archive.keep(record.snapshot());
          this.#runTimer();
          onClosed?.(record.snapshot());
        },
        trailed: (record) => {
          this.#archive.keep(record.snapshot());
          this.#runTimer();
        },
      },
      circuits,
    );
  }

  observe(event: PullEvent): void {
    if (this.#isClosed) return;
    if (this.#early === null) {
      this.#watch.take(event);
      return;
    }
    if (this.#early.length < maxEarly) this.#early.push(event);
    void this.load();
  }

  current(): Incident | null {
    return this.#watch.current?.snapshot() ?? null;
  }

  list(): readonly Incident[] {
    return this.#archive.past(this.#watch.current?.id ?? null);
  }

  load(): Promise<void> {
    this.#loading ??= this.#load();
    return this.#loading;
  }

  async flush(): Promise<void> {
    await this.#loading;
    this.#keep();
    await this.#archive.flush();
  }

  async close(): Promise<void> {
    if (!this.#isClosed) {
      await this.#loading;
      this.#isClosed = true;
      this.#keep();
      const { current } = this.#watch;
      if (current !== null) this.#archive.release(current.id);
      this.#runTimer();
    }
    await this.#archive.flush();
  }

  async #load(): Promise<void> {
    const leftOpen = await this.#archive.load();
    if (leftOpen !== null) this.#watch.takeOver(leftOpen.incident, leftOpen.savedAtMs);
    this.#runTimer();
    const early = this.#early ?? [];
    this.#early = null;
    for (const event of early) this.#watch.take(event);
  }

  /** Hands what is written on now to the archive. */
  #keep(): void {
    this.#keptAtMs = epochMs();
    this.#keptRevisions = this.#revisions;
    for (const record of this.#watch.written) this.#archive.keep(record.snapshot());
  }

  #keepIfDue(): void {
    if (this.#revisions !== this.#keptRevisions || epochMs() - this.#keptAtMs >= signOfLifeMs) this.#keep();
  }

  get #revisions(): number {
    return this.#watch.written.reduce((sum, { revision }) => sum + revision, 0);
  }

  /** Runs while something is written on, and keeps no process alive. */
  #runTimer(): void {
    const isNeeded = this.#isKept && !this.#isClosed && this.#watch.written.length > 0;
    if (isNeeded) {
      this.#timer ??= setInterval(() => this.#keepIfDue(), saveEveryMs).unref();
    } else if (this.#timer !== null) {
      clearInterval(this.#timer);
      this.#timer = null;
    }
  }
}
