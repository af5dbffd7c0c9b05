import { InvalidOptionError } from '../errors/invalid-option-error.js';
import { openOptionBag, type OptionBag } from '../policy/option-bag.js';
import type { Fault, FaultGroup } from './fault.js';

type FieldCheck = (bag: OptionBag, key: string) => unknown;

const count: FieldCheck = (bag, key) => bag.integer(key, { min: 0 });
const positive: FieldCheck = (bag, key) => bag.integer(key, { min: 1 });
const difference: FieldCheck = (bag, key) => bag.integer(key);
const share: FieldCheck = (bag, key) => bag.number(key, { min: 0, max: 1 });
const text: FieldCheck = (bag, key) => bag.string(key);
const httpStatus: FieldCheck = (bag, key) => bag.integer(key, { min: 200, max: 599 });
const redirectStatus: FieldCheck = (bag, key) => bag.integer(key, { min: 301, max: 308 });
const word =
  (...words: readonly string[]): FieldCheck =>
  (bag, key) =>
    bag.oneOf(key, words);

const position: Readonly<Record<string, FieldCheck>> = {
  afterBytes: count,
  afterShare: share,
  of: word('object', 'response'),
};

/** Which fields each kind has beside the scope; those in `required` may not be missing. */
const kinds: Readonly<
  Record<string, { readonly fields: Readonly<Record<string, FieldCheck>>; readonly required?: readonly string[] }>
> = {
  'no-headers': { fields: {} },
  'hang-up': { fields: {} },
  delay: { fields: { ms: count }, required: ['ms'] },
  status: {
    fields: {
      status: httpStatus,
      retryAfter: (bag, key) => (typeof bag.raw(key) === 'number' ? bag.number(key, { min: 0 }) : bag.string(key)),
      code: text,
      body: (bag, key) => (bag.raw(key) === '' ? '' : bag.string(key)),
      contentType: text,
      challenge: text,
    },
    required: ['status'],
  },
  stall: { fields: position },
  reset: { fields: position },
  truncate: { fields: position },
  drip: {
    fields: { ...position, bytesPerSecond: (bag, key) => bag.number(key, { min: 0.01 }) },
    required: ['bytesPerSecond'],
  },
  'wrong-bytes': { fields: { atByte: count, atShare: share } },
  'wrong-length': { fields: { byBytes: difference }, required: ['byBytes'] },
  'content-encoding': { fields: { encoding: word('gzip', 'deflate', 'br') }, required: ['encoding'] },
  'no-content-length': { fields: { framing: word('chunked', 'close') } },
  'redirect-loop': { fields: {} },
  'redirect-to': { fields: { url: text, status: redirectStatus }, required: ['url'] },
  missing: { fields: {} },
  'wrong-range': { fields: { byBytes: difference, header: word('honest', 'as-asked') } },
  'ignore-range': { fields: {} },
  'short-range': { fields: { maxBytes: positive }, required: ['maxBytes'] },
  'unknown-total': { fields: {} },
  'expired-redirect': { fields: {} },
  'malformed-json': { fields: {} },
  'wrong-digest-header': { fields: {} },
  'no-digest-header': { fields: {} },
  'wrong-content': { fields: {} },
  html: { fields: {} },
  huge: { fields: { bytes: positive } },
  'no-token': { fields: {} },
  refuse: { fields: {} },
  blackhole: { fields: {} },
};

const exchangeKinds: readonly string[] = ['no-headers', 'hang-up', 'delay', 'status'];
const cutKinds: readonly string[] = ['stall', 'reset', 'truncate', 'drip'];
const contentKinds: readonly string[] = [
  ...cutKinds,
  'wrong-bytes',
  'wrong-length',
  'content-encoding',
  'no-content-length',
  'redirect-loop',
  'redirect-to',
  'missing',
];

