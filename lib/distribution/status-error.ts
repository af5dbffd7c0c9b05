import type { Answerer, Evidence } from '../vocabulary/evidence.js';
import type { RegistryPhase } from '../vocabulary/phase.js';
import type { ErrorBody } from './error-body.js';
import type { Headers } from './headers.js';
import { retryAfterMsOf } from './retry-after.js';
import { ExchangeError } from './wire-error.js';

/** An answer that is not the one wanted. */
export interface StatusFailure {
  readonly status: number;
  readonly headers: Headers;
  readonly from: Answerer;
  readonly phase: RegistryPhase;
  readonly body: ErrorBody;
  /** The same credentials had succeeded before. */
  readonly acceptedBefore?: boolean;
}

/** The error of an answer whose status says that it failed. */
export function statusError(failure: StatusFailure): ExchangeError {
  const { status, from, phase, body } = failure;
  const retryAfterMs = retryAfterMsOf(failure.headers);
  const evidence: Evidence = {
    kind: 'status',
    status,
    from,
    specCodes: body.specCodes,
    ...(retryAfterMs === null ? {} : { retryAfterMs }),
    ...(failure.acceptedBefore === true ? { acceptedBefore: true } : {}),
  };
  const codes = body.specCodes.length === 0 ? '' : ` ${body.specCodes.join(', ')}`;
  return new ExchangeError(`the ${from} answered ${status}${codes}`, { evidence, phase, detail: body.detail });
}
