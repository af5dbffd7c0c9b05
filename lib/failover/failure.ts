import { ExchangeError } from '../distribution/wire-error.js';
import { HostFaultError } from '../errors/host-fault-error.js';
import { evidenceOfHostError } from '../health/host-fault.js';
import { judge, type Failure, type Judgement } from '../health/verdict.js';
import type { Evidence } from '../vocabulary/evidence.js';
import type { Phase, RegistryPhase } from '../vocabulary/phase.js';
import type { Candidate } from './context.js';

/** The engine's side failed while bytes were handed over: never the registry's fault. */
export class SinkError extends Error {
  override readonly name = 'SinkError';

  constructor(cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

/** Judges whatever was thrown while a candidate was asked for an object. */
export function judgeThrown(thrown: unknown, candidate: Candidate, phase: RegistryPhase, object: string): Judged {
  const failure = failureOf(thrown, phase);
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

function failureOf(thrown: unknown, phase: Phase): Failure {
  if (thrown instanceof ExchangeError) return { evidence: thrown.evidence, phase: thrown.phase };
  const host = evidenceOfHostError(thrown instanceof SinkError ? thrown.cause : thrown);
  if (host !== null) return { evidence: host, phase };
  return { evidence: { kind: 'unexpected', name: thrown instanceof Error ? thrown.name : typeof thrown }, phase };
}

/** What ends the pull when the verdict is `stop`. */
export function stopError(judgement: Judgement, thrown: unknown): unknown {
  if (judgement.reason.cause === 'host-disk' || judgement.reason.cause === 'host-process') {
    return new HostFaultError(judgement.reason, thrown instanceof SinkError ? thrown.cause : thrown);
  }
  return thrown instanceof SinkError ? thrown.cause : thrown;
}