const kindsOf: Readonly<Record<FaultGroup, readonly string[]>> = {
  layers: [
    ...exchangeKinds,
    ...contentKinds,
    'wrong-range',
    'ignore-range',
    'short-range',
    'unknown-total',
    'expired-redirect',
  ],
  metadata: [
    ...exchangeKinds,
    ...contentKinds,
    'malformed-json',
    'wrong-digest-header',
    'no-digest-header',
    'wrong-content',
    'html',
    'huge',
  ],
  token: [...exchangeKinds, ...cutKinds, 'malformed-json', 'no-token', 'html', 'huge'],
  ping: exchangeKinds,
  connection: ['refuse', 'reset', 'blackhole'],
};

const scopeChecks: Readonly<Record<string, FieldCheck>> = {
  repository: text,
  object: text,
  method: word('GET', 'HEAD'),
  at: word('registry', 'storage'),
  times: positive,
  after: count,
  between: (bag, key) => {
    const between = bag.raw(key);
    if (between === undefined) return undefined;
    const [fromMs, toMs] = Array.isArray(between) ? (between as readonly unknown[]) : [];
    if (typeof fromMs !== 'number' || typeof toMs !== 'number' || !(fromMs >= 0 && toMs > fromMs)) {
      throw new InvalidOptionError(bag.pathOf(key), `must be [fromMs, toMs] with 0 <= fromMs < toMs`);
    }
    return [fromMs, toMs];
  },
  probability: share,
  seed: difference,
};

/** A refused connection is seen by nobody, so that nothing about it can be counted. */
const refusalScope: Readonly<Record<string, FieldCheck>> = {
  at: word('registry', 'storage'),
  between: scopeChecks['between'] ?? text,
};

/**
 * Checks a value that may come from a file, and returns it as a frozen fault.
 *
 * @param path how the value is called in an error, such as `faults[0]`
 * @throws {InvalidOptionError} when a key is unknown or missing, or a value out of range
 */
export function parseFault(value: unknown, path: string = 'fault'): Fault {
  const fields = (value ?? {}) as Readonly<Record<string, unknown>>;
  const outer = openOptionBag(path, value, Object.keys(fields));
  const group = outer.oneOf('on', Object.keys(kindsOf) as FaultGroup[]);
  if (group === undefined) throw new InvalidOptionError(outer.pathOf('on'), 'is missing');
  const kind = outer.oneOf('kind', kindsOf[group]);
  if (kind === undefined) throw new InvalidOptionError(outer.pathOf('kind'), 'is missing');
  const ofKind = group === 'connection' ? { fields: {} } : kinds[kind];
  if (ofKind === undefined) throw new InvalidOptionError(outer.pathOf('kind'), `is unknown: ${kind}`);
  const checks = { ...ofKind.fields, ...(kind === 'refuse' ? refusalScope : scopeChecks) };

  const bag = openOptionBag(path, value, ['on', 'kind', ...Object.keys(checks)]);
  const checked: Record<string, unknown> = { on: group, kind };
  for (const [key, check] of Object.entries(checks)) {
    const found = check(bag, key);
    if (found !== undefined) checked[key] = found;
  }
  for (const key of ofKind.required ?? []) {
    if (checked[key] === undefined) throw new InvalidOptionError(bag.pathOf(key), 'is missing');
  }
  if (checked['afterBytes'] !== undefined && checked['afterShare'] !== undefined) {
    throw new InvalidOptionError(bag.pathOf('afterShare'), 'contradicts afterBytes; give one of them');
  }
  if (checked['afterShare'] !== undefined && checked['of'] === 'response') {
    throw new InvalidOptionError(
      bag.pathOf('afterShare'),
      `counts from the start of the object, so that of: 'response' contradicts it`,
    );
  }
  if (checked['atByte'] !== undefined && checked['atShare'] !== undefined) {
    throw new InvalidOptionError(bag.pathOf('atShare'), 'contradicts atByte; give one of them');
  }
  // Every field was checked by the table above, which mirrors the union.
  return Object.freeze(checked) as unknown as Fault;
}
