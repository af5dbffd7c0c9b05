import type { RegistryFault } from '../../engine/docker/engine-error-row.js';
import { registryEvidenceOf, type EngineFailure } from '../../engine/docker/engine-failure.js';
import type { EngineStore } from '../../engine/docker/engine-traits.js';
import { judge, type Judgement } from '../../health/verdict.js';
import type { Evidence } from '../../vocabulary/evidence.js';
import type { RegistryPhase } from '../../vocabulary/phase.js';
import type { Reason } from '../../vocabulary/reason.js';
import type { DirectOutcome } from './direct-attempt.js';
import type { DirectPhases } from './direct-phases.js';

type LatePull = Extract<DirectOutcome, { readonly kind: 'late' }>;
type FailedPull = Extract<DirectOutcome, { readonly kind: 'failed' }>;

/**
 * What follows when an engine could not pull from a registry.
 *
 * - `again`: the same registry once more
 * - `next`: another one
 * - `useless`: the engine's own fault, which no registry helps against
 * - `stop`: the engine's fault, or the image's, and nothing helps
 */
export type DirectFinding =
  | { readonly kind: 'again'; readonly told: ToldFailure | null; readonly afterMs: number }
  | {
      readonly kind: 'next';
      readonly told: ToldFailure;
      /** It was ended, and may have been unpacking. */
      readonly mayHaveUnpacked: boolean;
      /** The engine is to be left alone so long, in milliseconds. */
      readonly afterMs: number;
    }
  | {
      readonly kind: 'useless';
      readonly code: 'engine-wedged' | 'engine-poisoned';
      readonly why: string;
      readonly told: ToldFailure | null;
    }
  | { readonly kind: 'stop' };

/** A failure to be written down against a registry. */
export interface ToldFailure {
  readonly phase: RegistryPhase;
  readonly judgement: Judgement;
  /** It may as well have been the engine, or its way to the registry: the verdict does not blame. */
  readonly isUnproven: boolean;
}

/** Of whom and what it is. */
export interface DirectObject {
  readonly registry: string;
  /** The tag or digest that was asked for. */
  readonly object: string;
  /** It has given manifests in this pull before. */
  readonly givesManifests: boolean;
}

/** A registry that may have failed, where the engine may as well have. */
export interface Suspect {
  readonly registry: string;
  readonly phase: RegistryPhase;
  readonly reason: Reason;
}

/** Measured on Docker 26.1: right bytes are refused 60 ms after wrong ones, and taken after 200 ms. */
const forgetWrongBytesMs = 1_000;

/** How often it is waited again, twice as long each time, for an engine on a busy host to forget wrong bytes. */
const forgetTries = 3;

/** Which bytes a containerd store was given for which. */
const saysWrongBytes = /unexpected commit digest \S+, expected \S+/;

/**
 * Finds out who is to blame when an engine cannot go on: the registry, or the engine, which fetches a layer once for all
 * who want it, and keeps waiting for an answer that will never come after everybody who wanted it has left.
 */
export class DirectBlame {
  readonly #store: EngineStore;
  /** Whether the image can be brought in another way. */
  canEscape: boolean;
  /** Layers, by their short digest, that the engine was left waiting for. */
  readonly #hostages = new Set<string>();
  readonly #suspects: Suspect[] = [];
  /** How often it did not want the bytes it got. */
  #refusals = 0;
  /** Who gave them, by what the engine said of them. */
  readonly #wrongBytesOf = new Map<string, string>();
  #waitedToForget = 0;

  constructor(store: EngineStore, canEscape: boolean) {
    this.#store = store;
    this.canEscape = canEscape;
  }

  /**
   * Who it was after all, now that the engine has got the image from `registry`, its layers too when `hasLayers`: the
   * engine was not at fault.
   */
  convicted(registry: string, hasLayers: boolean): readonly Suspect[] {
    return this.#suspects
      .splice(0)
      .filter((suspect) => suspect.registry !== registry && (hasLayers || suspect.phase === 'metadata'));
  }

