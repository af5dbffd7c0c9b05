import { expect } from 'chai';
import { culpritOf } from '../../lib/health/cause.js';
import type { EvidenceKind } from '../../lib/health/verdict-row.js';
import { processLateMs } from '../../lib/health/network-verdicts.js';
import { findVerdictRow, verdictTable } from '../../lib/health/verdict-table.js';
import {
  defaultRetryAfterMs,
  judge,
  maxRetryAfterMs,
  minRetryAfterMs,
  movesCircuit,
  type Failure,
} from '../../lib/health/verdict.js';
import type { Evidence } from '../../lib/vocabulary/evidence.js';
import type { Phase } from '../../lib/vocabulary/phase.js';
import type { Cause, ReasonCode, Verdict } from '../../lib/vocabulary/reason.js';

type Connection = Extract<Evidence, { kind: 'connection' }>;
type Status = Extract<Evidence, { kind: 'status' }>;
type Limit = Extract<Evidence, { kind: 'limit' }>;
type Content = Extract<Evidence, { kind: 'content' }>;

const phases: readonly Phase[] = ['metadata', 'layers', 'extract'];
const request = { registry: 'quay.io/aptible', object: `sha256:${'0123456789abcdef'.repeat(4)}` };

function connection(code: Connection['code'], more: Partial<Connection> = {}): Connection {
  return { kind: 'connection', code, reused: false, bytes: 6_000_000, lateMs: 0, ...more };
}

function status(code: number, more: Partial<Status> = {}): Status {
  return { kind: 'status', status: code, from: 'registry', specCodes: [], ...more };
}

function limit(name: Limit['limit'], value = 4_000): Limit {
  return { kind: 'limit', limit: name, value, bytes: 6_000_000 };
}

function content(code: Content['code'], from: Content['from'] = 'storage'): Content {
  return { kind: 'content', code, from };
}

type Expected = readonly [what: string, Evidence, Phase, Cause, Verdict, ReasonCode];

