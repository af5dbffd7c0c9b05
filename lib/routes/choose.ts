import { dockerParts, type DockerEngine } from '../engine/docker/docker-engine.js';
import { EngineFailure, hostErrorOf } from '../engine/docker/engine-failure.js';
import type { EngineTraits } from '../engine/docker/engine-traits.js';
import { EngineError } from '../errors/engine-error.js';
import { monotonicMs } from '../clock/time.js';
import { createBoundedMap } from '../policy/bounded-map.js';
import { abortable } from '../policy/deadline.js';
import { startSharedTask, type SharedTask } from '../policy/shared-task.js';
import type { Relay } from '../relay/relay.js';
import type { Route } from '../vocabulary/route.js';
import type { Comeback } from './comeback.js';
import { sweepLeftovers } from './relay/leftovers.js';
import { isListed, isProxied, isTrustedPlain } from './relay/relay-address.js';
import { isInContainer, relayAdvice } from './relay/relay-advice.js';
import { isRelayGone } from './relay/relay-gone.js';
import { reachesRelay } from './relay/relay-handshake.js';

/** How bytes will reach a daemon, and why. */
export interface ChosenRoute {
  readonly route: Exclude<Route, 'layout'>;
  /** In words. */
  readonly why: string;
  /** How to get the better one; null where there is none, or it was asked for. */
  readonly advice: string | null;
}

/**
 * Decides how bytes reach a daemon: as its options say, else by the relay where the daemon proves that it reaches it, else
 * by archives. Before the first time, and now and then behind a pull's back, names that dead processes left in the daemon
 * are swept.
 *
 * @param relayOf the relay of this engine, started where it is not yet
 * @param comeback of the pull that wants to know: a daemon that restarts meanwhile is asked once more
 * @throws EngineError when the relay was asked for and the daemon does not reach it; HostFaultError when the daemon cannot
 *   be asked; the signal's own reason
 */
export async function chooseRoute(
  engine: DockerEngine,
  relayOf: () => Promise<Relay>,
  comeback: Comeback,
  signal: AbortSignal,
): Promise<ChosenRoute> {
  signal.throwIfAborted();
  try {
    const chosen = await comeback.evenIfAway(signal, async () => {
      const traits = await dockerParts(engine).daemon.traits({ signal });
      await sweepFirst(engine, signal);
      return chooseFor(engine, relayOf, traits, signal);
    });
    sweepAgain(engine, chosen.route === 'relay' ? await relayOf() : null);
    return chosen;
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (error instanceof EngineFailure) throw hostErrorOf(error, engine.id, 'the question how to reach it');
    throw error;
  }
}

async function chooseFor(
  engine: DockerEngine,
  relayOf: () => Promise<Relay>,
  traits: EngineTraits,
  signal: AbortSignal,
): Promise<ChosenRoute> {
  const { route } = dockerParts(engine);
  switch (route) {
    case 'load':
    case 'direct':
      return { route, why: `the engine's options ask for it (route: '${route}')`, advice: null };
    case 'relay': {
      const finding = await findRelay(engine, relayOf, traits, signal);
      if (!finding.isReached) {
        throw new EngineError(
          engine.id,
          `its options ask for the relay, and it cannot be used: ${finding.why}; ${finding.advice}, or let the library choose (route: 'auto')`,
        );
      }
      return { route, why: `the engine's options ask for it (route: 'relay'), and ${finding.why}`, advice: null };
    }
    case 'auto': {
      const finding = await findRelay(engine, relayOf, traits, signal);
      return finding.isReached
        ? { route: 'relay', why: finding.why, advice: null }
        : { route: 'load', why: finding.why, advice: finding.advice };
    }
  }
}

/** Whether a daemon can pull from a relay. */
type RelayFinding =
  | { readonly isReached: true; readonly why: string }
  | { readonly isReached: false; readonly why: string; readonly advice: string };

async function findRelay(
  engine: DockerEngine,
  relayOf: () => Promise<Relay>,
  traits: EngineTraits,
  signal: AbortSignal,
): Promise<RelayFinding> {
  const { relay: options } = dockerParts(engine);
  let relay: Relay;
  try {
    relay = await abortable(relayOf(), signal);
  } catch (error) {
    signal.throwIfAborted();
    const { host, port } = options.listen;
    return {
      isReached: false,
      why: `the relay cannot listen on ${host}:${port} (${error instanceof Error ? error.message : String(error)})`,
      advice: 'set relay.listen to a free port of this process',
    };
  }
  return untrusted(relay.address, traits) ?? (await heardBefore(engine, relay, traits, signal));
}

