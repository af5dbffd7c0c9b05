import type { ReasonCode } from '../vocabulary/reason.js';
import {
  between,
  failedInEngine,
  given,
  including,
  registrySide,
  type EvidenceOf,
  type VerdictRows,
} from './verdict-row.js';

const http = (evidence: EvidenceOf<'status'>): ReasonCode => `http-${evidence.status}`;

/** The part of the verdict table for HTTP answers: what anybody may say first, then storage, tokens, registry. */
export const statusVerdicts: VerdictRows<'status'> = [
  failedInEngine,
  {
    when: { status: 429 },
    cause: 'rate-limit',
    verdict: 'limited',
    code: http,
    message: '{who} answered 429 for {object}: too many requests, to be left alone for {retryAfterMs} ms',
  },
  {
    // Some say so with 403, 400 or 503: the code of the specification is more exact than the status.
    when: { specCodes: including('TOOMANYREQUESTS') },
    cause: 'rate-limit',
    verdict: 'limited',
    code: http,
    message:
      '{who} answered {status} TOOMANYREQUESTS for {object}: too many requests, to be left alone for {retryAfterMs} ms',
  },
  {
    when: { status: 503, retryAfterMs: given },
    cause: registrySide,
    verdict: 'limited',
    code: http,
    message: '{who} answered 503 for {object}, to be asked again in {retryAfterMs} ms',
  },
  {
    when: { status: [408, 425] },
    cause: registrySide,
    verdict: 'again',
    code: http,
    message: '{who} answered {status} for {object}: the same request may succeed at once',
  },
  {
    when: { status: 407 },
    cause: 'proxy',
    verdict: 'next',
    code: http,
    message: 'the proxy before {registry} wants credentials (407) for {object}',
  },
  {
    // A captive portal, or a gateway that wants a login: this host's network, whatever name was asked.
    when: { status: 511 },
    cause: 'network-egress',
    verdict: 'next',
    code: http,
    message: 'the network wants a login (511) before {registry} can be asked for {object}',
  },

  {
    // A signed URL that expired: whoever asks marks the first refusal so, and only that one.
    // 400 is S3's answer to an expired session token.
    when: { from: 'storage', status: [400, 401, 403, 404, 410], stale: true },
    cause: 'registry-storage',
    verdict: 'again',
    code: http,
    message: '{who} answered {status} for {object}; a fresh URL is asked for',
  },
  {
    when: { status: 416 },
    cause: 'content',
    verdict: 'ill',
    code: http,
    message: '{who} answered 416 for {object}: it has less of it than its descriptor says, or no working ranges',
  },
  {
    when: { from: 'storage' },
    cause: 'registry-storage',
    verdict: 'ill',
    code: http,
    message: '{who} answered {status} for {object}',
  },

  {
    when: { from: 'token-service', status: [400, 401, 403] },
    cause: 'credentials',
    verdict: 'next',
    code: http,
    message: '{who} answered {status}: no token for {object} with these credentials',
  },
  {
    when: { from: 'token-service', status: 404 },
    cause: 'not-replicated',
    verdict: 'next',
    code: http,
    message: '{who} answered 404: it knows no repository of {object}',
  },
  {
    when: { from: 'token-service' },
    cause: 'registry-api',
    verdict: 'ill',
    code: http,
    message: '{who} answered {status} as a token for {object} was asked for',
  },

  {
    // A 5xx is a failure whatever its body says; below that the codes of the specification decide first.
    when: { status: 501 },
    cause: 'registry-api',
    verdict: 'next',
    code: http,
    message: '{who} answered 501: it does not offer what {object} needs',
  },
  {
    when: { status: between(500, 599) },
    cause: registrySide,
    verdict: 'ill',
    code: http,
    message: '{who} answered {status} for {object}',
  },
  {
    when: { status: between(400, 499), specCodes: including('MANIFEST_UNKNOWN', 'NAME_UNKNOWN') },
    cause: 'not-replicated',
    verdict: 'next',
    code: http,
    message: '{who} does not have {object} ({status}, MANIFEST_UNKNOWN or NAME_UNKNOWN)',
  },
  {
    when: { status: between(400, 499), specCodes: including('BLOB_UNKNOWN', 'MANIFEST_BLOB_UNKNOWN') },
    cause: 'not-replicated',
    verdict: 'next',
    code: http,
    message: '{who} has the manifest but not the blob {object} ({status} BLOB_UNKNOWN)',
  },
  {
    when: { status: between(400, 499), specCodes: including('NAME_INVALID', 'TAG_INVALID', 'DIGEST_INVALID') },
    cause: 'not-replicated',
    verdict: 'next',
    code: http,
    message: '{who} does not accept the name of {object} ({status}), so it cannot hold it',
  },
  {
    when: { status: between(400, 499), specCodes: including('UNSUPPORTED') },
    cause: 'registry-api',
    verdict: 'next',
    code: http,
    message: '{who} answered {status} UNSUPPORTED for {object}',
  },
  {
    when: { status: [401, 403], acceptedBefore: true },
    cause: 'credentials',
    verdict: 'next',
    code: http,
    message: '{who} answered {status} for {object}, with credentials that it had accepted before',
  },
  {
    when: { status: between(400, 499), specCodes: including('UNAUTHORIZED', 'DENIED') },
    cause: 'credentials',
    verdict: 'next',
    code: http,
    message: '{who} denied {object} ({status}): the credentials do not allow it, or it does not exist there',
  },
  {
    when: { status: [401, 403] },
    cause: 'credentials',
    verdict: 'next',
    code: http,
    message: '{who} answered {status} for {object}: the credentials do not allow it, or it does not exist there',
  },
  {
    when: { status: [404, 410] },
    cause: 'not-replicated',
    verdict: 'next',
    code: http,
    message: '{who} does not have {object} ({status})',
  },
  {
    when: { status: 451 },
    cause: 'not-replicated',
    verdict: 'next',
    code: http,
    message: '{who} may not serve {object} (451, legal reasons)',
  },
  {
    // 400, 405, 406, 415 and the like: quick answers about this request. The next object may well be served.
    when: { status: between(400, 499) },
    cause: 'registry-api',
    verdict: 'next',
    code: http,
    message: '{who} answered {status} for {object}',
  },
  {
    cause: registrySide,
    verdict: 'ill',
    code: http,
    message: '{who} answered {status} for {object}, which is no answer to such a request',
  },
];
