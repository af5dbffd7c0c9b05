import { randomBytes } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { monotonicMs } from '../../clock/time.js';
import type { DockerDaemon } from '../../engine/docker/docker-daemon.js';
import { EngineFailure, registryEvidenceOf } from '../../engine/docker/engine-failure.js';
import { abortable, deriveAbort, withDeadline } from '../../policy/deadline.js';
import type { Relay } from '../../relay/relay.js';

/** How long a handshake may take. Milliseconds. */
export interface HandshakeLimits {
  /** From when the daemon has answered something else; twice as long as that took where that is longer. */
  readonly begunMs: number;
  /** In all. */
  readonly totalMs: number;
}

/** On loopback a handshake takes some 50 ms; a daemon whose packets lead nowhere would try for half a minute. */
export const handshakeLimits: HandshakeLimits = { begunMs: 2_000, totalMs: 10_000 };

/**
 * Whether a daemon reaches a relay: it is told to pull a word that nobody else knows, and the relay listens for it. It
 * asks as nobody, for whatever answers at that address on the daemon's side may not be the relay, and gets nothing: no
 * image comes of it.
 *
 * @throws EngineFailure when the daemon cannot be asked; the signal's own reason
 */
export async function reachesRelay(
  daemon: DockerDaemon,
  relay: Pick<Relay, 'address' | 'heardOf'>,
  signal: AbortSignal,
  limits: HandshakeLimits = handshakeLimits,
): Promise<boolean> {
  signal.throwIfAborted();
  using work = deriveAbort(signal);
  const { platform } = await daemon.traits({ signal });
  const word = newWord();
  let isHeard = false;
  const heard = relay.heardOf(word, limits.totalMs, work.signal).then((answer) => {
    isHeard = answer;
  });
  const asked = ask(daemon, { word, address: relay.address, platform }, work.signal);
  const late = lateAnswer(daemon, limits.begunMs, work.signal);
  try {
    await abortable(Promise.race([heard, asked, late]), signal);
    // The daemon's answer may be read in the same turn as the request that it made before.
    await setImmediate();
    return isHeard;
  } finally {
    work.abort(new Error('the handshake is over'));
    await Promise.allSettled([heard, asked, late]);
  }
}

/**
 * Whether nobody listens at an address on a daemon's own loopback: the kernel under the daemon says so, wherever this
 * process is. Whoever does listen there is asked as nobody, for what nobody has.
 *
 * @throws EngineFailure when the daemon cannot be asked; Error when it does not know in time; the signal's own reason
 */
export async function isDeserted(daemon: DockerDaemon, address: string, signal: AbortSignal): Promise<boolean> {
  const { platform } = await daemon.traits({ signal });
  const ms = handshakeLimits.totalMs;
  const expired = (): Error => new Error(`the daemon did not find out within ${ms} ms who is at ${address}`);
  const failure = await withDeadline({ ms, signal, expired }, (limited) =>
    ask(daemon, { word: newWord(), address, platform }, limited),
  );
  const evidence = failure === null ? null : registryEvidenceOf(failure);
  return evidence?.kind === 'connection' && evidence.code === 'refused';
}

function newWord(): string {
  return randomBytes(16).toString('hex');
}

interface Question {
  readonly word: string;
  readonly address: string;
  readonly platform: string;
}

/** Resolves with why the daemon has given up, as it should: there is nothing to pull. */
async function ask(
  daemon: DockerDaemon,
  { word, address, platform }: Question,
  signal: AbortSignal,
): Promise<EngineFailure | null> {
  const pull = daemon.pull(
    {
      name: `${address}/pull-failover/handshake/${word}`,
      object: 'probe',
      platform,
      credentials: null,
      // Docker's classic store is heard by it: without credentials it does not come as far as the name.
      userAgent: `pull-failover-handshake/${word}`,
      plainHttp: true,
    },
    signal,
  );
  try {
    for await (const _ of pull) continue;
    return null;
  } catch (error) {
    if (signal.aborted || !(error instanceof EngineFailure)) throw error;
    if (error.isLost || error.fault === 'unreachable' || error.fault === 'daemon') throw error;
    return error;
  }
}

/** Resolves a while after the daemon has answered something else: until then it may only be slow. */
async function lateAnswer(daemon: DockerDaemon, begunMs: number, signal: AbortSignal): Promise<void> {
  const askedAtMs = monotonicMs();
  await daemon.traits({ signal, fresh: true });
  const ms = Math.max(begunMs, 2 * (monotonicMs() - askedAtMs));
  const late = new Error('late');
  await withDeadline({ ms, signal, expired: () => late }, () => new Promise<never>(() => {})).catch(
    (error: unknown) => {
      if (error !== late) throw error;
    },
  );
}
