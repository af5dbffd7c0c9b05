import { type Answer, errorAnswer, specCodeOf, storageErrorAnswer, textAnswer } from './answer.js';
import type { RequestFault } from './fault.js';
import type { Place } from './fault-script.js';

/** What faults have to know about a request. */
export interface FaultedRequest {
  readonly kind: 'blob' | 'manifest' | 'token' | 'ping';
  readonly place: Place;
  /** The URL path and query asked for. */
  readonly target: string;
}

/** What faults put in place of an answer. */
export type Replacement =
  | { readonly kind: 'answer'; readonly answer: Answer }
  | { readonly kind: 'silence' }
  | { readonly kind: 'hang-up' }
  | { readonly kind: 'expired-redirect' };

/** How much later the answer begins. */
export function delayOf(faults: readonly RequestFault[]): number {
  return faults.reduce((sum, fault) => sum + (fault.kind === 'delay' ? fault.ms : 0), 0);
}

/** What is answered instead of the truth, or null when the truth is at most spoiled. The first such fault decides. */
export function replacementOf(faults: readonly RequestFault[], request: FaultedRequest): Replacement | null {
  for (const fault of faults) {
    const found = replacementBy(fault, request);
    if (found !== null) return found;
  }
  return null;
}

const captivePortal =
  '<!DOCTYPE html>\n<html><head><title>Sign in to continue</title></head><body><form method="post"></form></body></html>\n';
const hugeBytes = 5_000_000;

function replacementBy(fault: RequestFault, request: FaultedRequest): Replacement | null {
  const answer = (value: Answer): Replacement => ({ kind: 'answer', answer: value });
  switch (fault.kind) {
    case 'no-headers':
      return { kind: 'silence' };
    case 'hang-up':
      return { kind: 'hang-up' };
    case 'expired-redirect':
      return { kind: 'expired-redirect' };
    case 'status':
      return answer(statusAnswer(fault, request));
    case 'missing':
      return answer(missingAnswer(request));
    case 'redirect-loop':
      return answer(redirectAnswer(307, nextHop(request.target)));
    case 'redirect-to':
      return answer(redirectAnswer(fault.status ?? 307, fault.url.replaceAll('{path}', request.target)));
    case 'html':
      return answer(textAnswer(200, 'text/html; charset=utf-8', captivePortal));
    case 'huge':
      return answer(hugeAnswer(fault.bytes ?? hugeBytes, request));
    case 'malformed-json':
      return request.kind === 'token' ? answer(textAnswer(200, 'application/json', '{"token": "')) : null;
    case 'no-token':
      return answer(textAnswer(200, 'application/json', '{"expires_in": 300}'));
    default:
      return null;
  }
}

function statusAnswer(fault: Extract<RequestFault, { readonly kind: 'status' }>, request: FaultedRequest): Answer {
  const headers: Record<string, string> = {
    ...(fault.retryAfter === undefined ? {} : { 'retry-after': String(fault.retryAfter) }),
    ...(fault.challenge === undefined ? {} : { 'www-authenticate': fault.challenge }),
  };
  if (fault.body !== undefined) {
    return textAnswer(fault.status, fault.contentType ?? 'text/plain; charset=utf-8', fault.body, headers);
  }
  if (request.place === 'storage') {
    const error = storageErrorAnswer(fault.status, fault.code ?? 'InternalError', 'A fault of the registry double');
    return { ...error, headers: { ...error.headers, ...headers } };
  }
  const code = fault.code ?? specCodeOf(fault.status, request.kind === 'blob' ? 'blob' : 'manifest');
  return errorAnswer(fault.status, code, 'a fault of the registry double', headers);
}

function missingAnswer(request: FaultedRequest): Answer {
  if (request.place === 'storage') return storageErrorAnswer(404, 'NoSuchKey', 'The specified key does not exist.');
  return request.kind === 'blob'
    ? errorAnswer(404, 'BLOB_UNKNOWN', 'blob unknown to registry')
    : errorAnswer(404, 'MANIFEST_UNKNOWN', 'manifest unknown');
}

function redirectAnswer(status: number, location: string): Answer {
  return textAnswer(status, 'text/html; charset=utf-8', '', { location });
}

/** A loop that a client cannot see by comparing URLs. */
function nextHop(target: string): string {
  const hop = /\?hop=(\d{1,9})$/.exec(target);
  return hop === null ? `${target.split('?')[0] ?? target}?hop=1` : target.replace(/\d+$/, String(Number(hop[1]) + 1));
}

function hugeAnswer(bytes: number, request: FaultedRequest): Answer {
  const isToken = request.kind === 'token';
  const before = Buffer.from(isToken ? '{"token": "' : '{"schemaVersion": 2, "annotations": {"huge": "');
  const after = Buffer.from(isToken ? '"}' : '"}}');
  const filling = Buffer.alloc(64 * 1024, 'x');
  return {
    status: 200,
    headers: {
      'content-type': isToken ? 'application/json' : 'application/vnd.oci.image.manifest.v1+json',
      'content-length': String(bytes),
    },
    body: {
      start: 0,
      length: bytes,
      total: bytes,
      *open() {
        yield before.subarray(0, bytes);
        for (let left = bytes - before.length - after.length; left > 0; left -= filling.length) {
          yield filling.subarray(0, Math.min(left, filling.length));
        }
        yield after.subarray(0, Math.max(0, bytes - before.length));
      },
    },
  };
}
