import { InvalidReferenceError } from '../errors/invalid-reference-error.js';
import type { Digest } from '../vocabulary/digest.js';
import { redactText } from '../vocabulary/redact.js';
import { parseDigest } from './digest.js';
import { dockerHub, looksLikeHost, parseHost } from './registry-host.js';

/** An image's name, checked and complete. */
export interface Reference {
  /** The registry's host in its one spelling, with its port where one is given: `docker.io`, `10.0.0.5:5000`, `[::1]:5000`. */
  readonly host: string;
  /** The repository at that host: `library/redis`. */
  readonly path: string;
  /** `host/path`, without tag and digest. */
  readonly name: string;
  /** `latest` when neither a tag nor a digest was given; null when only a digest was. */
  readonly tag: string | null;
  /** When it is not null it decides, and the tag is a remark. */
  readonly digest: Digest | null;
  /** `name[:tag][@digest]`; it reads back as the same reference. */
  readonly canonical: string;
}

/** A place below which repositories are: a host, or a host and the beginning of a path. */
export interface RepositoryPrefix {
  /** In its one spelling, as in a `Reference`. */
  readonly host: string;
  /** `aptible`; empty for a whole host. */
  readonly path: string;
  /** `host` or `host/path`; it reads back as the same prefix. */
  readonly name: string;
}

/** @see https://github.com/distribution/reference/blob/0965666a6ade2e06035fe352e38344be1e68951a/regexp.go#L130-L151 */
const pathPattern = /^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*$/;
const tagPattern = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;

/** What Docker takes for the identifier of an image, never for a name. */
const identifierPattern = /^[a-f0-9]{64}$/;

/** Characters of the path alone, as in distribution/reference; some registries count the host too and allow less. */
const maxPathLength = 255;

/** The longest text looked at: a host (255), path (255), tag (128) and sha512 digest (135), with room to spare. */
const maxLength = 1024;

const defaultTag = 'latest';

/** Where images live on Docker Hub that are named without a user: `redis` is `library/redis`. */
const officialPath = 'library/';

/**
 * Reads an image's name in Docker's reference grammar, with its Docker Hub defaults: `redis` is
 * `docker.io/library/redis:latest`, `user/app:1` is `docker.io/user/app:1`.
 *
 * Differs from Docker in that a host has one spelling (see `parseHost`), that the host must be one that can be
 * connected to, and that the digest's algorithm must be sha256 or sha512.
 *
 * @throws InvalidReferenceError when the text is not in the grammar, names an image by its identifier, or is too long
 * @see https://github.com/distribution/reference/blob/0965666a6ade2e06035fe352e38344be1e68951a/reference.go#L4-L26
 */
export function parseReference(text: string): Reference {
  checkText(text);
  if (identifierPattern.test(text) || parseDigest(text) !== null) {
    throw invalid(text, 'it is the identifier of an image; a registry knows images by name only');
  }

  const { host, rest } = splitHost(text);
  const at = rest.indexOf('@');
  const digest = at === -1 ? null : readDigest(text, rest.slice(at + 1));
  const named = at === -1 ? rest : rest.slice(0, at);
  const colon = named.indexOf(':');
  const givenTag = colon === -1 ? null : readTag(text, named.slice(colon + 1));
  const short = colon === -1 ? named : named.slice(0, colon);

  const path = host === dockerHub && !short.includes('/') ? `${officialPath}${short}` : short;
  checkPath(text, path, short);

  const tag = givenTag ?? (digest === null ? defaultTag : null);
  const name = `${host}/${path}`;
  const canonical = `${name}${tag === null ? '' : `:${tag}`}${digest === null ? '' : `@${digest}`}`;
  return { host, path, name, tag, digest, canonical };
}

/**
 * Reads the prefix of repositories at one registry: `quay.io/aptible`, `10.0.0.5:5000/mirror/quay.io/aptible`,
 * `docker.io`, `[::1]:5000/x`. It starts with a host, always: there are no Docker Hub defaults.
 *
 * @throws InvalidReferenceError when there is no host, or what follows it is not the beginning of a repository's path
 */
export function parsePrefix(text: string): RepositoryPrefix {
  checkText(text);
  const slash = text.indexOf('/');
  const first = slash === -1 ? text : text.slice(0, slash);
  if (!looksLikeHost(first)) {
    throw invalid(text, `it must start with a host, such as quay.io or localhost:5000 (Docker Hub is ${dockerHub})`);
  }
  const host = readHost(text, first);
  if (slash === -1) return { host, path: '', name: host };

  const path = text.slice(slash + 1);
  checkPath(text, path, path);
  return { host, path, name: `${host}/${path}` };
}

function checkText(text: unknown): asserts text is string {
  if (typeof text !== 'string') throw new InvalidReferenceError(`<${typeof text}>`, 'it must be a string');
  if (text === '') throw invalid(text, 'it is empty');
  if (text.length > maxLength) throw invalid(text, `it is longer than ${maxLength} characters`);
  if (text.includes('://')) throw invalid(text, 'it must be without a scheme such as https://');
}

function splitHost(text: string): { readonly host: string; readonly rest: string } {
  const slash = text.indexOf('/');
  const first = text.slice(0, slash);
  // Without a slash even `localhost:5000` is a name on Docker Hub, with a tag.
  if (slash === -1 || !looksLikeHost(first)) return { host: dockerHub, rest: text };
  return { host: readHost(text, first), rest: text.slice(slash + 1) };
}

function readHost(text: string, found: string): string {
  const host = parseHost(found);
  if (host === null) {
    throw invalid(text, 'the part before the first slash is not a host with an optional port (1 to 65535)');
  }
  return host;
}

function readTag(text: string, found: string): string {
  if (tagPattern.test(found)) return found;
  throw invalid(text, 'the tag must be 1 to 128 letters, digits, "_", "." or "-", and not start with "." or "-"');
}

function readDigest(text: string, found: string): Digest {
  const digest = parseDigest(found);
  if (digest !== null) return digest;
  throw invalid(text, 'the digest must be sha256: and 64, or sha512: and 128 lower-case hexadecimal digits');
}

/** @param short the path as it was given, without what Docker Hub's defaults added */
function checkPath(text: string, path: string, short: string): void {
  if (short === '') throw invalid(text, 'the repository is missing');
  if (path.length > maxPathLength) {
    throw invalid(text, `the repository has ${path.length} characters, more than ${maxPathLength}`);
  }
  if (pathPattern.test(path)) return;
  if (pathPattern.test(path.toLowerCase())) throw invalid(text, 'the repository must be in lower case');
  throw invalid(
    text,
    'each part of the repository must be lower-case letters and digits, joined by ".", "_", "__" or dashes',
  );
}

/** Somebody may have put a password before an "@", as in a URL; it must not come back in a message. */
function invalid(text: string, problem: string): InvalidReferenceError {
  return new InvalidReferenceError(redactText(text).replace(/^[^/]*@(?=.*\/)/s, '***@'), problem);
}
