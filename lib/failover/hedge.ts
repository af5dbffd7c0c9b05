import { monotonicMs } from '../clock/time.js';
import { createBoundedMap } from '../policy/bounded-map.js';

/** When and how often what is late is also asked of the next registry. */
export interface HedgeSettings {
  /** Milliseconds after which a request counts as late, or null: three times the registry's own p95, at least 1,000. `Infinity` = never. */
  readonly metadataMs: number | null;
  /**
   * Milliseconds without a byte after which the part of a blob that everybody waits for counts as late, or null: 400, or
   * four times the source's longest earlier pause in this pull, at most 1,000. `Infinity` = never.
   */
  readonly layersMs: number | null;
  /** What is asked twice, as a share: of all metadata requests, and of the bytes of the pull. */
  readonly budget: number;
}

/** Below this, a hedge would cost a second registry requests on days without any fault (p95 of a healthy day). */
const minDelayMs = 1_000;
/** A request that took three times what nineteen of twenty take is late, not merely slow. */
const p95Factor = 3;
/** Answers remembered per registry: enough for a p95, few enough to follow a registry's day. */
const rememberedAnswers = 64;
/** An outage costs this long once per pull; a tenth of it is what a well link pauses. */
const minLayersMs = 400;
/** Longer, and an outage shows in the time of a pull (with 1,000 ms an ideal switch takes 1.3 times a healthy pull). */
const maxLayersMs = 1_000;
/** A pause four times the longest so far is none of those that this link makes. */
const pauseFactor = 4;
/** Of a registry near by, an answer takes less, the handshake of its first connection included. */
const farMs = 120;
/** Until its first byte a blob may need a connection to the registry, its answer, and the same of the storage with TLS. */
const firstByteFactor = 4;
/** Hedges allowed at once after a quiet time, and at the start: a fresh process must survive its first outage. */
const burst = 4;
/** Registries remembered; a host that pulls from tenants' names must not grow without bound. */
const maxRegistries = 1_000;

/**
 * Decides for a whole puller when a late metadata request may be sent to a second registry too. The budget is a share
 * of all requests, so that a dying registry's load can never be doubled, whichever side of the hedge it is on.
 */
export class HedgeGate {
  readonly #settings: HedgeSettings;
  readonly #answers = createBoundedMap<string, number[]>(maxRegistries);
  #tokens = burst;

  constructor(settings: HedgeSettings) {
    this.#settings = settings;
  }

  /** How long to wait for this registry before the next one is asked too, in milliseconds; `Infinity` = for ever. */
  delayMs(registry: string): number {
    if (this.#settings.metadataMs !== null) return this.#settings.metadataMs;
    return Math.max(minDelayMs, Math.ceil((this.#p95(registry) ?? 0) * p95Factor));
  }

  /** How long a blob request may be without its first byte before the next registry is asked too; `Infinity` = for ever. */
  firstByteMs(registry: string): number {
    if (this.#settings.layersMs !== null) return this.#settings.layersMs;
    const p95 = this.#p95(registry);
    return p95 === null ? maxLayersMs : withinLayers(p95 * firstByteFactor);
  }

  /** The same between two bytes of a blob, at a registry whose longest pause so far in this pull was this long. */
  pauseMs(longestPauseMs: number): number {
    return this.#settings.layersMs ?? withinLayers(longestPauseMs * pauseFactor);
  }

  /** Whether its answers take as long as on a link between continents, or over TLS on one within. */
  isFar(registry: string): boolean {
    return (this.#p95(registry) ?? 0) >= farMs;
  }

  /** What nineteen of twenty answers take at most, in milliseconds; null where none is known. */
  #p95(registry: string): number | null {
    const answers = this.#answers.get(registry);
    if (answers === undefined) return null;
    const sorted = answers.toSorted((a, b) => a - b);
    return sorted[Math.floor((sorted.length - 1) * 0.95)] ?? null;
  }

  /** A request goes out as planned: it earns its share of a hedge. Returns what to call when it was answered. */
  asked(registry: string): () => void {
    this.#tokens = Math.min(burst, this.#tokens + this.#settings.budget);
    const startedMs = monotonicMs();
    return () => {
      const answers = this.#answers.get(registry) ?? [];
      answers.push(monotonicMs() - startedMs);
      if (answers.length > rememberedAnswers) answers.shift();
      this.#answers.set(registry, answers);
    };
  }

  /** Takes one hedge out of the budget, if there is one. */
  take(): boolean {
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}

function withinLayers(ms: number): number {
  return Math.min(maxLayersMs, Math.max(minLayersMs, Math.ceil(ms)));
}
