import { ociLayout } from '../engine/layout/oci-layout.js';
import { createEventBus } from '../events/event-bus.js';
import { formatPlatform, hostPlatform } from '../image/platform.js';
import { parseReference } from '../image/reference.js';
import { openOptionBag } from '../policy/option-bag.js';
import { createPullerIn } from '../puller/create-puller.js';
import { parsePullerOptions, type PullerOptions, type PullOptions } from '../puller/options.js';
import type { Puller } from '../puller/puller.js';
import type { PullReport } from '../vocabulary/report.js';
import { checkPullScript, type ScriptedImage } from './check-pull-script.js';
import type { CheckedStep } from './checked-script.js';
import { playPullScript } from './play-pull-script.js';
import { pulls, type PullScript, type PullStep } from './pull-script.js';

/** One call of `pullWithFailover` of a double. */
export interface PullCall {
  /** As given. */
  readonly image: string;
  /** As given. */
  readonly options: PullOptions;
  readonly outcome: 'running' | 'succeeded' | 'failed' | 'aborted';
}

/** How often a script is played. */
export interface ScriptOptions {
  /** Pulls in a row, `Infinity` allowed; default 1. */
  readonly times?: number;
}

/** A puller that asks nobody, and does what its scripts say. */
export interface PullerDouble extends Puller {
  /** Every call so far, in order; entries go on changing until they have ended. */
  readonly calls: readonly PullCall[];
  /** The images, by canonical name, whose scripts have not all been played; those of `times: Infinity` once. */
  readonly unplayed: readonly string[];
  /**
   * Says what the next pull of this image does. Several scripts of one image are played one after the other; an image
   * without one, or whose scripts are used up, is pulled without any trouble.
   *
   * @param script steps and ready-made scripts of `pulls`
   * @throws InvalidOptionError when it could not happen in a real pull; InvalidReferenceError
   */
  script(image: string, script: PullScript | PullStep, options?: ScriptOptions): void;
}

interface QueuedScript {
  readonly steps: readonly CheckedStep[];
  left: number;
  wasPlayed: boolean;
}

type Writable<T> = { -readonly [Key in keyof T]: T[Key] };

/**
 * Makes a puller for a host's unit tests: no network, no disk, no time passes. What a host can do wrong with a real
 * puller it can do wrong with this one: options, references, plans, joining, deadlines, parking, circuits, events and
 * `close()` are the real ones. Only what registries would do is told by scripts.
 *
 * @param options those of the host's own puller, so that its rules hold here too; none are needed
 * @throws InvalidOptionError
 */
export function createPullerDouble(options: PullerOptions = {}): PullerDouble {
  const withEngine = {
    engine: ociLayout('puller-double', { id: 'puller-double' }),
    ...options,
    // No engine is asked for its own.
    platform: options.platform ?? formatPlatform(hostPlatform()),
  };
  const { replicaSets } = parsePullerOptions(withEngine);
  const queues = new Map<string, QueuedScript[]>();
  const calls: Writable<PullCall>[] = [];

  function imageOf(name: string): ScriptedImage {
    const reference = parseReference(name);
    if (replicaSets.sets.length === 0) return { reference, registries: null };
    const { places } = replicaSets.place(reference);
    return {
      reference,
      registries: places.filter(({ registry }) => registry.contact).map(({ registry }) => registry.prefix),
    };
  }

  function nextScript(name: string): readonly CheckedStep[] {
    const queue = queues.get(name) ?? [];
    const next = queue.find(({ left }) => left > 0);
    if (next === undefined) return checkPullScript([pulls.succeed()], imageOf(name));
    next.left -= 1;
    next.wasPlayed = true;
    return next.steps;
  }

  const puller = createPullerIn(
    {
      bus: createEventBus(),
      startWork: (parts, job, run) => playPullScript(nextScript(job.reference.canonical), parts, job, run),
    },
    withEngine,
  );

  async function pullWithFailover(image: string, pullOptions: PullOptions = {}): Promise<PullReport> {
    const call: Writable<PullCall> = { image, options: pullOptions, outcome: 'running' };
    calls.push(call);
    try {
      const report = await puller.pullWithFailover(image, pullOptions);
      call.outcome = 'succeeded';
      return report;
    } catch (error) {
      // Whatever was given as options was refused, if it was none.
      const { signal } = { ...pullOptions };
      call.outcome = signal?.aborted === true && Object.is(error, signal.reason) ? 'aborted' : 'failed';
      throw error;
    }
  }

  const double: PullerDouble = {
    ...puller,
    calls,
    pullWithFailover,
    get unplayed() {
      return [...queues].flatMap(([image, queue]) =>
        queue.some(({ left, wasPlayed }) => left > 0 && !(left === Infinity && wasPlayed)) ? [image] : [],
      );
    },
    script: (image, script, scriptOptions = {}) => {
      const times = openOptionBag('', scriptOptions, ['times']).integer('times', { min: 1, infinity: true }) ?? 1;
      const scripted = imageOf(image);
      const steps = checkPullScript(Array.isArray(script) ? script : [script], scripted);
      const { canonical } = scripted.reference;
      queues.set(canonical, [...(queues.get(canonical) ?? []), { steps, left: times, wasPlayed: false }]);
    },
    [Symbol.asyncDispose]: () => puller.close(),
  };
  return double;
}