const expectations: readonly Expected[] = [
  ['a refused connection, metadata', connection('refused'), 'metadata', 'registry-api', 'ill', 'connection-refused'],
  ['a refused connection, layers', connection('refused'), 'layers', 'registry-storage', 'ill', 'connection-refused'],
  ['a reset in the middle of a blob', connection('reset'), 'layers', 'registry-storage', 'ill', 'connection-reset'],
  ['a close in the middle of a blob', connection('closed'), 'layers', 'registry-storage', 'ill', 'connection-closed'],
  ['a connection that timed out', connection('timed-out'), 'metadata', 'registry-api', 'ill', 'connection-timed-out'],
  ['a host without a route', connection('unreachable'), 'layers', 'registry-storage', 'ill', 'host-unreachable'],
  [
    'no connection to anybody',
    connection('timed-out', { scope: 'all' }),
    'metadata',
    'network-egress',
    'next',
    'egress-down',
  ],
  [
    'no route to anybody',
    connection('unreachable', { scope: 'all' }),
    'layers',
    'network-egress',
    'next',
    'egress-down',
  ],
  [
    'no connection to the first one that was tried',
    connection('timed-out', { scope: 'unproven' }),
    'metadata',
    'registry-api',
    'next',
    'connection-timed-out',
  ],
  [
    'no route to the first one that was tried',
    connection('unreachable', { scope: 'unproven' }),
    'layers',
    'registry-storage',
    'next',
    'host-unreachable',
  ],
  [
    'a reset where this process had not read',
    connection('reset', { lateMs: processLateMs }),
    'layers',
    'host-process',
    'again',
    'process-late',
  ],
  [
    'a close where this process had not read',
    connection('closed', { lateMs: 30_000, reused: true, bytes: 0 }),
    'metadata',
    'host-process',
    'again',
    'process-late',
  ],
  [
    'a connect that timed out while this process was suspended',
    connection('timed-out', { lateMs: 30_000, bytes: 0 }),
    'metadata',
    'host-process',
    'again',
    'process-late',
  ],
  [
    'a reset just under the lateness that excuses it',
    connection('reset', { lateMs: processLateMs - 1 }),
    'layers',
    'registry-storage',
    'ill',
    'connection-reset',
  ],
  [
    'a refusal, which no lateness of ours can cause',
    connection('refused', { lateMs: 30_000 }),
    'metadata',
    'registry-api',
    'ill',
    'connection-refused',
  ],
  [
    'a kept-alive connection reset before the first byte',
    connection('reset', { reused: true, bytes: 0 }),
    'metadata',
    'registry-api',
    'again',
    'connection-reset',
  ],
  [
    'a kept-alive connection closed before the first byte',
    connection('closed', { reused: true, bytes: 0 }),
    'layers',
    'registry-storage',
    'again',
    'connection-closed',
  ],
  [
    'a kept-alive connection closed after its first byte',
    connection('closed', { reused: true, bytes: 1 }),
    'layers',
    'registry-storage',
    'ill',
    'connection-closed',
  ],
  [
    'a fresh connection closed before the first byte',
    connection('closed', { bytes: 0 }),
    'metadata',
    'registry-api',
    'ill',
    'connection-closed',
  ],

  ['one unknown name', { kind: 'dns', code: 'not-found', scope: 'name' }, 'metadata', 'dns', 'ill', 'dns-not-found'],
  [
    'the first name that was looked up in vain',
    { kind: 'dns', code: 'failed', scope: 'unproven' },
    'metadata',
    'dns',
    'next',
    'dns-failed',
  ],
  [
    'a name that is not found before any other was',
    { kind: 'dns', code: 'not-found', scope: 'unproven' },
    'metadata',
    'dns',
    'next',
    'dns-not-found',
  ],
  ['one failing name', { kind: 'dns', code: 'failed', scope: 'name' }, 'layers', 'dns', 'ill', 'dns-failed'],
  [
    'a resolver that fails for all names',
    { kind: 'dns', code: 'failed', scope: 'all' },
    'metadata',
    'network-egress',
    'next',
    'dns-down',
  ],
  [
    'a resolver that knows no name at all',
    { kind: 'dns', code: 'not-found', scope: 'all' },
    'layers',
    'network-egress',
    'next',
    'dns-down',
  ],
  ['an expired certificate', { kind: 'tls', code: 'CERT_HAS_EXPIRED' }, 'metadata', 'tls', 'ill', 'tls-failed'],
  ['a proxy that refuses', { kind: 'proxy', status: 502 }, 'metadata', 'proxy', 'next', 'proxy-failed'],
  ['a proxy that is down', { kind: 'proxy' }, 'layers', 'proxy', 'next', 'proxy-failed'],

  ['metadata.requestMs', limit('metadata.requestMs'), 'metadata', 'registry-api', 'ill', 'request-late'],
  ['metadata.totalMs', limit('metadata.totalMs'), 'metadata', 'registry-api', 'ill', 'metadata-late'],
  ['layers.firstByteMs', limit('layers.firstByteMs'), 'layers', 'registry-storage', 'ill', 'first-byte-late'],
  ['layers.stallMs', limit('layers.stallMs'), 'layers', 'registry-storage', 'ill', 'stalled'],
  ['layers.minBytesPerSecond', limit('layers.minBytesPerSecond'), 'layers', 'registry-storage', 'ill', 'too-slow'],
  ['layers.totalMs', limit('layers.totalMs'), 'layers', 'caller', 'stop', 'layers-late'],
  ['extract.stallMs', limit('extract.stallMs'), 'extract', 'engine', 'stop', 'extract-late'],

  ['429', status(429), 'metadata', 'rate-limit', 'limited', 'http-429'],
  ['429 of the storage', status(429, { from: 'storage' }), 'layers', 'rate-limit', 'limited', 'http-429'],
  ['429 of the tokens', status(429, { from: 'token-service' }), 'metadata', 'rate-limit', 'limited', 'http-429'],
  [
    'TOOMANYREQUESTS with 403',
    status(403, { specCodes: ['TOOMANYREQUESTS'] }),
    'metadata',
    'rate-limit',
    'limited',
    'http-403',
  ],
  [
    'TOOMANYREQUESTS with 503',
    status(503, { specCodes: ['TOOMANYREQUESTS'] }),
    'layers',
    'rate-limit',
    'limited',
    'http-503',
  ],
  [
    'TOOMANYREQUESTS with 400',
    status(400, { specCodes: ['TOOMANYREQUESTS'] }),
    'metadata',
    'rate-limit',
    'limited',
    'http-400',
  ],
  ['503 with Retry-After', status(503, { retryAfterMs: 5_000 }), 'metadata', 'registry-api', 'limited', 'http-503'],
  [
    '503 of the storage with Retry-After',
    status(503, { from: 'storage', retryAfterMs: 5_000 }),
    'layers',
    'registry-storage',
    'limited',
    'http-503',
  ],
  ['500', status(500), 'metadata', 'registry-api', 'ill', 'http-500'],
  ['502', status(502), 'layers', 'registry-storage', 'ill', 'http-502'],
  ['503', status(503), 'metadata', 'registry-api', 'ill', 'http-503'],
  ['504', status(504), 'layers', 'registry-storage', 'ill', 'http-504'],
  ['520 of a CDN', status(520), 'metadata', 'registry-api', 'ill', 'http-520'],
  [
    '500 that says MANIFEST_UNKNOWN',
    status(500, { specCodes: ['MANIFEST_UNKNOWN'] }),
    'metadata',
    'registry-api',
    'ill',
    'http-500',
  ],
  ['501', status(501), 'metadata', 'registry-api', 'next', 'http-501'],
  ['511 of a captive portal', status(511), 'metadata', 'network-egress', 'next', 'http-511'],
  ['400', status(400), 'metadata', 'registry-api', 'next', 'http-400'],
  ['401', status(401), 'metadata', 'credentials', 'next', 'http-401'],
  ['403 of a firewall, without a code', status(403), 'metadata', 'credentials', 'next', 'http-403'],
  [
    '401 where the credentials had worked',
    status(401, { acceptedBefore: true, specCodes: ['UNAUTHORIZED'] }),
    'metadata',
    'credentials',
    'next',
    'http-401',
  ],
  ['402', status(402), 'metadata', 'registry-api', 'next', 'http-402'],
  ['404', status(404), 'metadata', 'not-replicated', 'next', 'http-404'],
  ['404 for a blob', status(404), 'layers', 'not-replicated', 'next', 'http-404'],
  ['405', status(405), 'metadata', 'registry-api', 'next', 'http-405'],
  ['406', status(406), 'metadata', 'registry-api', 'next', 'http-406'],
  ['407', status(407), 'metadata', 'proxy', 'next', 'http-407'],
  ['408', status(408), 'metadata', 'registry-api', 'again', 'http-408'],
  ['410', status(410), 'layers', 'not-replicated', 'next', 'http-410'],
  ['415', status(415), 'metadata', 'registry-api', 'next', 'http-415'],
  ['416', status(416), 'layers', 'content', 'ill', 'http-416'],
  ['425', status(425), 'layers', 'registry-storage', 'again', 'http-425'],
  ['451', status(451), 'layers', 'not-replicated', 'next', 'http-451'],
  ['an answer without meaning', status(204), 'metadata', 'registry-api', 'ill', 'http-204'],
  ['304 to an unconditional request', status(304), 'layers', 'registry-storage', 'ill', 'http-304'],
  [
    'MANIFEST_UNKNOWN',
    status(404, { specCodes: ['MANIFEST_UNKNOWN'] }),
    'metadata',
    'not-replicated',
    'next',
    'http-404',
  ],
  [
    'NAME_UNKNOWN with 401',
    status(401, { specCodes: ['NAME_UNKNOWN'] }),
    'metadata',
    'not-replicated',
    'next',
    'http-401',
  ],
  [
    'BLOB_UNKNOWN where the manifest is there',
    status(404, { specCodes: ['BLOB_UNKNOWN'] }),
    'layers',
    'not-replicated',
    'next',
    'http-404',
  ],
  ['NAME_INVALID', status(400, { specCodes: ['NAME_INVALID'] }), 'metadata', 'not-replicated', 'next', 'http-400'],
  ['DENIED', status(404, { specCodes: ['DENIED'] }), 'metadata', 'credentials', 'next', 'http-404'],
  ['UNAUTHORIZED', status(400, { specCodes: ['UNAUTHORIZED'] }), 'metadata', 'credentials', 'next', 'http-400'],
  ['UNSUPPORTED', status(415, { specCodes: ['UNSUPPORTED'] }), 'metadata', 'registry-api', 'next', 'http-415'],

  ...[400, 401, 403, 404, 410].flatMap((code): readonly Expected[] => [
    [
      `${code} of a stale redirect target`,
      status(code, { from: 'storage', stale: true }),
      'layers',
      'registry-storage',
      'again',
      `http-${code}`,
    ],
    [
      `${code} of a fresh redirect target`,
      status(code, { from: 'storage', stale: false }),
      'layers',
      'registry-storage',
      'ill',
      `http-${code}`,
    ],
  ]),
  [
    '500 of a stale redirect target',
    status(500, { from: 'storage', stale: true }),
    'layers',
    'registry-storage',
    'ill',
    'http-500',
  ],
  ['416 of the storage', status(416, { from: 'storage' }), 'layers', 'content', 'ill', 'http-416'],

  ['401 of the token service', status(401, { from: 'token-service' }), 'metadata', 'credentials', 'next', 'http-401'],
  ['403 of the token service', status(403, { from: 'token-service' }), 'metadata', 'credentials', 'next', 'http-403'],
  [
    '404 of the token service',
    status(404, { from: 'token-service' }),
    'metadata',
    'not-replicated',
    'next',
    'http-404',
  ],
  ['500 of the token service', status(500, { from: 'token-service' }), 'metadata', 'registry-api', 'ill', 'http-500'],
  ['405 of the token service', status(405, { from: 'token-service' }), 'metadata', 'registry-api', 'ill', 'http-405'],

  ['a wrong digest', content('digest-mismatch'), 'layers', 'content', 'ill', 'digest-mismatch'],
  ['a wrong length', content('length-mismatch'), 'layers', 'content', 'ill', 'length-mismatch'],
  ['a wrong range', content('range-mismatch'), 'layers', 'content', 'ill', 'range-mismatch'],
  ['ranges too short', content('short-ranges'), 'layers', 'registry-storage', 'ill', 'short-ranges'],
  ['a Content-Encoding', content('content-encoded'), 'layers', 'content', 'ill', 'content-encoded'],
  ['malformed JSON', content('malformed-json', 'registry'), 'metadata', 'content', 'ill', 'malformed-json'],
  ['no HTTP at all', content('malformed-response', 'registry'), 'metadata', 'content', 'ill', 'malformed-response'],
  [
    'another media type',
    content('media-type-mismatch', 'registry'),
    'metadata',
    'content',
    'next',
    'media-type-mismatch',
  ],
  ['too large a manifest', content('too-large', 'registry'), 'metadata', 'content', 'next', 'too-large'],
  [
    'verified bytes that an engine cannot use',
    content('malformed-json', 'registry'),
    'extract',
    'content',
    'stop',
    'malformed-json',
  ],

  ...(['redirect-loop', 'redirect-downgrade', 'redirect-private', 'redirect-malformed'] as const).map(
    (code): Expected => [code, { kind: 'redirect', code }, 'layers', 'registry-api', 'ill', code],
  ),
  ...(['challenge-malformed', 'realm-untrusted', 'token-malformed'] as const).map((code): Expected => [
    code,
    { kind: 'auth', code },
    'metadata',
    'registry-api',
    'ill',
    code,
  ]),
  ...(['credentials-unavailable', 'credentials-rejected'] as const).map((code): Expected => [
    code,
    { kind: 'auth', code },
    'metadata',
    'credentials',
    'next',
    code,
  ]),
  ...(['platform-missing', 'image-unsupported'] as const).map((code): Expected => [
    code,
    { kind: 'image', code },
    'metadata',
    'content',
    'stop',
    code,
  ]),
  [
    'a registry that must not be contacted',
    { kind: 'contact-forbidden' },
    'layers',
    'caller',
    'next',
    'contact-forbidden',
  ],
  ['a full disk', { kind: 'disk', errno: 'ENOSPC' }, 'layers', 'host-disk', 'stop', 'disk-full'],
  ['a used-up quota', { kind: 'disk', errno: 'EDQUOT' }, 'layers', 'host-disk', 'stop', 'disk-full'],
  ['a failing disk', { kind: 'disk', errno: 'EIO' }, 'layers', 'host-disk', 'stop', 'disk-failed'],
  ['no file descriptors left', { kind: 'disk', errno: 'EMFILE' }, 'layers', 'host-process', 'stop', 'disk-failed'],
  ['a full disk in the engine', { kind: 'disk', errno: 'ENOSPC' }, 'extract', 'host-disk', 'stop', 'disk-full'],
  ["the caller's abort", { kind: 'aborted' }, 'layers', 'caller', 'stop', 'aborted'],
  [
    'an error that nobody expected',
    { kind: 'unexpected', name: 'TypeError' },
    'metadata',
    'host-process',
    'next',
    'unexpected',
  ],
  ['a lost connection of the engine', connection('reset'), 'extract', 'engine', 'stop', 'engine-failed'],
];

