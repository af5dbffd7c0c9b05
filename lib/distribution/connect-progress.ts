import type { Evidence } from '../vocabulary/evidence.js';
import type { RegistryPhase } from '../vocabulary/phase.js';
import type { ReachTry } from './reach.js';
import { ExchangeError } from './wire-error.js';

/**
 * What a connection that is being opened waits for.
 *
 * - `name`: an address of the host
 * - `proxy`: the proxy before it
 * - `connection`: the host itself
 */
export type ConnectStage = 'name' | 'proxy' | 'connection';

/**
 * Tells whoever measures the time of a request that it had no connection yet: who takes a connection and does not answer
 * then is late, but of whom is not even reached nobody knows that.
 */
export interface ConnectProgress {
  /** What is to be said when the time is over now; null while there is a connection, or no request. */
  unconnected: (() => Evidence) | null;
}

/** What is to be said of a connection whose time is over at this stage. */
export function evidenceAtStage(stage: ConnectStage, reach: ReachTry): Evidence {
  switch (stage) {
    case 'name':
      return reach.unresolved('failed');
    case 'proxy':
      return { kind: 'proxy' };
    case 'connection':
      // Limits count no time in which this process was late.
      return reach.unreached('timed-out', 0);
  }
}

/**
 * What a request fails with whose limit has expired. That it had no connection is told instead of the limit.
 *
 * @param missing what had not come, in words
 */
export function lateError(
  missing: string,
  limit: Extract<Evidence, { kind: 'limit' }>,
  phase: RegistryPhase,
  { unconnected }: ConnectProgress,
): ExchangeError {
  const evidence = unconnected?.() ?? limit;
  if (evidence.kind === 'limit') {
    return new ExchangeError(`${missing} within ${limit.value} ms (${limit.limit})`, { evidence, phase });
  }
  const detail = `${missingOf(evidence)} within ${limit.value} ms, ${limit.limit}`;
  return new ExchangeError(detail, { evidence, phase, detail });
}

function missingOf({ kind }: Evidence): string {
  return kind === 'dns' ? 'no address' : kind === 'proxy' ? 'no connection to it' : 'no connection';
}
