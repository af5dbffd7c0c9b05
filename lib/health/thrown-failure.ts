import { ExchangeError } from '../distribution/wire-error.js';
import type { Phase } from '../vocabulary/phase.js';
import { evidenceOfHostError } from './host-fault.js';
import type { Failure } from './verdict.js';

/** What a thrown value says about a request: an exchange's own evidence, a fault of this host, or nothing known. */
export function failureOfThrown(thrown: unknown, phase: Phase): Failure {
  if (thrown instanceof ExchangeError) return { evidence: thrown.evidence, phase: thrown.phase };
  const host = evidenceOfHostError(thrown);
  if (host !== null) return { evidence: host, phase };
  return { evidence: { kind: 'unexpected', name: thrown instanceof Error ? thrown.name : typeof thrown }, phase };
}
