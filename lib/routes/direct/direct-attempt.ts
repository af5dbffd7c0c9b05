import type { DaemonPull, DockerDaemon } from '../../engine/docker/docker-daemon.js';
import { EngineFailure } from '../../engine/docker/engine-failure.js';
import type { EngineProgress } from '../../engine/docker/progress-stream.js';
import type { EngineStore } from '../../engine/docker/engine-traits.js';
import { deriveAbort } from '../../policy/deadline.js';
import { startLoopTimer, type LoopTimer } from '../../policy/loop-timer.js';
import { createThroughput, type Throughput } from '../../policy/throughput.js';
import type { LimitName } from '../../vocabulary/evidence.js';
import type { DirectLimits } from './direct-limits.js';
import {
  followDirectPull,
  type DirectPhase,
  type DirectPhases,
  type DirectStep,
  type SilenceMeaning,
} from './direct-phases.js';

/** One pull of one engine from one registry. */
export interface DirectAttempt {
  readonly daemon: DockerDaemon;
  readonly store: EngineStore;
  readonly pull: DaemonPull;
  readonly limits: DirectLimits;
  /** How long all layers together may take an engine that says nothing of bytes. */
  readonly muteMs: number;
  /** No other registry is left that could do better. */
  readonly isLast: boolean;
  readonly signal: AbortSignal;
  /** Calls back when an operator does not want this registry any more; returns what stops it. */
  readonly whenUnwanted: (listener: () => void) => () => void;
  /** Called after each line. */
  readonly onLine: (line: EngineProgress, step: DirectStep, phases: DirectPhases) => void;
}

/** How it ended, and how far it was. */
export type DirectOutcome =
  | { readonly kind: 'pulled'; readonly phases: DirectPhases }
  /** An operator wants others to be asked. */
  | { readonly kind: 'unwanted' }
  | { readonly kind: 'late'; readonly late: LatePull; readonly phases: DirectPhases }
  | { readonly kind: 'failed'; readonly failure: EngineFailure; readonly phases: DirectPhases };

/** A limit that expired. */
export interface LatePull {
  readonly limit: LimitName;
  /** Milliseconds, or bytes per second for the floor. */
  readonly value: number;
  readonly phase: DirectPhase;
  /** Who was waited for, as far as the engine tells. */
  readonly meaning: SilenceMeaning;
}

/** Has the engine pull, and ends that when a limit expires. @throws the signal's own reason */
export async function attemptDirectPull(attempt: DirectAttempt): Promise<DirectOutcome> {
  const { daemon, store, pull, signal, onLine } = attempt;
  signal.throwIfAborted();
  using work = deriveAbort(signal);
  const phases = followDirectPull(store);
  const expiry: { late: LatePull | null; isUnwanted: boolean } = { late: null, isUnwanted: false };
  const stopListening = attempt.whenUnwanted(() => {
    expiry.isUnwanted = true;
    work.abort(new Error('an operator wants others to be asked'));
  });
  const watch = watchPull(attempt, phases, (late) => {
    expiry.late = late;
    work.abort(new Error(`${late.limit} has expired`));
  });
  try {
    for await (const line of daemon.pull(pull, work.signal)) {
      const step = phases.note(line);
      watch.note(step);
      onLine(line, step, phases);
    }
    return { kind: 'pulled', phases };
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (expiry.isUnwanted) return { kind: 'unwanted' };
    if (expiry.late !== null) return { kind: 'late', late: expiry.late, phases };
    if (error instanceof EngineFailure) return { kind: 'failed', failure: error, phases };
    throw error;
  } finally {
    stopListening();
    watch.end();
  }
}

interface PullWatch {
  note(step: DirectStep): void;
  end(): void;
}

function watchPull(
  attempt: Pick<DirectAttempt, 'limits' | 'isLast' | 'muteMs'>,
  phases: DirectPhases,
  onLate: (late: LatePull) => void,
): PullWatch {
  const { limits, isLast } = attempt;
  const rate = createThroughput(limits.windowMs);
  let watched = silenceOf(phases);
  let timer = start();

  function start(): LoopTimer {
    const { phase, meaning } = watched;
    const value = limitMs(attempt, watched);
    return startLoopTimer(value, () => {
      onLate({ limit: limitName(phase, phases.bytes), value, phase, meaning });
    });
  }

  return {
    note: ({ isProgress, bytes }) => {
      const now = silenceOf(phases);
      if (now.phase !== watched.phase || now.meaning !== watched.meaning) {
        watched = now;
        timer.cancel();
        timer = start();
      } else if (isProgress) {
        timer.restart();
      }
      if (!isLast && isTooSlow(rate, bytes, watched, limits)) {
        onLate({ limit: 'layers.minBytesPerSecond', value: limits.minBytesPerSecond, ...watched });
      }
    },
    end: () => timer.cancel(),
  };
}

type Watched = Pick<LatePull, 'phase' | 'meaning'>;

function silenceOf({ phase, silence }: DirectPhases): Watched {
  return { phase, meaning: silence };
}

function limitMs(
  { limits, isLast, muteMs }: Pick<DirectAttempt, 'limits' | 'isLast' | 'muteMs'>,
  { phase, meaning }: Watched,
): number {
  switch (meaning) {
    case 'local':
      return limits.extractMs;
    case 'either':
      // Whoever unpacks in silence is only ended while somebody else may be asked.
      return isLast ? limits.extractMs : limits.patientStallMs;
    case 'mute':
      return isLast ? Math.max(limits.extractMs, muteMs) : muteMs;
    case 'registry':
      if (phase === 'metadata') return limits.metadataMs;
      return isLast ? limits.patientStallMs : limits.stallMs;
  }
}

function limitName(phase: DirectPhase, bytes: number): LimitName {
  switch (phase) {
    case 'metadata':
      return 'metadata.totalMs';
    case 'layers':
      return bytes === 0 ? 'layers.firstByteMs' : 'layers.stallMs';
    case 'extract':
      return 'extract.stallMs';
  }
}

/** Measured only while the registry is waited for: an engine that unpacks takes no bytes. */
function isTooSlow(rate: Throughput, bytes: number, { phase, meaning }: Watched, limits: DirectLimits): boolean {
  if (phase !== 'layers' || meaning !== 'registry') {
    rate.pause();
    return false;
  }
  rate.resume();
  if (bytes > 0) rate.add(bytes);
  return rate.covered() && rate.bytesPerSecond() < limits.minBytesPerSecond;
}
