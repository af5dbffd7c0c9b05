import { createHash } from 'node:crypto';
import { isOwner } from '../files/process-owner.js';
import { digestAlgorithm, digestHex, parseDigest } from '../image/digest.js';
import type { Reference } from '../image/reference.js';
import type { Digest } from '../vocabulary/digest.js';

/** The first component of every relay's repositories: nobody's own images are below it. */
export const reservedComponent = 'pull-failover';

/** An image as a relay serves it. */
export interface RelayName {
  /** Below the relay's address. */
  readonly repository: string;
  readonly tag: string;
}

/** What the name of an image in a daemon tells of the relay that brought it. */
export interface ParsedRelayName {
  /** `host:port` of the relay. */
  readonly address: string;
  /** The process that served it: see `ownerState`. */
  readonly instance: string;
  /** `host/path` of the image; null where that was too long to be part of the name. */
  readonly canonicalName: string | null;
  /** Null in a name that has only a digest. */
  readonly tag: string | null;
  readonly digest: Digest | null;
}

/** Docker up to 26 and Podman count host, port and path together. */
const maxNameLength = 255;

/** `255.255.255.255:65535`: no relay on a loopback address has a longer one. */
const usualAddressLength = 21;

const componentPattern = '[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*';
const pathPattern = new RegExp(`^${componentPattern}(?:/${componentPattern})*$`);

/** Stands for a name that does not fit; no host is called so, since a host has a dot, a port or is `localhost`. */
const longComponent = 'long';
const longHashLength = 32;

/** A tag has at most 128 characters, so of a sha512 digest only the beginning fits. */
const digestTagHexLength = 64;

/**
 * The name under which a relay serves an image: `pull-failover/<instance>/<host>/<path>`, a host's port after an
 * underscore. A name that would be too long, or whose host is no part of a repository's path (IPv6), becomes
 * `pull-failover/<instance>/long/<hash>`.
 *
 * @param instance of this process, `ownOwner()`: what a crash leaves behind can be told from what is in use
 * @param address of the relay, where it is known; all of the name has at most 255 characters
 */
export function relayName(reference: Reference, instance: string, address?: string): RelayName {
  const below = `${reservedComponent}/${instance}`;
  const plain = `${below}/${reference.host.replace(/:(?=\d+$)/, '_')}/${reference.path}`;
  const length = (address?.length ?? usualAddressLength) + 1 + plain.length;
  const fits = length <= maxNameLength && pathPattern.test(plain);
  const repository = fits ? plain : `${below}/${longComponent}/${hashOf(reference.name)}`;
  return { repository, tag: reference.tag ?? (reference.digest === null ? 'latest' : digestTag(reference.digest)) };
}

/** A tag made from a digest, for an image that was asked for by digest alone: `digest-sha256-<hex>`. */
export function digestTag(digest: Digest): string {
  return `digest-${digestAlgorithm(digest)}-${digestHex(digest).slice(0, digestTagHexLength)}`;
}

/** Reads the full name of an image in a daemon; null when no relay of this library made it. Never throws. */
export function parseRelayName(name: string): ParsedRelayName | null {
  const groups = fullName.exec(name)?.groups;
  const address = groups?.['address'];
  const instance = groups?.['instance'];
  const rest = groups?.['rest'];
  if (groups === undefined || address === undefined || instance === undefined || rest === undefined) return null;
  if (!isOwner(instance)) return null;
  const canonicalName = canonicalNameOf(rest);
  if (canonicalName === undefined) return null;
  const digest = groups['digest'] === undefined ? null : parseDigest(groups['digest']);
  if (groups['digest'] !== undefined && digest === null) return null;
  return { address, instance, canonicalName, tag: groups['tag'] ?? null, digest };
}

/** A relay's address always has a port: without one, a namespace of that name on Docker Hub would look the same. */
const fullName =
  /^(?<address>[^/\s]{1,253}:\d{1,5})\/pull-failover\/(?<instance>[a-z0-9-]{1,80})\/(?<rest>[^:@\s]{1,255})(?::(?<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?:@(?<digest>[a-z0-9]+:[a-f0-9]+))?$/;

const longName = new RegExp(`^${longComponent}/[a-f0-9]{${longHashLength}}$`);

/** Null where the name was too long; undefined when no relay names an image so. */
function canonicalNameOf(rest: string): string | null | undefined {
  if (longName.test(rest)) return null;
  const slash = rest.indexOf('/');
  if (slash === -1 || !pathPattern.test(rest)) return undefined;
  const host = rest.slice(0, slash).replace(/_(?=\d+$)/, ':');
  if (!host.includes('.') && !host.includes(':') && host !== 'localhost') return undefined;
  return `${host}/${rest.slice(slash + 1)}`;
}

function hashOf(name: string): string {
  return createHash('sha256').update(name).digest('hex').slice(0, longHashLength);
}