  /** A limit expired while a registry was waited for, or may have been. */
  late({ late, phases }: LatePull, of: DirectObject): Exclude<DirectFinding, { readonly kind: 'stop' }> {
    const { value, meaning } = late;
    // Podman says nothing before the first layer's answer has begun.
    const isSilentBlob = late.phase === 'metadata' && this.#store === 'podman' && of.givesManifests;
    const phase = late.phase === 'metadata' && !isSilentBlob ? 'metadata' : 'layers';
    const limit = isSilentBlob ? 'layers.firstByteMs' : late.limit;
    const { untouched, bytes } = phases;
    const judgement = judge({ evidence: { kind: 'limit', limit, value, bytes }, phase }, of);
    if (meaning !== 'registry')
      return { ...next(phase, judgement), told: unproven(phase, judgement), mayHaveUnpacked: true };
    // Podman shares nothing between two pulls.
    if (phase === 'metadata' || this.#store === 'podman') return next(phase, judgement);
    if (phases.isWithoutSlot) return wedged('other pulls, which do not end, hold all its download slots', null);
    const isStillWaiting = untouched.length > 0 && untouched.every((layer) => this.#hostages.has(layer));
    if (bytes === 0 && isStillWaiting) {
      return wedged(`it does not ask ${of.registry} for what it needs (${untouched.join(', ')})`, null);
    }
    for (const layer of untouched) this.#hostages.add(layer);
    if (bytes > 0 || untouched.length === 0) return next(phase, judgement);
    this.#suspects.push({ registry: of.registry, phase, reason: judgement.reason });
    const told = unproven(phase, judgement);
    // Whoever is asked for these layers next: the classic store would wait for the answer that did not begin.
    return this.#store === 'graph' && this.canEscape
      ? wedged(`it keeps waiting for ${untouched.join(', ')}, of which ${of.registry} sent nothing`, told)
      : { kind: 'next', told, mayHaveUnpacked: false, afterMs: 0 };
  }

  /**
   * The engine gave up, and said why.
   *
   * @param mayRepeat the registry was asked once so far
   * @param isLast no other one can be asked
   */
  failed({ failure, phases }: FailedPull, of: DirectObject, mayRepeat: boolean, isLast: boolean): DirectFinding {
    const phase = phaseOf(failure, phases);
    const { fault } = failure;
    switch (fault) {
      case 'caller':
      case 'disk':
      case 'daemon':
      case 'unreachable':
      case 'extract':
      case 'platform':
      case 'type':
        return { kind: 'stop' };
      case 'cancelled':
        // Another client's pull of the same layer, which this one was tied to, was ended.
        if (mayRepeat) return { kind: 'again', told: null, afterMs: 0 };
        break;
      case 'integrity':
        if (this.#store === 'containerd') return this.#wrongBytes(failure, of, mayRepeat && isLast);
        break;
      case 'unknown':
        break;
      default:
        fault satisfies RegistryFault;
    }
    const judgement = judgeFailure(failure, phase, of);
    if (judgement.verdict === 'stop') return { kind: 'stop' };
    if (judgement.verdict === 'again' && mayRepeat) return { ...next(phase, judgement), kind: 'again' };
    // The engine's own network may be down, or trust others than the registry's: somebody else has to bring the image first.
    if (failure.fault !== 'network' && failure.fault !== 'tls') return next(phase, judgement);
    this.#suspects.push({ registry: of.registry, phase, reason: judgement.reason });
    return { ...next(phase, judgement), told: unproven(phase, judgement) };
  }

  /** What a containerd store was given, it compares the next bytes with, until it has thrown it away behind our back. */
  #wrongBytes(failure: EngineFailure, of: DirectObject, mayRepeat: boolean): DirectFinding {
    const said = saysWrongBytes.exec(failure.text)?.[0] ?? '';
    const from = this.#wrongBytesOf.get(said) ?? of.registry;
    if (from !== of.registry && this.#waitedToForget < forgetTries) {
      // The same wrong bytes as another registry's: it still holds those, and has asked this one for nothing.
      const afterMs = forgetWrongBytesMs * 2 ** this.#waitedToForget;
      this.#waitedToForget += 1;
      return { kind: 'again', told: null, afterMs };
    }
    if (said !== '') this.#wrongBytesOf.set(said, from);
    const judgement = judgeFailure(failure, 'layers', of);
    const told = unproven('layers', judgement);
    const refusedBefore = this.#refusals > 0;
    this.#refusals += 1;
    if (mayRepeat && !refusedBefore) return { kind: 'again', told, afterMs: forgetWrongBytesMs };
    this.#suspects.push({ registry: of.registry, phase: 'layers', reason: judgement.reason });
    if (!refusedBefore || !this.canEscape) {
      return { kind: 'next', told, mayHaveUnpacked: false, afterMs: forgetWrongBytesMs };
    }
    const why = `it refuses the bytes of ${of.registry}, perhaps for others that it holds: ${failure.message}`;
    return { kind: 'useless', code: 'engine-poisoned', why, told };
  }
}

function next(phase: RegistryPhase, judgement: Judgement): Extract<DirectFinding, { readonly kind: 'next' }> {
  return { kind: 'next', told: { phase, judgement, isUnproven: false }, mayHaveUnpacked: false, afterMs: 0 };
}

function wedged(why: string, told: ToldFailure | null): Extract<DirectFinding, { readonly kind: 'useless' }> {
  return { kind: 'useless', code: 'engine-wedged', why, told };
}

/** Engines mostly name the request that failed. */
const saysManifest = /\/manifests\/|failed to resolve reference|reading manifest|initializing source/;
const saysBlob =
  /\/blobs\/|failed to copy|httpReadSeeker|GetImageBlob|(?:copying|writing|reading) (?:blob|config)|parsing image configuration/;

function phaseOf({ text }: EngineFailure, { phase }: DirectPhases): RegistryPhase {
  if (saysBlob.test(text)) return 'layers';
  if (saysManifest.test(text)) return 'metadata';
  return phase === 'metadata' ? 'metadata' : 'layers';
}

function judgeFailure(failure: EngineFailure, phase: RegistryPhase, of: DirectObject): Judgement {
  return judge({ evidence: evidenceOf(failure, phase), phase }, { ...of, detail: failure.text });
}

function evidenceOf(failure: EngineFailure, phase: RegistryPhase): Evidence {
  // Who gave the manifest has let us in: what denies a blob after that is storage, or a firewall before it.
  if (phase === 'layers' && failure.fault === 'denied') {
    return { kind: 'status', status: 403, from: 'storage', specCodes: [] };
  }
  return registryEvidenceOf(failure) ?? { kind: 'unexpected', name: failure.name };
}

/** The next one is asked, and the health of this one does not change by it. */
function unproven(phase: RegistryPhase, judgement: Judgement): ToldFailure {
  const isUnproven = judgement.verdict === 'ill';
  return { phase, judgement: isUnproven ? { ...judgement, verdict: 'next' } : judgement, isUnproven };
}
