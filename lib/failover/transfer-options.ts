import { InvalidOptionError } from '../errors/invalid-option-error.js';
import type { OptionBag } from '../policy/option-bag.js';
import type { HedgeSettings } from './hedge.js';

/** When what is late is asked of the next registry too, and how much of that there may be. */
export interface HedgeOptions {
  /**
   * Milliseconds after which a metadata request that has no answer is sent to the next registry too; above a limit it
   * means no hedge, `Infinity` never. Default: three times the registry's own 95th percentile, at least 1,000.
   */
  readonly metadataMs?: number;
  /**
   * Milliseconds without a byte for the part of a blob that everybody waits for, after which the next registry is asked
   * for it too; above a limit it means no hedge, `Infinity` never. Default: four times the longest pause that the
   * registry made earlier in this pull, and before its first byte four times its own 95th percentile; 400 at least, and
   * 1,000 at most.
   */
  readonly layersMs?: number;
  /**
   * What hedges may add, 0 to 1: requests, as a share of all metadata requests, beside 4 that a puller begins with; bytes,
   * as a share of those of the pull, beside 16 MiB that it begins with, and none at all with 0. Default 0.1.
   */
  readonly budget?: number;
}

/** How bytes are moved: over how many connections, with how much memory, and from whom. */
export interface TransferOptions {
  /**
   * Connections for one blob, 1 to 64: the most. One is used until a second one is seen to raise the throughput, so that
   * a fast link pays nothing for it; 1 never splits a blob. At most `maxConnections`; default 8.
   */
  readonly connectionsPerBlob?: number;
  /**
   * Connections for all blobs of the puller; default 16, and never fewer than a `connectionsPerBlob` that was given. They
   * are shared fairly, first between kinds of operation (`operation.kind`), then between the pulls of a kind; each
   * registry's own `maxConnections` holds beside it. At most 1,024.
   */
  readonly maxConnections?: number;
  /**
   * Bytes of the first range that each connection asks for, at least 16,384; default 2,097,152 (2 MiB). Ranges grow from
   * there while the window has room; a blob smaller than four of them is not split.
   */
  readonly rangeBytes?: number;
  /**
   * Memory for what one blob received ahead of the byte that is written next, in bytes; at least `rangeBytes`, default
   * 16,777,216 (16 MiB).
   */
  readonly windowBytes?: number;
  /**
   * The same for all blobs of the puller together, shared as the connections are; at least `windowBytes`, default
   * 67,108,864 (64 MiB), and never less than a `windowBytes` that was given.
   */
  readonly maxWindowBytes?: number;
  /**
   * Whether a blob is drawn from all its registries at once. Default false: in order, and while the first is well
   * nobody else is asked for a byte.
   */
  readonly spread?: boolean;
  /** When a late request is sent to the next registry too. */
  readonly hedge?: HedgeOptions;
}

/** `TransferOptions`, checked and whole. */
export interface TransferSettings {
  readonly connectionsPerBlob: number;
  readonly maxConnections: number;
  readonly rangeBytes: number;
  readonly windowBytes: number;
  readonly maxWindowBytes: number;
  readonly spread: boolean;
  readonly hedge: HedgeSettings;
}

const kibibyte = 1_024;
const mebibyte = 1_024 * kibibyte;

/** On a long link 8 take a fifth of one connection's time, 16 still a seventh, for twice the memory. */
const defaultConnectionsPerBlob = 8;
/** Two blobs at their most, or sixteen pulls with one each: what a registry takes from one host without a limit of rates. */
const defaultMaxConnections = 16;
/** Long enough that a request costs little beside its bytes, short enough that eight of them fit into a window. */
const defaultRangeBytes = 2 * mebibyte;
/** What 8 connections with 2 MiB each need so that none waits for another. */
const defaultWindowBytes = 16 * mebibyte;
/** Four blobs with a full window: with the buffers of connections and sinks the puller stays below 100 MiB. */
const defaultMaxWindowBytes = 64 * mebibyte;
/** A tenth more requests keeps a dying registry's neighbours well, and covers every twentieth answer being late twice over. */
const defaultHedgeBudget = 0.1;

