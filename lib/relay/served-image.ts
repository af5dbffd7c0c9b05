import type { ImageTree, TreeDocument } from '../failover/manifest/image-tree.js';
import { fetchManifest } from '../failover/manifest/fetch-manifest.js';
import type { Descriptor } from '../image/descriptor.js';
import { digestOf, digestAlgorithm } from '../image/digest.js';
import { parseManifest, type ImageDocument } from '../image/manifest.js';
import { deriveAbort, type DerivedAbort } from '../policy/deadline.js';
import { loopMs } from '../policy/loop-timer.js';
import type { Digest } from '../vocabulary/digest.js';
import { LayerOrder } from './layer-order.js';
import type { RelayActivity, ServedImage, Serving } from './relay.js';

/** A blob that a daemon may ask for. */
export interface ServedBlob {
  readonly descriptor: Descriptor;
  /** Of an attestation and the like: the image is whole without it. */
  readonly isExtra: boolean;
}

/** An answer under way. */
export interface AnswerUnderWay {
  /** On the clock of `loopMs`: since when bytes wait that the daemon does not take; null while there are none. */
  readonly unreadSinceMs: number | null;
}

/** Why an image is served no longer. */
export class ServingStoppedError extends Error {
  override readonly name = 'ServingStoppedError';

  constructor() {
    super('the image is served no longer');
  }
}

/** Documents fetched only because a daemon asked: an attestation or two for each platform that it looks at. */
const maxExtraDocuments = 16;

/** One image while it is served: what it consists of, and what the daemon has done with it. */
export class LiveImage implements Serving {
  readonly image: ServedImage;
  readonly activity: RelayActivity;
  readonly failed: Promise<unknown>;
  /** Aborted when the image is not served any more: it was stopped, or its pull has ended. */
  readonly over: AbortSignal;
  readonly order: LayerOrder;
  readonly #over: DerivedAbort;
  readonly #delivered = new Set<Digest>();
  readonly #spoiled = new Set<Digest>();
  readonly #missing = new Set<Digest>();
  readonly #documents = new Map<Digest, TreeDocument>();
  readonly #blobs = new Map<Digest, ServedBlob>();
  /** Named by an index, and not fetched yet. */
  readonly #children = new Map<Digest, Descriptor>();
  readonly #fetching = new Map<Digest, Promise<TreeDocument | null>>();
  /** What `stop` waits for. */
  readonly #held = new Set<Promise<void>>();
  readonly #open = new Set<AnswerUnderWay>();
  #begun = false;
  #lastAtMs: number = loopMs();
  #hasFailed = false;
  #fail: (error: unknown) => void = () => {};
  #stopping: Promise<void> | null = null;

  constructor(image: ServedImage) {
    this.image = image;
    this.order = new LayerOrder(image.tree.layers);
    this.failed = new Promise((resolve) => {
      this.#fail = resolve;
    });
    this.#over = deriveAbort(image.context.signal);
    this.over = this.#over.signal;
    this.activity = this.#openActivity();
    this.#take(image.tree);
  }

  /** Whether it can still bring bytes. */
  get isLive(): boolean {
    return !this.over.aborted && !this.#hasFailed;
  }

  blob(digest: Digest): ServedBlob | null {
    return this.#blobs.get(digest) ?? null;
  }

