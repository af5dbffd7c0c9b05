import { readDescriptor, type Descriptor } from '../image/descriptor.js';
import { parseJsonObject } from '../image/json-object.js';
import { ManifestError } from '../image/manifest-error.js';
import { ociIndex } from '../image/media-type.js';
import type { Platform } from '../image/platform.js';
import { findArray, findMember } from './json-array.js';

/** One image that a layout names. */
export interface NamedImage {
  /** The canonical name, such as `quay.io/aptible/redis:3.0`. */
  readonly name: string;
  readonly descriptor: Descriptor;
}

/** What skopeo, podman and buildah find an image by: `oci:DIRECTORY:NAME`. */
const refNameKey = 'org.opencontainers.image.ref.name';

/** What containerd's `ctr images import` calls the image; it stands above the ref.name, which others fill with a mere tag. */
const containerdNameKey = 'io.containerd.image.name';

/** The index of a layout without images. */
export const emptyIndex: string = `${JSON.stringify({ schemaVersion: 2, mediaType: ociIndex, manifests: [] })}\n`;

/** What is wrong with an index, in words that follow "index.json ". */
export class IndexDocumentError extends Error {
  override readonly name = 'IndexDocumentError';
}

/**
 * The images the index names, in its order. Entries of other tools count; what is not a descriptor is passed over.
 *
 * @throws IndexDocumentError
 */
export function readImages(text: string): readonly NamedImage[] {
  return entriesOf(text).flatMap((entry) => {
    const descriptor = descriptorOf(entry);
    const name = nameOf(entry.value);
    return descriptor === null || name === null ? [] : [{ name, descriptor }];
  });
}

/**
 * The image of this name: by ref.name first, as that is what we write, else by containerd's name.
 *
 * @throws IndexDocumentError
 */
export function findImageIn(text: string, name: string): Descriptor | null {
  const entries = entriesOf(text);
  const entry =
    entries.find(({ value }) => annotation(value, refNameKey) === name) ??
    entries.find(({ value }) => annotation(value, containerdNameKey) === name);
  return entry === undefined ? null : descriptorOf(entry);
}

/**
 * The text of the index in which the name points to this descriptor and nothing else has changed by a byte;
 * the same text when it pointed there before.
 *
 * @throws IndexDocumentError
 */
export function pointName(text: string, name: string, descriptor: Descriptor): string {
  const entries = entriesOf(text);
  const entry = JSON.stringify(entryOf(name, descriptor));
  const same = entries.filter(({ value }) => annotation(value, refNameKey) === name);
  const [first] = same;
  if (same.length === 1 && first !== undefined && JSON.stringify(first.value) === entry) return text;
  const kept = entries.filter((one) => one === first || !same.includes(one));
  const parts = kept.map((one) => (one === first ? entry : one.text));
  if (first === undefined) parts.push(entry);
  const array = `[${parts.length > 1 ? `\n${parts.join(',\n')}\n` : parts.join('')}]`;
  const span = findMember(text, 'manifests');
  if (span !== null) return text.slice(0, span.start) + array + text.slice(span.end);
  const brace = text.lastIndexOf('}');
  const comma = Object.keys(parseObject(text)).length > 0 ? ',' : '';
  return `${text.slice(0, brace)}${comma}"manifests":${array}${text.slice(brace)}`;
}

interface Entry {
  /** As it stands in the document. */
  readonly text: string;
  readonly value: unknown;
}

function entriesOf(text: string): readonly Entry[] {
  const { schemaVersion, mediaType, manifests } = parseObject(text);
  if (schemaVersion !== 2) throw new IndexDocumentError(`has schemaVersion ${JSON.stringify(schemaVersion)}, not 2`);
  if (mediaType !== undefined && mediaType !== ociIndex) {
    throw new IndexDocumentError(`has the media type ${JSON.stringify(mediaType)}, which is not that of an index`);
  }
  // Tools written in Go print an empty list as null.
  if (manifests === undefined || manifests === null) return [];
  if (!Array.isArray(manifests)) throw new IndexDocumentError('has manifests that are not a list');
  const spans = findArray(text, 'manifests')?.elements ?? [];
  return spans.map(({ start, end }) => {
    const entry = text.slice(start, end);
    return { text: entry, value: JSON.parse(entry) as unknown };
  });
}

function parseObject(text: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new IndexDocumentError('is not JSON');
  }
  if (!isObject(value)) throw new IndexDocumentError('is not a JSON object');
  return value;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function annotation(value: unknown, key: string): string | null {
  const annotations = isObject(value) ? value['annotations'] : null;
  const found = isObject(annotations) ? annotations[key] : null;
  return typeof found === 'string' ? found : null;
}

/** A full name of containerd's says more than the mere tag that other tools write as ref.name. */
function nameOf(value: unknown): string | null {
  return annotation(value, containerdNameKey) ?? annotation(value, refNameKey);
}

function entryOf(name: string, descriptor: Descriptor): Readonly<Record<string, unknown>> {
  const { mediaType, digest, size, artifactType, platform, annotations } = descriptor;
  return {
    mediaType,
    digest,
    size,
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(platform === undefined ? {} : { platform: platformFields(platform) }),
    annotations: { ...annotations, [refNameKey]: name, [containerdNameKey]: name },
  };
}

function platformFields(platform: Platform): Readonly<Record<string, unknown>> {
  const { os, architecture, variant, osVersion, osFeatures } = platform;
  return {
    architecture,
    os,
    ...(osVersion === undefined ? {} : { 'os.version': osVersion }),
    ...(osFeatures === undefined ? {} : { 'os.features': osFeatures }),
    ...(variant === undefined ? {} : { variant }),
  };
}

/** Null for what is not a descriptor: another tool's entry must not keep ours from being found. */
function descriptorOf({ text }: Entry): Descriptor | null {
  try {
    return readDescriptor(parseJsonObject(Buffer.from(text)));
  } catch (error) {
    if (error instanceof ManifestError) return null;
    throw error;
  }
}
