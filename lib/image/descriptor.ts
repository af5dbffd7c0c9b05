import type { Digest } from '../vocabulary/digest.js';
import { digestAlgorithm, digestOf, parseDigest } from './digest.js';
import { foldKey, shown, type JsonObject } from './json-object.js';
import { readPlatform } from './read-platform.js';
import type { Platform } from './platform-normal.js';

/**
 * Content named by digest: a manifest, a config or a layer.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.0/descriptor.md#properties
 */
export interface Descriptor {
  /** As given; empty where an old document has none. */
  readonly mediaType: string;
  readonly digest: Digest;
  /** In bytes, from 0 to 2^53 − 1. */
  readonly size: number;
  readonly platform?: Platform;
  /** An object without a prototype. */
  readonly annotations?: Readonly<Record<string, string>>;
  /** Other places that have the content, as given: unchecked, and never to be shown without redaction. */
  readonly urls?: readonly string[];
  /** The content itself, where the document embeds it: decoded, and verified against `digest` and `size`. */
  readonly data?: Uint8Array;
  readonly artifactType?: string;
}

/** A longer value is no remark any more; the largest known are build records of some ten kilobytes. */
export const maxAnnotationLength = 262_144;

/** Beyond what clients and servers take for a URL in practice, with room for long signatures. */
const maxUrlLength = 8_192;
const maxUrls = 64;

/**
 * Embedded content above 1 MiB is left where it is and fetched as a blob, as the specification allows:
 * decoding it would cost more memory than the request saves time.
 */
const maxDataBytes = 1_048_576;

/** The keys that decide what is fetched, and from where. */
const tellingKeys: ReadonlyMap<string, string> = new Map(
  ['mediaType', 'digest', 'size', 'urls', 'data', 'platform'].map((key) => [foldKey(key), key]),
);

/** @throws ManifestError `malformed` */
export function readDescriptor(from: JsonObject): Descriptor {
  checkSpelling(from);
  const mediaType = from.word('mediaType') ?? '';
  const digest = readDigest(from);
  const size = readSize(from);
  const platformObject = from.object('platform');
  const platform = platformObject === undefined ? null : readPlatform(platformObject);
  const annotations = from.textMap('annotations', maxAnnotationLength);
  const urls = from.texts('urls', maxUrls, maxUrlLength);
  const data = readData(from, digest, size);
  const artifactType = from.word('artifactType');
  return {
    mediaType,
    digest,
    size,
    ...(platform === null ? {} : { platform }),
    ...(annotations === undefined ? {} : { annotations }),
    ...(urls === undefined ? {} : { urls }),
    ...(data === undefined ? {} : { data }),
    ...(artifactType === undefined || artifactType === '' ? {} : { artifactType }),
  };
}

/** With `Digest` beside `digest`, readers that ignore letter case would fetch another layer than those that do not. */
function checkSpelling(from: JsonObject): void {
  for (const key of from.keys) {
    const known = tellingKeys.get(foldKey(key));
    if (known === undefined || known === key) continue;
    throw from.malformed(known, `is spelt ${shown(key)}, which some readers take for it and others do not`);
  }
}

function readDigest(from: JsonObject): Digest {
  const found = from.value('digest');
  const digest = typeof found === 'string' ? parseDigest(found) : null;
  if (digest === null) throw from.malformed('digest', `must be a sha256 or sha512 digest, got ${shown(found)}`);
  return digest;
}

function readSize(from: JsonObject): number {
  const found = from.value('size');
  if (typeof found !== 'number' || !Number.isSafeInteger(found) || found < 0) {
    throw from.malformed('size', `must be an integer from 0 to 2^53 - 1, got ${shown(found)}`);
  }
  // JSON knows a -0.
  return found === 0 ? 0 : found;
}

/** @see https://github.com/opencontainers/image-spec/blob/v1.1.0/descriptor.md#embedded-content */
function readData(from: JsonObject, digest: Digest, size: number): Uint8Array | undefined {
  const found = from.value('data');
  if (found === undefined || found === '') return undefined;
  if (typeof found !== 'string') throw from.malformed('data', `must be a string, got ${shown(found)}`);
  if (size > maxDataBytes) return undefined;
  // Before decoding: no more is decoded than the size announces.
  if (found.length !== Math.ceil(size / 3) * 4) throw from.malformed('data', `is not base64 of ${size} bytes`);
  const data = Buffer.from(found, 'base64');
  // Node's decoder skips what is not base64; only what encodes back to the same text was base64.
  if (data.length !== size || data.toString('base64') !== found) {
    throw from.malformed('data', `is not base64 of ${size} bytes`);
  }
  if (digestOf(data, digestAlgorithm(digest)) !== digest)
    throw from.malformed('data', `is not the content of ${digest}`);
  return data;
}
