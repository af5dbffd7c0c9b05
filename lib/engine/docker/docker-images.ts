import { parseDigest } from '../../image/digest.js';
import { isObject } from '../../image/json-object.js';
import { normalise } from '../../image/platform-normal.js';
import { engineFailure } from './engine-failure.js';
import type { EngineImage, ListedImage } from './engine-image.js';

type Document = Readonly<Record<string, unknown>>;

/** What engines write in place of a name. */
const noName = '<none>';

/** Go's zero time: never. */
const zeroTime = /^0001-01-01T/;

/** Reads what `GET /images/NAME/json` says. @throws EngineFailure when it is no image */
export function readImage(document: unknown): EngineImage {
  if (!isObject(document)) throw notAnImage();
  const { Os, OsVersion, Architecture, Variant, Size, RootFS, Metadata } = document;
  return Object.freeze({
    ...readNames(document),
    platform: normalise({
      os: textOf(Os),
      architecture: textOf(Architecture),
      variant: textOf(Variant),
      osVersion: textOf(OsVersion),
    }),
    sizeBytes: typeof Size === 'number' && Size >= 0 ? Size : 0,
    diffIds: isObject(RootFS)
      ? textsOf(RootFS['Layers']).flatMap((text) => {
          const digest = parseDigest(text);
          return digest === null ? [] : [digest];
        })
      : [],
    taggedAtMs: isObject(Metadata) ? timeOf(Metadata['LastTagTime']) : null,
  });
}

/** Reads what `GET /images/json` says. @throws EngineFailure when it is no list of images */
export function readImageList(document: unknown): readonly ListedImage[] {
  // Podman has said nothing at all where it has no image.
  if (document === null) return [];
  if (!Array.isArray(document)) throw notAnImage();
  return document.map((entry: unknown) => {
    if (!isObject(entry)) throw notAnImage();
    return Object.freeze(readNames(entry));
  });
}

function readNames(image: Document): ListedImage {
  const id = textOf(image['Id']);
  if (id === '') throw notAnImage();
  return {
    // Some of Podman's endpoints leave the algorithm out.
    id: /^[0-9a-f]{64}$/.test(id) ? `sha256:${id}` : id,
    tags: textsOf(image['RepoTags']).filter((name) => !name.includes(noName)),
    digests: textsOf(image['RepoDigests']).filter((name) => !name.includes(noName)),
  };
}

function timeOf(value: unknown): number | null {
  if (typeof value !== 'string' || zeroTime.test(value)) return null;
  const ms = Date.parse(value);
  return Number.isNaN(ms) ? null : ms;
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function textsOf(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((entry) => typeof entry === 'string') : [];
}

function notAnImage() {
  return engineFailure({ text: 'the engine describes an image in a way that is not known' });
}