/** More connections to one blob gained nothing on any link, and look like an attack. */
const mostConnectionsPerBlob = 64;
/** More would only take the host's ports and file descriptors. */
const mostConnections = 1_024;
/** Below it, the headers of a request and its answer weigh as much as what they bring. */
const leastRangeBytes = 16 * kibibyte;

const transferKeys = [
  'connectionsPerBlob',
  'maxConnections',
  'rangeBytes',
  'windowBytes',
  'maxWindowBytes',
  'spread',
  'hedge',
] as const satisfies readonly (keyof TransferOptions)[];

const hedgeKeys = ['metadataMs', 'layersMs', 'budget'] as const satisfies readonly (keyof HedgeOptions)[];

/**
 * Checks `transfer` of a puller's options and fills in the defaults; a default never contradicts what was given.
 *
 * @param options the whole options, of which only `transfer` is read
 * @throws InvalidOptionError naming the key and the value
 */
export function parseTransferOptions(options: OptionBag): TransferSettings {
  const bag = options.bag('transfer', transferKeys);
  const connectionsPerBlob = bag.integer('connectionsPerBlob', { min: 1, max: mostConnectionsPerBlob });
  const maxConnections = bag.integer('maxConnections', { min: 1, max: mostConnections });
  const rangeBytes = bag.integer('rangeBytes', { min: leastRangeBytes });
  const windowBytes = bag.integer('windowBytes', { min: leastRangeBytes });
  const maxWindowBytes = bag.integer('maxWindowBytes', { min: leastRangeBytes });
  refuseMore(bag, ['connectionsPerBlob', connectionsPerBlob], ['maxConnections', maxConnections]);
  refuseMore(bag, ['rangeBytes', rangeBytes], ['windowBytes', windowBytes]);
  refuseMore(bag, ['rangeBytes', rangeBytes], ['maxWindowBytes', maxWindowBytes]);
  refuseMore(bag, ['windowBytes', windowBytes], ['maxWindowBytes', maxWindowBytes]);
  return Object.freeze({
    connectionsPerBlob: connectionsPerBlob ?? Math.min(defaultConnectionsPerBlob, maxConnections ?? Infinity),
    maxConnections: maxConnections ?? Math.max(defaultMaxConnections, connectionsPerBlob ?? 0),
    rangeBytes: rangeBytes ?? Math.min(defaultRangeBytes, windowBytes ?? Infinity, maxWindowBytes ?? Infinity),
    windowBytes: windowBytes ?? Math.min(Math.max(defaultWindowBytes, rangeBytes ?? 0), maxWindowBytes ?? Infinity),
    maxWindowBytes: maxWindowBytes ?? Math.max(defaultMaxWindowBytes, windowBytes ?? 0, rangeBytes ?? 0),
    spread: bag.boolean('spread') ?? false,
    hedge: parseHedgeOptions(bag.bag('hedge', hedgeKeys)),
  });
}

function parseHedgeOptions(bag: OptionBag): HedgeSettings {
  return Object.freeze({
    metadataMs: bag.durationMs('metadataMs', { infinity: true }) ?? null,
    layersMs: bag.durationMs('layersMs', { infinity: true }) ?? null,
    budget: bag.number('budget', { min: 0, max: 1 }) ?? defaultHedgeBudget,
  });
}

/** @throws InvalidOptionError when both were given and the smaller one is not */
function refuseMore(
  bag: OptionBag,
  [key, value]: readonly [string, number | undefined],
  [mostKey, most]: readonly [string, number | undefined],
): void {
  if (value === undefined || most === undefined || value <= most) return;
  throw new InvalidOptionError(
    bag.pathOf(key),
    `must be at most ${bag.pathOf(mostKey)}, which is ${most}, got ${value}`,
  );
}
