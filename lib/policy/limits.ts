import { InvalidOptionError } from '../errors/invalid-option-error.js';
import { openOptionBag, type OptionBag } from './option-bag.js';

/**
 * How long the parts of a pull may take. Milliseconds are integers of at least 1; `Infinity` is no limit.
 * What is not given has its default, except that a default never contradicts what was given.
 */
export interface Timeouts {
  readonly metadata?: {
    /** One ping, token or manifest request, from when it holds a connection until its answer is read. Default 5,000. */
    readonly requestMs?: number;
    /** All metadata requests of one fetch to one registry, repetitions and waits included. Default 10,000. */
    readonly totalMs?: number;
  };
  readonly layers?: {
    /** From when a blob request holds a connection to the first byte of the blob, redirects included. Default 5,000. */
    readonly firstByteMs?: number;
    /** From one body byte of a blob to the next. Default 4,000. */
    readonly stallMs?: number;
    /**
     * The floor of a blob's rate, in bytes per second, while another candidate could do better; over all the requests that
     * a registry gets for the blob. Default 32,768.
     */
    readonly minBytesPerSecond?: number;
    /** The sliding window over which that rate is measured; `Infinity` for no floor. Default 15,000. */
    readonly windowMs?: number;
    /** From the first blob request until all blobs are read. Default `Infinity`. */
    readonly totalMs?: number;
  };
  /** The same limits for the last candidate left. Where `layers` gives one and this does not, that one holds. */
  readonly lastCandidate?: {
    /** Default 30,000, or `layers.firstByteMs` when that is given. */
    readonly firstByteMs?: number;
    /** Default 30,000, or `layers.stallMs` when that is given. */
    readonly stallMs?: number;
  };
  readonly extract?: {
    /** From the last byte delivered, or the last local progress, until the engine has the image. Default 900,000. */
    readonly stallMs?: number;
  };
}

/** Every limit, resolved: nothing is missing, and nothing contradicts anything else. */
export interface Limits {
  readonly metadata: { readonly requestMs: number; readonly totalMs: number };
  readonly layers: {
    readonly firstByteMs: number;
    readonly stallMs: number;
    readonly minBytesPerSecond: number;
    readonly windowMs: number;
    readonly totalMs: number;
  };
  readonly lastCandidate: { readonly firstByteMs: number; readonly stallMs: number };
  readonly extract: { readonly stallMs: number };
}

/** Long against a healthy answer, which takes well under a second, and it outlasts a lost SYN and its repetition. */
export const metadataRequestMs = 5_000;

/** Room for a ping, a token and a manifest, or for one repetition of a request that took all its time. */
export const metadataTotalMs = 10_000;

/** As for a metadata request: storage that reads a cold object is slow, but to go on elsewhere costs half a second. */
export const layersFirstByteMs = 5_000;

/**
 * Simulated on broadband, a false alarm comes less than once in two hours of transfer (0.55 an hour with 3 s, 0.12 with
 * 5 s), and costs a switch of half a second.
 */
export const layersStallMs = 4_000;

/** Below it 100 MB take an hour: whoever comes next is hardly worse. */
export const layersMinBytesPerSecond: number = 32 * 1024;

/** Long enough that one stall which `stallMs` forgives does not look like a slow source. */
export const layersWindowMs = 15_000;

/** Images have no largest size: a pull that makes progress is not ended. */
export const layersTotalMs: number = Infinity;

/** With nobody left to go on with, giving up costs the whole image: as patient as curl's speed limit, for one. */
export const lastCandidateFirstByteMs = 30_000;

/** As `lastCandidateFirstByteMs`: late bytes are better than none. */
export const lastCandidateStallMs = 30_000;

/** A shared disk can extract a large layer for minutes without a word, and to stop it wins nothing. */
export const extractStallMs: number = 15 * 60_000;

/** One place that may give limits; `path` is what its errors are said to be about, such as `timeouts`. */
export interface TimeoutsLevel {
  readonly path: string;
  readonly timeouts: unknown;
}

const keysOf = {
  metadata: ['requestMs', 'totalMs'],
  layers: ['firstByteMs', 'stallMs', 'minBytesPerSecond', 'windowMs', 'totalMs'],
  lastCandidate: ['firstByteMs', 'stallMs'],
  extract: ['stallMs'],
} as const;

type Group = keyof typeof keysOf;
type LimitPath = { [Name in Group]: `${Name}.${(typeof keysOf)[Name][number]}` }[Group];

/** A value that was given, and where. */
interface Given {
  readonly value: number;
  readonly path: string;
}

/**
 * Resolves the limits that hold where all `levels` apply; a later one wins, key by key.
 *
 * @throws InvalidOptionError for an unknown key, a value out of range, and two given values that contradict
 */
export function resolveLimits(levels: readonly TimeoutsLevel[]): Limits {
  const given = new Map<LimitPath, Given>();
  for (const { path, timeouts } of levels) collect(path, timeouts, given);
  for (const order of orders) checkOrder(order, given);
  return fill((path) => given.get(path)?.value);
}

