import type { RegistryThroughput, Throughput } from './incident.js';

/** Fine enough to see a stall of some seconds in an incident of some minutes. */
const firstStepMs = 1_000;

/** As many as a drawing has room for; an incident of a day has steps of ten minutes. */
const maxSteps = 240;

/** Registries of which bytes are counted one by one. Tenants can name any. */
const maxRegistries = 32;

/** Bytes per registry over time, in a bounded number of steps: when they run out, each becomes twice as long. */
export class ByteSteps {
  readonly #fromMs: number;
  #stepMs = firstStepMs;
  readonly #steps = new Map<string, number[]>();
  #leftOutBytes: number;

  /** Goes on from what was recorded before, where there is any. */
  constructor(fromMs: number, before?: Throughput, leftOutBytes: number = 0) {
    this.#fromMs = before?.fromMs ?? fromMs;
    this.#leftOutBytes = leftOutBytes;
    if (before === undefined) return;
    this.#stepMs = before.stepMs;
    for (const { registry, steps } of before.registries) this.#steps.set(registry, [...steps]);
  }

  /** Bytes that arrived before the first step count for the first one. */
  add(registry: string, bytes: number, atMs: number): void {
    while (this.#stepAt(atMs) >= maxSteps) this.#halve();
    const steps = this.#stepsOf(registry);
    if (steps === null) {
      this.#leftOutBytes += bytes;
      return;
    }
    const at = this.#stepAt(atMs);
    while (steps.length <= at) steps.push(0);
    steps[at] = (steps[at] ?? 0) + bytes;
  }

  /** Of registries beyond those that are counted. */
  get leftOutBytes(): number {
    return this.#leftOutBytes;
  }

  snapshot(): Throughput {
    return {
      fromMs: this.#fromMs,
      stepMs: this.#stepMs,
      registries: [...this.#steps].map(([registry, steps]): RegistryThroughput => ({
        registry,
        bytes: sum(steps),
        steps: [...steps],
      })),
    };
  }

  #stepAt(atMs: number): number {
    return Math.max(0, Math.floor((atMs - this.#fromMs) / this.#stepMs));
  }

  #halve(): void {
    this.#stepMs *= 2;
    for (const [registry, steps] of this.#steps) {
      const halved = steps.flatMap((bytes, at) => (at % 2 === 0 ? [bytes + (steps[at + 1] ?? 0)] : []));
      this.#steps.set(registry, halved);
    }
  }

  /** Null when there are too many. */
  #stepsOf(registry: string): number[] | null {
    const known = this.#steps.get(registry);
    if (known !== undefined) return known;
    if (this.#steps.size >= maxRegistries) return null;
    const steps: number[] = [];
    this.#steps.set(registry, steps);
    return steps;
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