/** For each field, values on both sides of every condition in the table: their product is all evidence that differs. */
const samples: { readonly [Kind in EvidenceKind]: Readonly<Record<string, readonly unknown[]>> } = {
  connection: {
    code: ['refused', 'reset', 'closed', 'timed-out', 'unreachable'],
    reused: [true, false],
    bytes: [0, 1, 6_000_000],
    lateMs: [0, processLateMs - 1, processLateMs, 30_000],
    scope: [undefined, 'all', 'unproven'],
  },
  dns: { code: ['not-found', 'failed'], scope: ['name', 'all', 'unproven'] },
  tls: { code: ['CERT_HAS_EXPIRED'] },
  proxy: { status: [undefined, 407, 502] },
  limit: {
    limit: [
      'metadata.requestMs',
      'metadata.totalMs',
      'layers.firstByteMs',
      'layers.stallMs',
      'layers.minBytesPerSecond',
      'layers.totalMs',
      'extract.stallMs',
    ],
    value: [4_000],
    bytes: [0, 6_000_000],
  },
  status: {
    status: [
      100, 204, 304, 399, 400, 401, 403, 404, 405, 407, 408, 410, 416, 425, 429, 451, 499, 500, 501, 503, 504, 511, 599,
      600,
    ],
    from: ['registry', 'storage', 'token-service'],
    specCodes: [
      [],
      ...[
        'MANIFEST_UNKNOWN',
        'NAME_UNKNOWN',
        'BLOB_UNKNOWN',
        'NAME_INVALID',
        'DENIED',
        'UNAUTHORIZED',
        'TOOMANYREQUESTS',
        'UNSUPPORTED',
        'NO_CODE_OF_THE_SPECIFICATION',
      ].map((code) => [code]),
    ],
    retryAfterMs: [undefined, 30_000],
    acceptedBefore: [undefined, true],
    stale: [undefined, true],
  },
  content: {
    code: [
      'digest-mismatch',
      'length-mismatch',
      'range-mismatch',
      'short-ranges',
      'content-encoded',
      'malformed-json',
      'malformed-response',
      'media-type-mismatch',
      'too-large',
    ],
    from: ['registry', 'storage', 'token-service'],
  },
  redirect: { code: ['redirect-loop', 'redirect-downgrade', 'redirect-private', 'redirect-malformed'] },
  auth: {
    code: [
      'challenge-malformed',
      'realm-untrusted',
      'token-malformed',
      'credentials-unavailable',
      'credentials-rejected',
    ],
  },
  image: { code: ['platform-missing', 'image-unsupported'] },
  'contact-forbidden': {},
  disk: { errno: ['ENOSPC', 'EDQUOT', 'EROFS', 'EIO', 'EMFILE', 'EACCES'] },
  aborted: {},
  unexpected: { name: ['TypeError'] },
};