  /**
   * A document of the image, or one that an index of it names, which is fetched then. Null when there is none, or
   * nobody has it.
   */
  async document(digest: Digest): Promise<TreeDocument | null> {
    const known = this.#documents.get(digest) ?? this.#fetching.get(digest);
    if (known !== undefined) return known;
    const child = this.#children.get(digest);
    if (child === undefined || this.#fetching.size >= maxExtraDocuments) return null;
    const fetching = this.#fetchChild(child);
    this.#fetching.set(digest, fetching);
    return fetching;
  }

  /** The daemon has asked for something of it, or has taken bytes. */
  touch(): void {
    this.#begun = true;
    this.#lastAtMs = loopMs();
  }

  /** An answer that may be of this image is under way until the function returned is called. */
  enter(answer: AnswerUnderWay = { unreadSinceMs: null }): () => void {
    this.#open.add(answer);
    this.touch();
    return () => {
      this.#open.delete(answer);
      this.touch();
    };
  }

  /** This image is what bytes are fetched for until the function returned is called; `stop` waits for that. */
  hold(): () => void {
    let release: () => void = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    this.#held.add(held);
    return () => {
      this.#held.delete(held);
      release();
    };
  }

  delivered(digest: Digest): void {
    if (this.#delivered.has(digest)) return;
    this.#delivered.add(digest);
    this.image.onBlob(digest);
  }

  spoiled(digest: Digest): void {
    this.#spoiled.add(digest);
  }

  /** A blob cannot be had from anyone. */
  lacks(digest: Digest, error: unknown): void {
    if (this.#blobs.get(digest)?.isExtra === true) {
      this.#missing.add(digest);
    } else {
      this.#hasFailed = true;
      this.#fail(error);
    }
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    this.#over.abort(new ServingStoppedError());
    await Promise.all(this.#held);
  }

  /** Tells how things are whenever it is looked at. */
  #openActivity(): RelayActivity {
    const begun = (): boolean => this.#begun;
    const open = (): number => this.#open.size;
    const lastAtMs = (): number => this.#lastAtMs;
    const unreadSinceMs = (): number | null => this.#unreadSinceMs();
    return {
      delivered: this.#delivered,
      spoiled: this.#spoiled,
      missing: this.#missing,
      get begun() {
        return begun();
      },
      get open() {
        return open();
      },
      get lastAtMs() {
        return lastAtMs();
      },
      get unreadSinceMs() {
        return unreadSinceMs();
      },
    };
  }

  #unreadSinceMs(): number | null {
    const unread = [...this.#open].flatMap(({ unreadSinceMs }) => unreadSinceMs ?? []);
    // While it takes bytes of another answer, it is only slow.
    return unread.length === 0 ? null : Math.max(Math.min(...unread), this.#lastAtMs);
  }

  #take(tree: ImageTree): void {
    for (const document of tree.documents) this.#documents.set(document.digest, document);
    for (const blob of [tree.config, ...tree.layers]) this.#addBlob(blob, false);
    for (const { bytes, mediaType, digest } of tree.documents) {
      if (digest !== tree.manifest.digest) this.#addChildren(parseManifest(bytes, mediaType));
    }
  }

  #addBlob(descriptor: Descriptor, isExtra: boolean): void {
    if (!this.#blobs.has(descriptor.digest)) this.#blobs.set(descriptor.digest, { descriptor, isExtra });
  }

  #addChildren(document: ImageDocument): void {
    if (document.kind === 'manifest') return;
    for (const child of document.manifests) {
      if (!this.#documents.has(child.digest)) this.#children.set(child.digest, child);
    }
  }

  async #fetchChild(child: Descriptor): Promise<TreeDocument | null> {
    const leave = this.enter();
    const release = this.hold();
    try {
      const { bytes, document } = await this.#obtain(child);
      const { digest } = child;
      for (const blob of document.kind === 'manifest' ? [document.config, ...document.layers] : []) {
        this.#addBlob(blob, true);
      }
      this.#addChildren(document);
      const fetched: TreeDocument = { digest, bytes, mediaType: document.mediaType };
      this.#documents.set(digest, fetched);
      return fetched;
    } catch {
      if (!this.over.aborted) this.#missing.add(child.digest);
      return null;
    } finally {
      release();
      leave();
    }
  }

  async #obtain(child: Descriptor): Promise<{ readonly bytes: Uint8Array; readonly document: ImageDocument }> {
    const { data, digest, mediaType } = child;
    if (data !== undefined && digestOf(data, digestAlgorithm(digest)) === digest) {
      return { bytes: data, document: parseManifest(data, mediaType) };
    }
    return fetchManifest({ ...this.image.context, signal: this.over }, { digest });
  }
}
