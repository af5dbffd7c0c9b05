import fc from 'fast-check';
import type {
  ConnectionTrouble,
  Fault,
  LayersTrouble,
  MetadataTrouble,
  TokenTrouble,
} from '../../../lib/testing/index.js';
import { parseFault } from '../../../lib/testing/index.js';

/** Every kind of every group: a new one in the union does not compile until it is here. */
const kindsOf: {
  readonly layers: Readonly<Record<LayersTrouble['kind'], true>>;
  readonly metadata: Readonly<Record<MetadataTrouble['kind'], true>>;
  readonly token: Readonly<Record<TokenTrouble['kind'], true>>;
  readonly connection: Readonly<Record<ConnectionTrouble['kind'], true>>;
} = {
  layers: {
    'no-headers': true,
    'hang-up': true,
    delay: true,
    status: true,
    stall: true,
    reset: true,
    truncate: true,
    drip: true,
    'wrong-bytes': true,
    'wrong-length': true,
    'content-encoding': true,
    'no-content-length': true,
    'redirect-loop': true,
    'redirect-to': true,
    missing: true,
    'wrong-range': true,
    'ignore-range': true,
    'short-range': true,
    'unknown-total': true,
    'expired-redirect': true,
  },
  metadata: {
    'no-headers': true,
    'hang-up': true,
    delay: true,
    status: true,
    stall: true,
    reset: true,
    truncate: true,
    drip: true,
    'wrong-bytes': true,
    'wrong-length': true,
    'content-encoding': true,
    'no-content-length': true,
    'redirect-loop': true,
    'redirect-to': true,
    missing: true,
    'malformed-json': true,
    'wrong-digest-header': true,
    'no-digest-header': true,
    'wrong-content': true,
    html: true,
    huge: true,
  },
  token: {
    'no-headers': true,
    'hang-up': true,
    delay: true,
    status: true,
    stall: true,
    reset: true,
    truncate: true,
    drip: true,
    'malformed-json': true,
    'no-token': true,
    html: true,
    huge: true,
  },
  connection: { refuse: true, reset: true, blackhole: true },
};

const share = fc.constantFrom(0, 0.001, 0.3, 0.5, 0.9, 0.999, 1);
const position = fc.oneof(
  fc.constant({}),
  fc.record({ afterShare: share }),
  fc.record({ afterBytes: fc.integer({ min: 0, max: 300_000 }) }),
  fc.record({ afterBytes: fc.integer({ min: 1_000, max: 300_000 }), of: fc.constant('response') }),
);
const status = fc.oneof(
  fc.constantFrom(400, 401, 403, 404, 408, 416, 429, 500, 502, 503, 504),
  fc.integer({ min: 200, max: 599 }),
);

/** What a kind has beside its name; kinds that have nothing are not listed. */
const details: Readonly<Record<string, fc.Arbitrary<object>>> = {
  delay: fc.record({ ms: fc.constantFrom(10, 200, 700, 2_000) }),
  status: fc.oneof(
    fc.record({ status }),
    fc.record({ status: fc.constantFrom(429, 503), retryAfter: fc.constantFrom(0, 1, 5, 3_600, 'soon') }),
    fc.record({ status, body: fc.constantFrom('', 'no', '{"errors": 7}', '<html>') }),
  ),
  stall: position,
  reset: position,
  truncate: position,
  drip: fc
    .tuple(position, fc.constantFrom(1, 1_000, 20_000, 100_000))
    .map(([where, bytesPerSecond]) => ({ ...where, bytesPerSecond })),
  'wrong-bytes': fc.oneof(fc.record({ atShare: share }), fc.record({ atByte: fc.integer({ min: 0, max: 90_000 }) })),
  'wrong-length': fc.record({ byBytes: fc.constantFrom(-1_000, -1, 1, 1_000) }),
  'content-encoding': fc.record({ encoding: fc.constantFrom('gzip', 'deflate', 'br') }),
  'no-content-length': fc.record({ framing: fc.constantFrom('chunked', 'close') }),
  // A closed port, and a name that nobody has.
  'redirect-to': fc.record({
    url: fc.constantFrom('http://127.0.0.1:1{path}', 'http://storage.invalid{path}', 'ftp://127.0.0.1/', 'http://['),
  }),
  'wrong-range': fc.record({ byBytes: fc.constantFrom(-1, 1, 500), header: fc.constantFrom('honest', 'as-asked') }),
  'short-range': fc.record({ maxBytes: fc.constantFrom(1_000, 30_000, 200_000) }),
};