function collect(path: string, timeouts: unknown, given: Map<LimitPath, Given>): void {
  const groups = Object.keys(keysOf) as Group[];
  const bag = openOptionBag(path, timeouts, groups);
  for (const group of groups) {
    const nested = bag.bag(group, keysOf[group]);
    for (const key of keysOf[group]) {
      const value = read(nested, key);
      if (value !== undefined) given.set(`${group}.${key}` as LimitPath, { value, path: nested.pathOf(key) });
    }
  }
}

function read(bag: OptionBag, key: string): number | undefined {
  return key === 'minBytesPerSecond' ? bag.integer(key, { min: 1 }) : bag.durationMs(key, { infinity: true });
}

/** Two limits of which the first must not be the longer one. */
interface Order {
  readonly shorter: LimitPath;
  readonly longer: LimitPath;
  readonly otherwise: string;
  /** `Infinity` as the shorter one means: only the longer one limits. */
  readonly mayBeOff: boolean;
}

const neverExpires = 'it could never expire';
const orders: readonly Order[] = [
  { shorter: 'metadata.requestMs', longer: 'metadata.totalMs', otherwise: neverExpires, mayBeOff: true },
  { shorter: 'layers.firstByteMs', longer: 'layers.totalMs', otherwise: neverExpires, mayBeOff: true },
  { shorter: 'layers.stallMs', longer: 'layers.totalMs', otherwise: neverExpires, mayBeOff: true },
  { shorter: 'lastCandidate.firstByteMs', longer: 'layers.totalMs', otherwise: neverExpires, mayBeOff: true },
  { shorter: 'lastCandidate.stallMs', longer: 'layers.totalMs', otherwise: neverExpires, mayBeOff: true },
  {
    shorter: 'layers.stallMs',
    longer: 'layers.windowMs',
    otherwise: 'a silence it forgives would fall below the floor',
    mayBeOff: true,
  },
  {
    shorter: 'layers.firstByteMs',
    longer: 'lastCandidate.firstByteMs',
    otherwise: 'the last candidate would have less time than the others',
    mayBeOff: false,
  },
  {
    shorter: 'layers.stallMs',
    longer: 'lastCandidate.stallMs',
    otherwise: 'the last candidate would have less time than the others',
    mayBeOff: false,
  },
];

function checkOrder(order: Order, given: ReadonlyMap<LimitPath, Given>): void {
  const shorter = given.get(order.shorter);
  const longer = given.get(order.longer);
  if (shorter === undefined || longer === undefined || shorter.value <= longer.value) return;
  if (order.mayBeOff && shorter.value === Infinity) return;
  throw new InvalidOptionError(
    shorter.path,
    `must be at most ${longer.path}, which is ${longer.value}, got ${shorter.value}: ${order.otherwise}`,
  );
}

/** Takes each default as near as the given limits allow. */
function fill(given: (path: LimitPath) => number | undefined): Limits {
  const layersTotal = given('layers.totalMs') ?? layersTotalMs;
  /** A default of `layers` under everything given that it must not exceed. */
  const under = (defaultMs: number, ...bounds: readonly LimitPath[]): number =>
    Math.min(defaultMs, layersTotal, ...bounds.map((path) => given(path) ?? Infinity));

  const requestMs = given('metadata.requestMs');
  const totalMs = given('metadata.totalMs');
  const firstByteMs = given('layers.firstByteMs');
  const stallMs = given('layers.stallMs');
  const layersFirstByte = firstByteMs ?? under(layersFirstByteMs, 'lastCandidate.firstByteMs');
  const layersStall = stallMs ?? under(layersStallMs, 'lastCandidate.stallMs', 'layers.windowMs');
  // Without a stall limit a floor that the host gave is all there is to end a silence, so it keeps its window.
  const floorStaysOn = layersStall === Infinity && given('layers.minBytesPerSecond') !== undefined;
  return Object.freeze({
    metadata: Object.freeze({
      requestMs: requestMs ?? Math.min(metadataRequestMs, totalMs ?? Infinity),
      totalMs: totalMs ?? Math.max(metadataTotalMs, requestMs ?? 0),
    }),
    layers: Object.freeze({
      firstByteMs: layersFirstByte,
      stallMs: layersStall,
      minBytesPerSecond: given('layers.minBytesPerSecond') ?? layersMinBytesPerSecond,
      windowMs: given('layers.windowMs') ?? (floorStaysOn ? layersWindowMs : Math.max(layersWindowMs, layersStall)),
      totalMs: layersTotal,
    }),
    lastCandidate: Object.freeze({
      firstByteMs: given('lastCandidate.firstByteMs') ?? firstByteMs ?? under(lastCandidateFirstByteMs),
      stallMs: given('lastCandidate.stallMs') ?? stallMs ?? under(lastCandidateStallMs),
    }),
    extract: Object.freeze({ stallMs: given('extract.stallMs') ?? extractStallMs }),
  });
}
