import { monotonicMs } from '../clock/time.js';
import type { LayerProgress } from '../events/pull-event.js';
import type { ImageTree } from '../failover/image-tree.js';
import type { Digest } from '../vocabulary/digest.js';
import type { Phase } from '../vocabulary/phase.js';
import type { PullBytes } from '../vocabulary/report.js';

/** Bytes of one manifest or blob. */
interface Account {
  readonly size: number;
  fetched: number;
  kept: number;
  isHere: boolean;
  registry: string | null;
}

/** Ten a second are as many as a person can follow, and cost nothing. */
const throttleMs = 100;

/** Keeps the books of one pull: what there is to bring, what arrived, what was there already. */
export class Progress {
  readonly #onProgress: (phase: Phase, bytes: PullBytes, layers: readonly LayerProgress[]) => void;
  readonly #accounts = new Map<Digest, Account>();
  readonly #blobs = new Set<Digest>();
  #fetched = 0;
  #kept = 0;
  #tagBytes = 0;
  #toldAtMs = -Infinity;

  constructor(onProgress: (phase: Phase, bytes: PullBytes, layers: readonly LayerProgress[]) => void) {
    this.#onProgress = onProgress;
  }

  /** It is known what the image consists of. */
  expect(tree: ImageTree): void {
    this.#accounts.clear();
    this.#blobs.clear();
    for (const { digest, bytes } of tree.documents) this.#open(digest, bytes.length, true);
    const root = this.#accounts.get(tree.root.digest);
    if (root !== undefined) root.fetched = Math.min(this.#tagBytes, root.size);
    for (const { digest, size } of [tree.config, ...tree.layers]) {
      this.#open(digest, size, false);
      this.#blobs.add(digest);
    }
  }

  arrived(phase: Phase, registry: string, digest: Digest | null, bytes: number): void {
    this.#fetched += bytes;
    if (digest === null) this.#tagBytes = bytes;
    const account = digest === null ? undefined : this.#accounts.get(digest);
    if (account !== undefined) {
      account.fetched += bytes;
      account.registry = registry;
    }
    if (monotonicMs() - this.#toldAtMs >= throttleMs) this.tell(phase);
  }

  kept(digest: Digest, bytes: number): void {
    this.#kept += bytes;
    const account = this.#accounts.get(digest);
    if (account !== undefined) account.kept = bytes;
  }

  /** A blob is in the engine, whoever brought it. */
  isHere(digest: Digest): void {
    const account = this.#accounts.get(digest);
    if (account !== undefined) account.isHere = true;
  }

  tell(phase: Phase): void {
    this.#toldAtMs = monotonicMs();
    this.#onProgress(phase, this.bytes(), this.layers());
  }

  bytes(): PullBytes {
    let total = 0;
    let local = 0;
    for (const { size, fetched, kept, isHere } of this.#accounts.values()) {
      total += size;
      if (isHere) local += Math.max(0, size - fetched - kept);
    }
    return { total, fetched: this.#fetched, kept: this.#kept, local };
  }

  layers(): readonly LayerProgress[] {
    return [...this.#blobs].flatMap((digest) => {
      const account = this.#accounts.get(digest);
      if (account === undefined) return [];
      const { size, fetched, kept, isHere, registry } = account;
      const doneBytes = isHere ? size : Math.min(size, fetched + kept);
      return [{ digest, totalBytes: size, doneBytes, registry }];
    });
  }

  #open(digest: Digest, size: number, isHere: boolean): void {
    this.#accounts.set(digest, { size, fetched: 0, kept: 0, isHere, registry: null });
  }
}