function* failuresOf(kind: EvidenceKind): Generator<Failure> {
  const fields = Object.entries(samples[kind]);
  function* fill(index: number, evidence: Readonly<Record<string, unknown>>): Generator<Evidence> {
    const field = fields[index];
    if (field === undefined) {
      yield evidence as unknown as Evidence;
      return;
    }
    for (const value of field[1]) {
      yield* fill(index + 1, value === undefined ? evidence : { ...evidence, [field[0]]: value });
    }
  }
  for (const evidence of fill(0, { kind })) for (const phase of phases) yield { evidence, phase };
}

const kinds = Object.keys(verdictTable) as EvidenceKind[];

describe('the verdict table', () => {
  for (const [what, evidence, phase, cause, verdict, code] of expectations) {
    it(`judges ${what} (${phase}) as ${cause}, ${verdict}`, () => {
      const judgement = judge({ evidence, phase }, request);
      expect({ cause: judgement.reason.cause, verdict: judgement.verdict, code: judgement.reason.code }).to.deep.equal({
        cause,
        verdict,
        code,
      });
    });
  }

  for (const kind of kinds) {
    it(`reaches every row for ${kind} with some evidence that can occur`, () => {
      const reached = new Set<unknown>();
      for (const { evidence, phase } of failuresOf(kind)) reached.add(findVerdictRow(evidence, phase));
      const unreached = verdictTable[kind].filter((row) => !reached.has(row)).map((row) => row.message);
      expect(unreached).to.deep.equal([]);
    });

    it(`writes a whole sentence about every ${kind}, blames no registry for a host fault, and no registry for extraction`, () => {
      for (const failure of failuresOf(kind)) {
        const { reason, verdict, retryAfterMs } = judge(failure, request);
        const shown = JSON.stringify({ failure, reason, verdict });
        expect(reason.message, shown).not.to.match(/[{}]|undefined|NaN|\[object|null|: *$/);
        expect(reason.message, shown).to.have.length.within(20, 220);
        expect(retryAfterMs !== undefined, shown).to.equal(verdict === 'limited');
        if (movesCircuit(verdict)) expect(culpritOf[reason.cause], shown).to.equal('registry');
        if (failure.phase === 'extract' && kind !== 'contact-forbidden' && kind !== 'limit') {
          expect(verdict, shown).to.equal('stop');
        }
      }
    });
  }

  it('knows every kind of evidence, and only those', () => {
    expect(kinds.toSorted()).to.deep.equal(Object.keys(samples).toSorted());
  });

  it('counts only an ill verdict against a circuit', () => {
    const all: readonly Verdict[] = ['again', 'next', 'ill', 'limited', 'stop'];
    expect(all.filter((verdict) => movesCircuit(verdict))).to.deep.equal(['ill']);
  });

  it('refuses evidence of a kind that it does not know', () => {
    const evidence = { kind: 'weather' } as unknown as Evidence;
    expect(() => judge({ evidence, phase: 'layers' }, request)).to.throw(TypeError, /weather/);
  });
});

describe('the time that a limited registry is left alone', () => {
  for (const [asked, given] of [
    [undefined, defaultRetryAfterMs],
    [30_000, 30_000],
    [0.880_092, minRetryAfterMs],
    [0, minRetryAfterMs],
    [-5, minRetryAfterMs],
    [Number.NaN, defaultRetryAfterMs],
    [Infinity, maxRetryAfterMs],
    [10 * 365 * 86_400_000, maxRetryAfterMs],
  ] as const) {
    it(`is ${given} ms for a Retry-After of ${asked} ms`, () => {
      const evidence = status(429, asked === undefined ? {} : { retryAfterMs: asked });
      expect(judge({ evidence, phase: 'metadata' }, request)).to.include({ verdict: 'limited', retryAfterMs: given });
    });
  }
});

describe('the message of a judgement', () => {
  it('names the registry, a short digest, and the numbers', () => {
    const { reason } = judge({ evidence: limit('layers.stallMs', 4_000), phase: 'layers' }, request);
    expect(reason.message).to.equal(
      'quay.io/aptible stopped sending sha256:0123456789ab after 6000000 bytes, for 4000 ms (layers.stallMs)',
    );
  });

  it('says whether the storage or the token service answered', () => {
    const storage = judge({ evidence: status(500, { from: 'storage' }), phase: 'layers' }, request);
    const tokens = judge({ evidence: status(500, { from: 'token-service' }), phase: 'metadata' }, request);
    expect(storage.reason.message).to.match(/^the storage of quay\.io\/aptible answered 500/);
    expect(tokens.reason.message).to.match(/^the token service of quay\.io\/aptible answered 500/);
  });

  it('repeats what the registry said, but no secret and no control character of it', () => {
    const { reason } = judge(
      { evidence: status(403), phase: 'metadata' },
      {
        registry: 'quay.io/aptible',
        object: '3.0',
        detail: 'denied\u001b[2J, see https://cdn.example/x?X-Amz-Signature=topsecret and Bearer abcdefghijkl',
      },
    );
    expect(reason.message).to.match(/^quay\.io\/aptible answered 403 for 3\.0: .*\(denied /);
    expect(reason.message).not.to.match(/topsecret|abcdefghijkl/);
    expect(reason.message).not.to.include('\u001b');
  });

  it('stays short, however long the text of the registry is', () => {
    const { reason } = judge(
      { evidence: status(500), phase: 'metadata' },
      { ...request, detail: '<html>'.repeat(100_000) },
    );
    expect(reason.message).to.have.length.below(500);
  });
});
