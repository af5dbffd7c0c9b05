import type { NameResolver } from '../distribution/name-lookup.js';
import { PullerClosedError } from '../errors/puller-closed-error.js';
import { createEventBus, type EventBus } from '../events/event-bus.js';
import { parseReference } from '../image/reference.js';
import { deriveAbort, sleep } from '../policy/deadline.js';
import { openOptionBag } from '../policy/option-bag.js';
import type { DaemonCertificates } from '../registries/daemon-certificates.js';
import type { PullReport } from '../vocabulary/report.js';
import { callPull } from './caller.js';
import { composeParts } from './compose.js';
import { explainPlan } from './explain.js';
import { Joins } from './join.js';
import { startPull, type StartWork } from './start-work.js';
import { parsePullerOptions, type PullerOptions } from './options.js';
import { keepCredentials } from './own-credentials.js';
import { recordIncidents } from './record-incidents.js';
import type { CloseOptions, Puller } from './puller.js';

/**
 * Makes a puller. Nothing is contacted yet, and no timer keeps the process alive.
 *
 * @throws InvalidOptionError naming the option's path and its value
 */
export function createPuller(options: PullerOptions): Puller {
  return createPullerIn({ bus: createEventBus() }, options);
}

/** What a puller can be given from outside. */
export interface PullerSurroundings {
  /** Where its events go. */
  readonly bus: EventBus;
  /** Called once, when it is told to close. */
  readonly onClosing?: () => void;
  /** What a pull does once it was accepted; default: it asks registries. */
  readonly startWork?: StartWork;
  /** By which registries are recognised whose options say nothing; default: those of Docker's daemon on this host. */
  readonly certificates?: DaemonCertificates;
  /** How names are looked up; default: as this host does. */
  readonly resolve?: NameResolver;
}

/** Makes a puller in given surroundings. @throws InvalidOptionError */
export function createPullerIn(surroundings: PullerSurroundings, options: PullerOptions): Puller {
  const { bus, onClosing = () => {}, startWork = startPull } = surroundings;
  const settings = parsePullerOptions(options, surroundings.certificates);
  const ending = deriveAbort();
  const parts = composeParts(settings, bus, ending.signal, surroundings.resolve);
  // A double contacts nobody.
  const prober = startWork === startPull ? parts.startProbes() : null;
  // What was ill before a restart is probed though nobody pulls.
  if (settings.stateDir !== null) void parts.refresh();
  const record = recordIncidents(parts, bus);
  const joins = new Joins();
  const calls = new Set<Promise<unknown>>();
  let closing: Promise<void> | null = null;

  async function end(graceMs: number): Promise<void> {
    parts.carPark.close(new PullerClosedError());
    parts.controlFile?.close();
    parts.controls.close();
    const probesEnded = prober?.close();
    const allEnded = Promise.allSettled(calls);
    if (graceMs > 0 && calls.size > 0) {
      using pause = deriveAbort();
      await Promise.race([allEnded, sleep(graceMs, pause.signal)]);
      pause.abort(new Error('nobody waits any more'));
    }
    ending.abort(
      new PullerClosedError(
        'The puller was closed while this pull was running; ask another one, or again after the restart',
      ),
    );
    await allEnded;
    // Callers are given back at once; what they had wanted still lets go of its files.
    await joins.settled();
    await probesEnded;
    await parts.relays.close();
    await settings.defaultEngine.close();
    await parts.transport.close();
    await record.close();
    parts.circuits.close();
    await Promise.all([
      parts.memory.flush(),
      parts.circuits.flush(),
      parts.controls.flush(),
      parts.probeTargets.flush(),
    ]);
  }

  const puller: Puller = {
    events: bus,
    control: parts.controls,
    incidents: record.incidents,
    parked: parts.carPark,
    pullWithFailover: async (image, pullOptions = {}) => {
      if (closing !== null) throw new PullerClosedError();
      const call: Promise<PullReport> = callPull({ parts, joins, startWork }, image, pullOptions);
      calls.add(call);
      try {
        return await call;
      } finally {
        calls.delete(call);
      }
    },
    explain: async (image, explainOptions = {}) => explainPlan(parts, parseReference(image), explainOptions),
    health: () => parts.circuits.health(),
    close: async (closeOptions: CloseOptions = {}) => {
      const graceMs = openOptionBag('', closeOptions, ['graceMs']).integer('graceMs', { min: 0, infinity: true }) ?? 0;
      if (closing === null) {
        closing = end(graceMs);
        onClosing();
      }
      await closing;
    },
    [Symbol.asyncDispose]: () => puller.close(),
  };
  keepCredentials(puller, settings.replicaSets);
  return puller;
}
