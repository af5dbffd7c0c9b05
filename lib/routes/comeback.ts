import { monotonicMs } from '../clock/time.js';
import type { DockerDaemon } from '../engine/docker/docker-daemon.js';
import type { EngineFault } from '../engine/docker/engine-error-table.js';
import { EngineFailure } from '../engine/docker/engine-failure.js';
import { createLog } from '../log/log.js';

const log = createLog('pull');

/** A daemon starts in seconds, and with many containers in some more; one that takes longer is an operator's matter. */
const backWithinMs = 30_000;

/** Of a daemon that has answered before, these say that it went away, whichever request found out. */
const awayFaults: ReadonlySet<EngineFault> = new Set(['daemon', 'unreachable']);

/** Somebody is there, and it is not for us: no restart begins like that. */
const forbidden: ReadonlySet<string | null> = new Set(['EACCES', 'EPERM']);

/**
 * The patience of one pull with a daemon that goes away in its middle and comes back: it is waited for once in all, for
 * 30 s. One that has not answered since the pull began is not waited for: it is not restarting but away.
 */
export class Comeback {
  readonly #daemon: DockerDaemon | null;
  readonly #pullId: string;
  readonly #openedAtMs = monotonicMs();
  #wasWaitedFor = false;

  /**
   * To be opened before the pull asks the daemon anything.
   *
   * @param daemon null for a layout, which never goes away
   */
  constructor(daemon: DockerDaemon | null, pullId: string) {
    this.#daemon = daemon;
    this.#pullId = pullId;
  }

  /** Does what may be done twice: once more where the daemon went away on the way, when it is back. @throws as `work` does */
  async evenIfAway<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      signal.throwIfAborted();
      await this.wait(error, signal);
      return work();
    }
  }

  /**
   * Waits for the daemon to come back, where it went away.
   *
   * @throws the failure, where it is another one, or the daemon is not waited for any more or does not come; the signal's
   *   own reason
   */
  async wait(failure: unknown, signal: AbortSignal): Promise<void> {
    const daemon = this.#daemon;
    if (daemon === null || !isAway(failure) || this.#wasWaitedFor || !this.#hasAnswered(daemon)) throw failure;
    this.#wasWaitedFor = true;
    log(this.#pullId, 'waiting for the engine to come back', { failure: failure.message, withinMs: backWithinMs });
    try {
      await daemon.whenBack(backWithinMs, signal);
    } catch {
      signal.throwIfAborted();
      throw failure;
    }
  }

  #hasAnswered({ lastAnswerAtMs }: DockerDaemon): boolean {
    return lastAnswerAtMs >= this.#openedAtMs;
  }
}

function isAway(failure: unknown): failure is EngineFailure {
  return failure instanceof EngineFailure && awayFaults.has(failure.fault) && !forbidden.has(failure.socketCode);
}
