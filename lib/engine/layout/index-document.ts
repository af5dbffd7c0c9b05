import { readDescriptor, type Descriptor } from '../../image/descriptor.js';
import { isObject, parseJsonObject } from '../../image/json-object.js';
import { ManifestError } from '../../image/manifest-error.js';
import { ociIndex } from '../../image/media-type.js';
import type { Platform } from '../../image/platform.js';
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

/** An index as it was read, or as it is after changes; itself it never changes. */
export interface IndexDocument {
  readonly text: string;
  /** What it names, in its order. Entries of other tools count; what is not a descriptor is passed over. */
  images(): readonly NamedImage[];
  /** The image of this name: by ref.name first, as that is what we write, else by containerd's name. */
  find(name: string): Descriptor | null;
  /**
   * The index in which the name points to this descriptor, and nothing else has changed by a byte;
   * the same one when it pointed there before.
   */
  point(name: string, descriptor: Descriptor): IndexDocument;
}

/** @throws IndexDocumentError */
export function parseIndex(text: string): IndexDocument {
  const document = parseObject(text);
  const { schemaVersion, mediaType, manifests } = document;
  if (schemaVersion !== 2) throw new IndexDocumentError(`has schemaVersion ${JSON.stringify(schemaVersion)}, not 2`);
  if (mediaType !== undefined && mediaType !== ociIndex) {
    throw new IndexDocumentError(`has the media type ${JSON.stringify(mediaType)}, which is not that of an index`);
  }
  // Tools written in Go print an empty list as null.
  if (manifests !== undefined && manifests !== null && !Array.isArray(manifests)) {
    throw new IndexDocumentError('has manifests that are not a list');
  }
  const entries = (findArray(text, 'manifests')?.elements ?? []).map(({ start, end }) =>
    entryIn(text.slice(start, end)),
  );
  const span = findMember(text, 'manifests');
  if (span !== null) return documentOf(text.slice(0, span.start), entries, text.slice(span.end), text);
  const brace = text.lastIndexOf('}');
  const comma = Object.keys(document).length > 0 ? ',' : '';
  return documentOf(`${text.slice(0, brace)}${comma}"manifests":`, entries, text.slice(brace), text);
}

/** One element of the list, as it stands there. */
interface Entry {
  readonly text: string;
  readonly value: unknown;
  readonly refName: string | null;
  readonly containerdName: string | null;
}

function entryIn(text: string): Entry {
  const value = JSON.parse(text) as unknown;
  return {
    text,
    value,
    refName: annotation(value, refNameKey),
    containerdName: annotation(value, containerdNameKey),
  };
}

/** @param unchanged the text, when it is not to be put together from its parts */
function documentOf(before: string, entries: readonly Entry[], after: string, unchanged?: string): IndexDocument {
  let text = unchanged;
  const document: IndexDocument = {
    get text() {
      text ??= `${before}${listOf(entries)}${after}`;
      return text;
    },
    images: () =>
      entries.flatMap((entry) => {
        const descriptor = descriptorOf(entry);
        // A full name of containerd's says more than the mere tag that other tools write as ref.name.
        const name = entry.containerdName ?? entry.refName;
        return descriptor === null || name === null ? [] : [{ name, descriptor }];
      }),
    find: (name) => {
      const entry =
        entries.find(({ refName }) => refName === name) ??
        entries.find(({ containerdName }) => containerdName === name);
      return entry === undefined ? null : descriptorOf(entry);
    },
    point: (name, descriptor) => {
      const entry = entryIn(JSON.stringify(entryOf(name, descriptor)));
      const same = entries.filter(({ refName }) => refName === name);
      const [first] = same;
      if (first === undefined) return documentOf(before, [...entries, entry], after);
      if (same.length === 1 && JSON.stringify(first.value) === entry.text) return document;
      const staying = entries.filter((one) => one === first || one.refName !== name);
      return documentOf(
        before,
        staying.map((one) => (one === first ? entry : one)),
        after,
      );
    },
  };
  return document;
}

function listOf(entries: readonly Entry[]): string {
  const texts = entries.map(({ text }) => text);
  return texts.length > 1 ? `[\n${texts.join(',\n')}\n]` : `[${texts.join('')}]`;
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

function annotation(value: unknown, key: string): string | null {
  const annotations = isObject(value) ? value['annotations'] : null;
  const found = isObject(annotations) ? annotations[key] : null;
  return typeof found === 'string' ? found : null;
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
