import { epochMs } from '../clock/time.js';
import { parseDigest } from '../image/digest.js';
import type { Digest } from '../vocabulary/digest.js';
import { backgroundSave } from './background-save.js';
import { objectOf, type DocumentKind, type StateDocument } from './state-document.js';
import type { StateStore } from './state-store.js';

/** What a tag meant when a registry that may say so said it last. */
export interface RememberedDigest {
  readonly digest: Digest;
  /** The config's digest per platform: what a repackaged copy of the same image has in common with it. */
  readonly configs: Readonly<Record<string, Digest>>;
  /** The prefix of the registry that said it. */
  readonly registry: string;
  /** Milliseconds since the epoch. */
  readonly atMs: number;
}

/** The digests of tags, by the canonical name of the image. */
export interface RememberedDigests {
  /** What is remembered of this image, also by other processes that share the store; else null. Never rejects. */
  recall(image: string): Promise<RememberedDigest | null>;
  /** Holds from now on; the disk follows in the background. Never rejects. */
  remember(image: string, found: Omit<RememberedDigest, 'atMs'>): Promise<void>;
  /** Resolves when everything remembered is on disk, or could not be written. */
  flush(): Promise<void>;
}

/** A fleet's images many times over, in some 5 MB of JSON. */
export const maxRememberedImages = 10_000;

/** Beyond it no image is multi-platform; an index could name thousands. */
const maxConfigs = 64;

/**
 * The same answer is written again only after this long: enough to tell what is in use from what is not,
 * and a thousand pulls of one tag write once.
 */
const refreshMs = 600_000;

type Images = ReadonlyMap<string, RememberedDigest>;

export function openRememberedDigests(
  store: StateStore,
  options: { readonly maxImages?: number } = {},
): RememberedDigests {
  const maxImages = options.maxImages ?? maxRememberedImages;
  const document: StateDocument<Images> = store.document(digestsDocument);
  /** What the disk does not have yet, or will never have while it fails. */
  let unsaved: Images = new Map();

  const save = backgroundSave(
    () => unsaved.size > 0,
    async () => {
      const batch = unsaved;
      if ((await document.update((images) => merge(images, batch, maxImages))) === null) return false;
      unsaved = new Map([...unsaved].filter(([image, entry]) => batch.get(image) !== entry));
      return true;
    },
  );

  async function recall(image: string): Promise<RememberedDigest | null> {
    // Both before and after: what is saved while the disk is read may be in neither of the other two.
    const before = unsaved.get(image);
    const saved = (await document.read()).get(image);
    const known = [saved, before, unsaved.get(image)].filter((entry) => entry !== undefined);
    return known.length === 0 ? null : known.reduce(newest);
  }

  return {
    recall,
    remember: async (image, found) => {
      const entry: RememberedDigest = {
        digest: found.digest,
        configs: boundConfigs(found.configs),
        registry: found.registry,
        atMs: epochMs(),
      };
      const known = await recall(image);
      if (known !== null && saysTheSame(known, entry) && entry.atMs - known.atMs < refreshMs) return;
      unsaved = merge(unsaved, new Map([[image, entry]]), maxImages);
      void save();
    },
    flush: save,
  };
}

/** The newest entry of each image, and of those the newest `maxImages`. */
function merge(kept: Images, added: Images, maxImages: number): Images {
  const merged = new Map(kept);
  for (const [image, entry] of added) {
    const other = merged.get(image);
    merged.set(image, other === undefined ? entry : newest(other, entry));
  }
  if (merged.size <= maxImages) return merged;
  return new Map([...merged].toSorted(([, a], [, b]) => b.atMs - a.atMs).slice(0, maxImages));
}

/** Two entries of one digest know the configs of other platforms each. */
function newest(one: RememberedDigest, other: RememberedDigest): RememberedDigest {
  const [older, newer] = other.atMs >= one.atMs ? [one, other] : [other, one];
  return older.digest === newer.digest
    ? { ...newer, configs: boundConfigs({ ...older.configs, ...newer.configs }) }
    : newer;
}

function boundConfigs(configs: RememberedDigest['configs']): RememberedDigest['configs'] {
  return Object.fromEntries(Object.entries(configs).slice(-maxConfigs));
}

function saysTheSame(known: RememberedDigest, entry: RememberedDigest): boolean {
  return (
    known.digest === entry.digest &&
    known.registry === entry.registry &&
    Object.entries(entry.configs).every(([platform, config]) => known.configs[platform] === config)
  );
}

const digestsDocument: DocumentKind<Images> = {
  name: 'digests',
  empty: new Map(),
  format: (images) => ({ version: 1, images: [...images].map(([image, entry]) => ({ image, ...entry })) }),
  parse: (value) => {
    const { version, images } = objectOf(value);
    if (version !== 1 || !Array.isArray(images)) throw new TypeError('it is not version 1 of the remembered digests');
    return new Map(images.map(parseEntry));
  },
};

function parseEntry(value: unknown): readonly [string, RememberedDigest] {
  const { image, digest, configs, registry, atMs } = objectOf(value);
  if (typeof image !== 'string' || typeof registry !== 'string' || typeof atMs !== 'number') {
    throw new TypeError('an entry lacks its image, registry or time');
  }
  const entry: RememberedDigest = {
    digest: digestOfText(digest),
    configs: Object.fromEntries(
      Object.entries(objectOf(configs)).map(([platform, config]) => [platform, digestOfText(config)]),
    ),
    registry,
    // Written under a clock that was ahead: it must not win over everything that is said until then.
    atMs: Math.min(atMs, epochMs()),
  };
  return [image, entry];
}

function digestOfText(text: unknown): Digest {
  const digest = typeof text === 'string' ? parseDigest(text) : null;
  if (digest === null) throw new TypeError('an entry has a malformed digest');
  return digest;
}