const scope = fc.oneof(
  { weight: 4, arbitrary: fc.constant({}) },
  { weight: 2, arbitrary: fc.record({ times: fc.integer({ min: 1, max: 4 }) }) },
  { weight: 1, arbitrary: fc.record({ after: fc.integer({ min: 1, max: 3 }) }) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.integer({ min: 0, max: 500 }), fc.integer({ min: 100, max: 3_000 }))
      .map(([fromMs, forMs]) => ({ between: [fromMs, fromMs + forMs] })),
  },
  { weight: 1, arbitrary: fc.record({ probability: fc.constantFrom(0.3, 0.7), seed: fc.integer() }) },
);
/** Of a refused connection nothing can be counted. */
const refusalScope = fc.constantFrom({}, { between: [0, 400] }, { between: [300, 2_000] });

function faultOf(on: string, kind: string): fc.Arbitrary<Fault> {
  const where = kind === 'refuse' ? refusalScope : scope;
  // The same kind of another group may need nothing: a connection is reset as it is.
  const what = on === 'connection' ? fc.constant({}) : (details[kind] ?? fc.constant({}));
  return fc.tuple(what, where).map(([detail, scoped]) => parseFault({ ...detail, ...scoped, on, kind }));
}

/** One fault of any kind. */
export const anyFault: fc.Arbitrary<Fault> = fc.oneof(
  ...Object.entries(kindsOf).map(([on, kinds]) => ({
    // By the number of its kinds, but those of layers twice as often: they are what the heart is for.
    weight: Object.keys(kinds).length * (on === 'layers' ? 2 : 1),
    arbitrary: fc.oneof(...Object.keys(kinds).map((kind) => faultOf(on, kind))),
  })),
);

/** Kinds that spoil a manifest so that only its digest tells. */
const spoilingKinds: readonly Fault['kind'][] = ['wrong-bytes', 'wrong-content', 'malformed-json', 'wrong-length'];

/**
 * The faults of one registry, one to three. A tag whose answer is spoiled and has no digest says nothing against
 * itself: that registry has simply moved the tag, so the two do not come together.
 */
export const faultsOfOne: fc.Arbitrary<readonly Fault[]> = fc
  .array(anyFault, { minLength: 1, maxLength: 3 })
  .filter(
    (faults) =>
      !faults.some(({ kind }) => kind === 'no-digest-header') ||
      !faults.some(({ on, kind }) => on === 'metadata' && spoilingKinds.includes(kind)),
  );

/** The shortest time to be left alone; the default would only make the specs longer. */
const statusOf = (code: number): object => ({
  kind: 'status',
  status: code,
  ...(code === 429 ? { retryAfter: 1 } : {}),
});

const deadConnections = fc.constantFrom('refuse', 'reset', 'blackhole').map((kind) => ({ on: 'connection', kind }));

/** Faults with which a registry never delivers the last byte of a blob, or a manifest, however often it is asked. */
export const deadlyFaultOf: Readonly<Record<'layers' | 'metadata', fc.Arbitrary<Fault>>> = {
  layers: fc
    .oneof(
      fc
        .constantFrom('stall', 'reset', 'truncate')
        .chain((kind) =>
          fc.constantFrom(0, 0.001, 0.3, 0.5, 0.9).map((afterShare) => ({ on: 'layers', kind, afterShare })),
        ),
      fc.constantFrom(400, 401, 403, 404, 416, 429, 500, 503).map((code) => ({ on: 'layers', ...statusOf(code) })),
      fc.constantFrom('no-headers', 'hang-up', 'missing', 'redirect-loop').map((kind) => ({ on: 'layers', kind })),
      fc.constant({ on: 'layers', kind: 'content-encoding', encoding: 'gzip' }),
      fc.constant({ on: 'layers', kind: 'wrong-length', byBytes: 1 }),
      deadConnections,
    )
    .map((fault) => parseFault(fault)),
  metadata: fc
    .oneof(
      fc.constantFrom(400, 401, 403, 404, 408, 429, 500, 503).map((code) => ({ on: 'metadata', ...statusOf(code) })),
      fc
        .constantFrom(
          'no-headers',
          'hang-up',
          'missing',
          'html',
          'huge',
          'stall',
          'reset',
          'truncate',
          'malformed-json',
          'redirect-loop',
        )
        .map((kind) => ({ on: 'metadata', kind })),
      deadConnections,
    )
    .map((fault) => parseFault(fault)),
};
