import { InvalidOptionError } from '../errors/invalid-option-error.js';
import { isImageConfig, meaningOf } from './media-type.js';
import { createPlatformMatch } from './platform-match.js';
import {
  hostArchitecture,
  isKnownArchitecture,
  isKnownOs,
  normalArchitecture,
  normalise,
  normalOs,
  type Platform,
} from './platform-normal.js';

export type { Platform } from './platform-normal.js';

/** Longer than any platform that means something. */
const maxLength = 255;

const osPattern = /^(?<os>[A-Za-z0-9_-]+)(?:\((?<version>[A-Za-z0-9_.%-]*)(?<features>(?:\+[A-Za-z0-9_.%-]+)*)\))?$/;
const wordPattern = /^[A-Za-z0-9_.-]+$/;

/**
 * Reads `os[(version+feature…)]/architecture[/variant]`, or an operating system or an architecture alone, and returns
 * it in its one spelling, as containerd normalises it: `linux/aarch64/v8` is `linux/arm64`, `linux/arm` is
 * `linux/arm/v7`. A missing operating system is Linux; a missing architecture is that of this process.
 *
 * @throws InvalidOptionError for the option `platform`
 * @see https://github.com/containerd/platforms/blob/09756f59cb1d6b3fb368f371043d36e634789537/platforms.go#L297-L389
 */
export function parsePlatform(text: string): Platform {
  if (typeof text !== 'string') throw new InvalidOptionError('platform', `must be a string, got ${typeof text}`);
  if (text.length > maxLength) {
    throw new InvalidOptionError('platform', `has ${text.length} characters, more than ${maxLength}`);
  }
  const [first = '', second, third, ...more] = text.split('/');
  const groups = osPattern.exec(first)?.groups;
  const rest = [second, third].filter((part) => part !== undefined);
  if (groups === undefined || more.length > 0 || !rest.every((part) => wordPattern.test(part))) throw invalid(text);

  const os = normalOs(groups['os'] ?? '');
  const osVersion = decode(text, groups['version'] ?? '');
  const osFeatures = (groups['features'] ?? '')
    .split('+')
    .slice(1)
    .map((feature) => decode(text, feature));

  if (second !== undefined) {
    return normalise({ os, ...normalArchitecture(second, third ?? ''), osVersion, osFeatures });
  }
  if (isKnownOs(os)) return normalise({ os, ...hostArchitecture(), osVersion, osFeatures });
  const alone = normalArchitecture(first, '');
  if (isKnownArchitecture(alone.architecture)) return normalise({ os: '', ...alone });
  throw invalid(text);
}

/** Writes `os[(version+feature…)]/architecture[/variant]`; what `parsePlatform` read comes back the same. */
export function formatPlatform(platform: Platform): string {
  if (platform.os === '') return 'unknown';
  const version = encode(platform.osVersion ?? '');
  const features = [...new Set(platform.osFeatures ?? [])]
    .filter((feature) => feature !== '')
    .toSorted()
    .map((feature) => `+${encode(feature)}`)
    .join('');
  const os = version === '' && features === '' ? platform.os : `${platform.os}(${version}${features})`;
  return [os, platform.architecture, platform.variant ?? ''].filter((part) => part !== '').join('/');
}

/** Linux on the architecture of this process: what a local engine runs, also where it runs in a virtual machine. */
export function hostPlatform(): Platform {
  return normalise({ os: 'linux', ...hostArchitecture() });
}

/** What is looked at in an entry of an index to choose among them. */
export interface PlatformEntry {
  readonly mediaType: string;
  readonly platform?: Platform;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly artifactType?: string;
}

/**
 * Returns the entry of an index that containerd would run on the wanted platform, or null when there is none: the same
 * platform, else the nearest lower variant, else the 32-bit one that a 64-bit machine runs too; of equal ones the first.
 * An entry without a platform comes after all that match. Attestations, and what is neither a manifest nor an index
 * (build caches keep layers there), are never chosen.
 *
 * @see https://github.com/containerd/platforms/blob/09756f59cb1d6b3fb368f371043d36e634789537/compare.go#L68-L161
 * @see https://github.com/containerd/containerd/blob/320e644426510fe20559d31d2f7c78a380b1b62a/core/images/image.go#L181-L235
 */
export function choosePlatform<Entry extends PlatformEntry>(
  manifests: readonly Entry[],
  wanted: Platform,
): Entry | null {
  const match = createPlatformMatch(wanted);
  const entries = manifests.filter((entry) => leadsToImage(entry) && !isAttestation(entry));
  const matching = entries.flatMap((entry) =>
    entry.platform !== undefined && match.includes(entry.platform) ? [{ entry, platform: entry.platform }] : [],
  );
  // The sort is stable: equals stay in the order of the index.
  const [best] = matching.toSorted((a, b) => match.compare(a.platform, b.platform));
  const silent = entries.filter(({ platform }) => platform === undefined);
  return (
    best?.entry ??
    silent.find(({ artifactType }) => artifactType === undefined || isImageConfig(artifactType)) ??
    silent[0] ??
    null
  );
}

/** Tells whether a machine of the wanted platform runs an image of the offered one. */
export function runsOn(wanted: Platform, offered: Platform): boolean {
  return createPlatformMatch(wanted).includes(offered);
}

/** An entry without a media type is an old document's, where it can only be a manifest. */
function leadsToImage({ mediaType }: PlatformEntry): boolean {
  const meaning = meaningOf(mediaType);
  return mediaType === '' || meaning === 'manifest' || meaning === 'index' || meaning === 'schema-1';
}

/** @see https://github.com/moby/buildkit/blob/v0.13.0/docs/attestations/attestation-storage.md */
function isAttestation({ platform, annotations }: PlatformEntry): boolean {
  const isUnknown = platform?.os === 'unknown' && platform.architecture === 'unknown';
  return isUnknown || annotations?.['vnd.docker.reference.type'] !== undefined;
}

function decode(text: string, part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw invalid(text);
  }
}

/** Whatever has a meaning in the syntax, or no place in it, byte by byte as %XX. */
function encode(part: string): string {
  return part.replace(/[^A-Za-z0-9_.-]/gu, (character) =>
    [...Buffer.from(character)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join(''),
  );
}

function invalid(text: string): InvalidOptionError {
  const example = 'must be os/architecture or os/architecture/variant, such as linux/arm64';
  return new InvalidOptionError('platform', `${example}, got ${JSON.stringify(text)}`);
}
