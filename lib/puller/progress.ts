import { monotonicMs } from '../clock/time.js';
import type { LayerProgress } from '../events/pull-event.js';
import type { ImageTree } from '../failover/manifest/image-tree.js';
import type { Digest } from '../vocabulary/digest.js';
import type { Phase } from '../vocabulary/phase.js';
import type { PullBytes } from '../vocabulary/report.js';

/** Bytes of one manifest or blob, over all walks through the plan. */
interface Account {
  fetched: number;
  kept: number;
  isHere: boolean;
  /** Who served it last. */
  registry: string | null;
}

/** Ten a second are as many as a person can follow, and cost nothing. */
const throttleMs = 100;

/** Keeps the books of one pull: what there is to bring, what arrived, what was there already. */
export class Progress {
  readonly #onProgress: (phase: Phase, bytes: PullBytes, layers: readonly LayerProgress[]) => void;
  /** By digest, also of what arrived before it was known what the image consists of. */
  readonly #accounts = new Map<Digest, Account>();
  /** What the image consists of. */
  #sizes: ReadonlyMap<Digest, number> = new Map();
  #blobs: readonly Digest[] = [];
  #fetched = 0;
  #kept = 0;
  #tagBytes = 0;
  #toldAtMs = -Infinity;

  constructor(onProgress: (phase: Phase, bytes: PullBytes, layers: readonly LayerProgress[]) => void) {
    this.#onProgress = onProgress;
  }

  /** It is known what the image consists of; what arrived before counts for it. */
  expect(tree: ImageTree): void {
    const blobs = [tree.config, ...tree.layers];
    this.#sizes = new Map([
      ...tree.documents.map(({ digest, bytes }) => [digest, bytes.length] as const),
      ...blobs.map(({ digest, size }) => [digest, size] as const),
    ]);
    this.#blobs = [...new Set(blobs.map(({ digest }) => digest))];
    for (const { digest } of tree.documents) this.#account(digest).isHere = true;
    // Asked for by its tag, it arrived under no digest.
    this.#account(tree.root.digest).fetched += this.#tagBytes;
    this.#tagBytes = 0;
  }

  arrived(phase: Phase, registry: string, digest: Digest | null, bytes: number): void {
    this.#fetched += bytes;
    if (digest === null) {
      this.#tagBytes = bytes;
    } else {
      const account = this.#account(digest);
      account.fetched += bytes;
      account.registry = registry;
    }
    if (monotonicMs() - this.#toldAtMs >= throttleMs) this.tell(phase);
  }

  /** This pull goes on with so many bytes of a blob; what it fetched itself, before it was parked, is not kept by another. */
  kept(digest: Digest, bytes: number): void {
    const account = this.#account(digest);
    const fromEarlier = Math.max(account.kept, bytes - account.fetched);
    this.#kept += fromEarlier - account.kept;
    account.kept = fromEarlier;
  }

  /** A blob is in the engine, whoever brought it. */
  isHere(digest: Digest): void {
    this.#account(digest).isHere = true;
  }

  tell(phase: Phase): void {
    this.#toldAtMs = monotonicMs();
    this.#onProgress(phase, this.bytes(), this.layers());
  }

  bytes(): PullBytes {
    let total = 0;
    let local = 0;
    for (const [digest, size] of this.#sizes) {
      const { fetched, kept, isHere } = this.#account(digest);
      total += size;
      if (isHere) local += Math.max(0, size - fetched - kept);
    }
    return { total, fetched: this.#fetched, kept: this.#kept, local };
  }

  layers(): readonly LayerProgress[] {
    return this.#blobs.map((digest) => {
      const { fetched, kept, isHere, registry } = this.#account(digest);
      const totalBytes = this.#sizes.get(digest) ?? 0;
      return { digest, totalBytes, doneBytes: isHere ? totalBytes : Math.min(totalBytes, fetched + kept), registry };
    });
  }

  #account(digest: Digest): Account {
    const known = this.#accounts.get(digest);
    if (known !== undefined) return known;
    const account: Account = { fetched: 0, kept: 0, isHere: false, registry: null };
    this.#accounts.set(digest, account);
    return account;
  }
}
