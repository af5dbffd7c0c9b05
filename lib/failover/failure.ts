import { ExchangeError } from '../distribution/wire-error.js';
import { HostFaultError } from '../errors/host-fault-error.js';
import { evidenceOfHostError } from '../health/host-fault.js';
import { failureOfThrown } from '../health/thrown-failure.js';
import { judge, type Judgement } from '../health/verdict.js';
import type { Evidence } from '../vocabulary/evidence.js';
import type { RegistryPhase } from '../vocabulary/phase.js';
import type { Candidate } from './candidate.js';

/** The engine's side failed while bytes were handed over: never the registry's fault. */
export class SinkError extends Error {
  override readonly name = 'SinkError';

  constructor(cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

/** Judges whatever was thrown while a candidate was asked for an object. */
export function judgeThrown(thrown: unknown, candidate: Candidate, phase: RegistryPhase, object: string): Judged {
  const failure = failureOfThrown(thrown, phase);
  const detail = thrown instanceof ExchangeError ? thrown.detail : undefined;
  const judgement = judge(failure, {
    registry: candidate.registry,
    object,
    ...(detail === undefined ? {} : { detail }),
  });
  // Token requests are metadata wherever they happen.
  return { judgement, phase: failure.phase === 'extract' ? phase : failure.phase, evidence: failure.evidence };
}

export interface Judged {
  readonly judgement: Judgement;
  /** The phase whose health it counts against. */
  readonly phase: RegistryPhase;
  readonly evidence: Evidence;
}

/** What ends the pull when the verdict is `stop`. */
export function stopError(judgement: Judgement, thrown: unknown): unknown {
  const { cause } = judgement.reason;
  return cause === 'host-disk' || cause === 'host-process' ? new HostFaultError(judgement.reason, thrown) : thrown;
}

/** What ends the pull when the engine's side failed: a fault of this host where it is one, else the engine's own error. */
export function sinkFailure({ cause }: SinkError, object: string): unknown {
  const evidence = evidenceOfHostError(cause);
  if (evidence === null) return cause;
  return new HostFaultError(judge({ evidence, phase: 'layers' }, { registry: 'this host', object }).reason, cause);
}
