import { parseDigest } from '../image/digest.js';
import { parseReference, type Reference } from '../image/reference.js';

/** What dockerode calls back with. */
export type StreamCallback = (error: unknown, stream?: unknown) => void;

/** One call of `docker.pull` or `docker.createImage` that asks for an image of a registry. */
export interface ImageCall {
  /** As Docker's API has it: `redis`, `quay.io/team/app:1.2`, `…@sha256:…`. */
  readonly fromImage: string;
  /** A tag or a digest; empty where `fromImage` may say it. */
  readonly tag: string;
  readonly platform: string;
  readonly authConfig: unknown;
  readonly abortSignal: AbortSignal | null;
  readonly callback: StreamCallback | null;
}

/**
 * Reads the arguments of `docker.pull(name, options?, callback?, auth?)` as dockerode does.
 *
 * @see https://github.com/apocas/dockerode/blob/v4.0.9/lib/docker.js#L1480-L1493
 */
export function readPullCall(args: readonly unknown[]): ImageCall | null {
  const [name, given, givenCallback, auth] = args;
  const isShort = !isFunction(givenCallback) && isFunction(given);
  const options = isShort ? {} : given;
  const { repository, tag } = splitName(typeof name === 'string' ? name : '');
  return readOptions(
    { ...asObject(options), fromImage: repository, tag: tag === '' ? 'latest' : tag },
    auth,
    isShort ? given : givenCallback,
  );
}

/**
 * Reads the arguments of `docker.createImage([auth,] options, callback?)` as dockerode does.
 *
 * @returns null when it imports an archive, or says something that only dockerode's own transport understands
 * @see https://github.com/apocas/dockerode/blob/v4.0.9/lib/docker.js#L77-L87
 */
export function readCreateImageCall(args: readonly unknown[]): ImageCall | null {
  const [first, second, third] = args;
  if (isFunction(third)) return readOptions(second, first, third);
  if (isFunction(second)) return readOptions(first, undefined, second);
  return isPresent(second) ? readOptions(second, first, undefined) : readOptions(first, undefined, undefined);
}

/**
 * The image that a call names, or null when it names every tag of a repository.
 *
 * @throws InvalidReferenceError
 * @see https://github.com/moby/moby/blob/v28.5.2/daemon/server/router/image/image_routes.go#L73-L98
 */
export function referenceOf({ fromImage, tag }: ImageCall): Reference | null {
  const reference = parseReference(fromImage.replace(/:$/, ''));
  if (tag === '') return /@|:[^/:]+$/.test(fromImage) ? reference : null;
  // A digest drops the tag of the name: it would be moved to what may be older content.
  if (parseDigest(tag) !== null) return parseReference(`${reference.name}@${tag}`);
  return parseReference(`${reference.name}:${tag}${reference.digest === null ? '' : `@${reference.digest}`}`);
}

function readOptions(value: unknown, auth: unknown, callback: unknown): ImageCall | null {
  const options = asObject(value);
  const fromImage = options['fromImage'];
  if (typeof fromImage !== 'string' || fromImage === '' || isPresent(options['fromSrc'])) return null;
  if (isPresent(options['_query']) || isPresent(options['_body'])) return null;
  const { tag, platform, abortSignal } = options;
  return {
    fromImage,
    tag: textOf(tag),
    platform: textOf(platform),
    authConfig: auth ?? options['authconfig'],
    abortSignal: abortSignal instanceof AbortSignal ? abortSignal : null,
    callback: isFunction(callback) ? callback : null,
  };
}

/**
 * Splits a name where dockerode does: at the first `@`, else at a last `:` that no `/` follows.
 *
 * @see https://github.com/apocas/dockerode/blob/v4.0.9/lib/util.js#L43-L73
 */
function splitName(name: string): { readonly repository: string; readonly tag: string } {
  const at = name.indexOf('@');
  const cut = at >= 0 ? at : name.lastIndexOf(':');
  const tag = cut < 0 ? '' : name.slice(cut + 1);
  return tag === '' || tag.includes('/') ? { repository: name, tag: '' } : { repository: name.slice(0, cut), tag };
}

/** Whoever builds a query gets away with a number. */
function textOf(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
}

function asObject(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}

function isPresent(value: unknown): boolean {
  return value !== undefined && value !== null && value !== '';
}

function isFunction(value: unknown): value is StreamCallback {
  return typeof value === 'function';
}
