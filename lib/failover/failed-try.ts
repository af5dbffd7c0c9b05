import type { Judgement } from '../health/verdict.js';
import type { RegistryPhase } from '../vocabulary/phase.js';
import type { Candidate } from './candidate.js';

/** A failed try, before it is written down. */
export interface FailedTry {
  readonly candidate: Candidate;
  readonly phase: RegistryPhase;
  /** The tag or digest that was asked for. */
  readonly object: string;
  readonly judgement: Judgement;
  readonly startedAtMs: number;
  /** Body bytes that arrived and are kept. */
  readonly bytes: number;
}
