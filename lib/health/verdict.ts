import type { Answerer, Evidence } from '../vocabulary/evidence.js';
import type { Phase } from '../vocabulary/phase.js';
import type { Cause, Reason, Verdict } from '../vocabulary/reason.js';
import { redactText } from '../vocabulary/redact.js';
import type { EvidenceKind, EvidenceOf } from './verdict-row.js';
import { findVerdictRow } from './verdict-table.js';

/** What failed, and in which phase; a token or ping request is `metadata`. */
export interface Failure {
  readonly evidence: Evidence;
  readonly phase: Phase;
}

/** Of whom and what a failure is told. */
export interface FailedRequest {
  /** The registry's prefix. */
  readonly registry: string;
  /** The tag or digest that was asked for. */
  readonly object: string;
  /** What the peer or a library said about it; repeated redacted and shortened. */
  readonly detail?: string;
}

/** What a failure was judged to be. */
export interface Judgement {
  readonly reason: Reason;
  readonly verdict: Verdict;
  /** Only with `limited`: milliseconds to leave the registry alone in this phase. */
  readonly retryAfterMs?: number;
}

/**
 * How long a registry is left alone that is `limited` and does not say for how long.
 * As long as a first cool-down: a limit per second (Quay) is long over by then,
 * and under one per hour (Docker Hub) it makes four requests a minute.
 */
export const defaultRetryAfterMs = 15_000;

/** `Retry-After: 0` must not become a busy loop. */
export const minRetryAfterMs = 1_000;

/** No answer puts a registry last for longer than an hour: asking once an hour is polite under any limit. */
export const maxRetryAfterMs = 3_600_000;

/**
 * Says why something failed and what follows from it. Pure; the rules are the rows of `verdict-table.ts` and what it is made of.
 *
 * `again` is not bounded here: the caller counts. Only `ill` counts against the health of the registry, in the phase
 * of the failure. For 401, 403, 404 and 410 of a redirect target `stale` decides: `again` with it, `ill` without.
 */
export function judge(failure: Failure, request: FailedRequest): Judgement {
  return judgeEvidence(failure.evidence, failure.phase, request);
}

/** Whether a failure judged so counts against the circuit of the registry and phase. */
export function movesCircuit(verdict: Verdict): boolean {
  return verdict === 'ill';
}

function judgeEvidence<Kind extends EvidenceKind>(
  evidence: EvidenceOf<Kind>,
  phase: Phase,
  request: FailedRequest,
): Judgement {
  const row = findVerdictRow(evidence, phase);
  const cause: Cause = typeof row.cause === 'string' ? row.cause : row.cause[phase];
  const code = typeof row.code === 'string' ? row.code : row.code(evidence);
  const fields: Record<string, unknown> = {
    ...evidence,
    registry: request.registry,
    object: shortObject(request.object),
  };
  fields['who'] = answererOf(evidence, request.registry);
  const limited = row.verdict === 'limited' ? { retryAfterMs: retryAfterOf(evidence) } : {};
  const message = fill(row.message, { ...fields, ...limited });
  const detail = request.detail === undefined || request.detail.trim() === '' ? '' : ` (${request.detail.trim()})`;
  return { reason: { cause, code, message: redactText(message + detail) }, verdict: row.verdict, ...limited };
}

function retryAfterOf(evidence: Evidence): number {
  const asked = evidence.kind === 'status' ? evidence.retryAfterMs : undefined;
  if (asked === undefined || Number.isNaN(asked)) return defaultRetryAfterMs;
  return Math.round(Math.min(Math.max(asked, minRetryAfterMs), maxRetryAfterMs));
}

function answererOf(evidence: Evidence, registry: string): string {
  const answerer: Answerer = 'from' in evidence ? evidence.from : 'registry';
  switch (answerer) {
    case 'registry':
      return registry;
    case 'storage':
      return `the storage of ${registry}`;
    case 'token-service':
      return `the token service of ${registry}`;
  }
}

/** Twelve digits of a digest tell objects apart as well as all of them, and a person can read them. */
function shortObject(object: string): string {
  return object.replace(/\b(sha256|sha512):([0-9a-f]{12})[0-9a-f]{20,}\b/g, '$1:$2');
}

function fill(template: string, fields: Readonly<Record<string, unknown>>): string {
  return template.replace(/\{(\w+)\}/g, (_, field: string) => {
    const value = fields[field];
    return String(typeof value === 'number' ? Math.round(value) : value);
  });
}