/** What a daemon would not pull from, whether it reaches it or not; null where it would. */
function untrusted(address: string, traits: EngineTraits): RelayFinding | null {
  if (!isTrustedPlain(address, traits)) {
    return {
      isReached: false,
      why: `the daemon takes no plain HTTP from ${address}, where the relay is advertised`,
      advice: `add ${address} to the insecure-registries of the daemon's configuration, or advertise the relay on the daemon's loopback (relay.advertise)`,
    };
  }
  if (isProxied(address, traits)) {
    return {
      isReached: false,
      why: `the daemon would ask ${address}, where the relay is advertised, through its proxy`,
      advice: `add ${address} to NO_PROXY of the daemon, or advertise the relay on the daemon's loopback (relay.advertise)`,
    };
  }
  const [major = ''] = traits.version.split('.');
  if (traits.product === 'podman' && Number(major) < firstPodman && !isListed(address, traits)) {
    return {
      isReached: false,
      why: `Podman ${traits.version} takes no plain HTTP from ${address}, and cannot be told to for one pull`,
      advice: `update it to Podman ${firstPodman}, or list the relay's host as insecure in its registries.conf`,
    };
  }
  return null;
}

/** From it on Podman can be told by a pull itself that a registry speaks plain HTTP. */
const firstPodman = 4;

/** A daemon that was heard is asked again after this: what leads from it to the relay may be somebody else's by then. */
const heardForMs = 600_000;

/** A daemon that was not heard is asked again after this: somebody may have followed the advice. */
const deafForMs = 60_000;

/** Tenants may bring daemons of their own. */
const maxRemembered = 256;

interface Remembered {
  readonly finding: RelayFinding;
  readonly untilMs: number;
}

const remembered = createBoundedMap<string, Remembered>(maxRemembered);
const asking = new Map<string, SharedTask<RelayFinding>>();

/** One handshake per daemon and relay, whoever wants it. */
async function heardBefore(
  engine: DockerEngine,
  relay: Relay,
  traits: EngineTraits,
  signal: AbortSignal,
): Promise<RelayFinding> {
  const key = JSON.stringify([traits.daemonId, engine.address, relay.address]);
  const known = remembered.get(key);
  if (known !== undefined && known.untilMs > monotonicMs()) return known.finding;
  let task = asking.get(key);
  if (task === undefined) {
    const started = startSharedTask(
      async (shared) => {
        const finding = await shakeHands(engine, relay, shared);
        remembered.set(key, { finding, untilMs: monotonicMs() + (finding.isReached ? heardForMs : deafForMs) });
        return finding;
      },
      'nobody asks any more whether the daemon reaches the relay',
      () => {
        if (asking.get(key) === started) asking.delete(key);
      },
    );
    task = started;
    asking.set(key, started);
  }
  return task.attend((result) => abortable(result, signal));
}

async function shakeHands(engine: DockerEngine, relay: Relay, signal: AbortSignal): Promise<RelayFinding> {
  const { daemon, relay: options } = dockerParts(engine);
  if (await reachesRelay(daemon, relay, signal)) {
    return { isReached: true, why: `the daemon reaches the relay of this process at ${relay.address}` };
  }
  return {
    isReached: false,
    why: `the daemon does not reach the relay of this process at ${relay.address}`,
    advice: relayAdvice({ daemonAddress: daemon.address, relay: options, isInContainer: isInContainer() }),
  };
}

/** A host lives for weeks: it looks this often for what a neighbour left that has crashed since. */
const sweepEveryMs = 600_000;

/** When an engine is swept next; `Infinity` while it is swept for the first time. */
const nextSweepAtMs = new WeakMap<DockerEngine, number>();

/** What is known to be left is gone before the first pull. */
async function sweepFirst(engine: DockerEngine, signal: AbortSignal): Promise<void> {
  if (nextSweepAtMs.has(engine)) return;
  nextSweepAtMs.set(engine, Infinity);
  try {
    const { inDoubt } = await sweepLeftovers(dockerParts(engine).daemon, signal);
    nextSweepAtMs.set(engine, monotonicMs() + (inDoubt ? 0 : sweepEveryMs));
  } catch (error) {
    nextSweepAtMs.delete(engine);
    throw error;
  }
}

/** Sweeps behind a pull's back, where it is time: to find out about a relay that is not ours can take a while. */
function sweepAgain(engine: DockerEngine, own: Relay | null): void {
  const nowMs = monotonicMs();
  if (nowMs < (nextSweepAtMs.get(engine) ?? Infinity)) return;
  nextSweepAtMs.set(engine, nowMs + sweepEveryMs);
  const { daemon } = dockerParts(engine);
  // It outlives the pull; when the engine is closed, so are its questions.
  const { signal } = new AbortController();
  void sweepLeftovers(daemon, signal, (address) => isRelayGone({ daemon, address, own, signal }));
}
