import type { Candidate } from '../../failover/candidate.js';
import type { Judgement } from '../../health/verdict.js';
import { digestHex } from '../../image/digest.js';
import type { Descriptor } from '../../image/descriptor.js';
import type { Digest } from '../../vocabulary/digest.js';
import type { RegistryPhase } from '../../vocabulary/phase.js';
import type { Reason } from '../../vocabulary/reason.js';
import type { DirectStep } from './direct-phases.js';
import type { DirectRequest } from './direct-request.js';

/** A try that failed. */
export interface FailedPull {
  readonly phase: RegistryPhase;
  readonly judgement: Judgement;
  /** It may as well have been the engine. */
  readonly isUnproven: boolean;
  readonly startedAtMs: number;
  /** Bytes that had arrived. */
  readonly bytes: number;
}

/** Tells a pull's view of its registries what an engine says that they did. */
export class DirectBooks {
  readonly #request: DirectRequest;
  /** The tag or digest that is asked for. */
  readonly #object: string;
  /** By the first 12 digits of the digest, which is all that engines say. */
  readonly #blobs: ReadonlyMap<string, Descriptor>;
  readonly #told = new Set<Digest>();
  /** Bytes of each blob that were told of. */
  readonly #arrived = new Map<Digest, number>();
  /** Failures since the last registry that gave the manifest: whoever gives it takes the work over. */
  readonly #failed: { readonly registry: string; readonly phase: RegistryPhase; readonly reason: Reason }[] = [];
  #lastPhase: RegistryPhase = 'metadata';

  constructor(request: DirectRequest, object: string) {
    this.#request = request;
    this.#object = object;
    const { tree } = request;
    const blobs = tree === null ? [] : [tree.config, ...tree.layers];
    this.#blobs = new Map(blobs.map((blob) => [digestHex(blob.digest).slice(0, 12), blob]));
  }

  /** The phase of the last failure. */
  get lastPhase(): RegistryPhase {
    return this.#lastPhase;
  }

  gaveManifest(candidate: Candidate): void {
    const { sources } = this.#request.context;
    const object = this.#object;
    sources.delivered(candidate, 'metadata', object, 0);
    for (const { registry, phase, reason } of this.#failed.splice(0)) {
      if (registry === candidate.registry) continue;
      sources.movedOver({ phase, from: registry, to: candidate.registry, reason, bytesKept: 0, object });
    }
  }

  /**
   * Bytes of a layer came, or all of it is there.
   *
   * @param isFetched all of it came from this registry
   */
  stepped(
    candidate: Candidate,
    id: string | null,
    { bytes: told, isWhole }: Omit<DirectStep, 'isProgress'>,
    isFetched: boolean,
  ): void {
    const blob = this.#blobs.get(id ?? '') ?? null;
    const before = blob === null ? 0 : (this.#arrived.get(blob.digest) ?? 0);
    // Of small layers engines say no more than that they have them.
    const bytes = isFetched && blob !== null ? Math.max(told, blob.size - before) : told;
    if (blob !== null) this.#arrived.set(blob.digest, before + bytes);
    if (bytes > 0) {
      const { sources, observer } = this.#request.context;
      sources.delivered(candidate, 'layers', blob?.digest ?? this.#object, bytes);
      observer.bytesArrived(candidate.registry, 'layers', blob?.digest ?? null, bytes);
    }
    if (isWhole && blob !== null) this.#isHere(blob);
  }

  /** The engine has the image. @param fetched layers that came from this registry */
  pulled(candidate: Candidate, fetched: number): void {
    if (fetched > 0) this.#request.context.sources.delivered(candidate, 'layers', this.#object, 0);
    for (const blob of this.#blobs.values()) this.#isHere(blob);
  }

  failed(candidate: Candidate, failure: FailedPull): void {
    const { phase, judgement, isUnproven } = failure;
    const { sources } = this.#request.context;
    this.#lastPhase = phase;
    this.#failed.push({ registry: candidate.registry, phase, reason: judgement.reason });
    if (isUnproven) sources.doubt(candidate, phase, judgement.reason);
    sources.failed({ candidate, object: this.#object, ...failure });
  }

  /** It was this registry after all, where it may as well have been the engine. */
  convicted(registry: string, phase: RegistryPhase, reason: Reason): void {
    const { sources } = this.#request.context;
    const candidate = sources.candidates.find((each) => each.registry === registry);
    if (candidate !== undefined) sources.convict(candidate, phase, reason);
  }

  #isHere(blob: Descriptor): void {
    if (this.#told.has(blob.digest)) return;
    this.#told.add(blob.digest);
    this.#request.onBlob(blob);
  }
}
