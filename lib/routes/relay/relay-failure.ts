import type { EngineFault } from '../../engine/docker/engine-error-table.js';
import type { EngineFailure } from '../../engine/docker/engine-failure.js';
import type { Reason } from '../../vocabulary/reason.js';
import type { RelayOutcome } from './relay-pull.js';

/**
 * What follows when a daemon could not pull from our relay.
 *
 * - `again`: once more by the same route
 * - `away`: the same, when the daemon is back
 * - `load`: it will not get the image this way; bytes are sent to it
 * - `stop`: no way of sending bytes helps
 */
export type WhatFollows =
  | { readonly kind: 'again' | 'away'; readonly failure: EngineFailure }
  | { readonly kind: 'load'; readonly reason: Reason }
  | { readonly kind: 'stop'; readonly failure: EngineFailure };

/**
 * By what the failure is about. The relay served nothing but what the heart verified, so what sounds like a registry's
 * fault is another client's pull of the same layer, which this one was tied to, or a way to the relay that is shut.
 */
const follows: Readonly<Record<EngineFault, WhatFollows['kind']>> = {
  disk: 'stop',
  extract: 'stop',
  platform: 'stop',
  type: 'stop',
  daemon: 'away',
  unreachable: 'away',
  cancelled: 'again',
  integrity: 'load',
  caller: 'load',
  'rate-limit': 'load',
  'registry-noise': 'load',
  denied: 'load',
  missing: 'load',
  tls: 'load',
  network: 'load',
  server: 'load',
  unknown: 'load',
};

/** @param mayRepeat whether this is the first time that `again` would follow */
export function whatFollows(
  outcome: Exclude<RelayOutcome, { readonly kind: 'pulled' }>,
  engineId: string,
  mayRepeat: boolean,
): WhatFollows {
  if (outcome.kind === 'wedged') {
    const seconds = (outcome.quietMs / 1_000).toFixed(1);
    return load(
      'engine-wedged',
      `engine ${engineId} has not asked for what it needs for ${seconds} s: another pull holds its layers or its download slots`,
    );
  }
  const { failure, hadAll, hadWrongBytes } = outcome;
  if (hadWrongBytes) {
    return load('engine-poisoned', `engine ${engineId} holds wrong bytes of a registry: ${failure.message}`);
  }
  if (failure.fault === 'integrity') {
    return load(
      'engine-poisoned',
      `engine ${engineId} refused bytes that were right, so it holds others of an earlier pull: ${failure.message}`,
    );
  }
  const kind = follows[failure.fault];
  if (kind === 'away' || (kind === 'again' && mayRepeat)) return { kind, failure };
  // With every byte there it failed at its own work, in words that we do not know.
  if (kind === 'stop' || (hadAll && failure.fault === 'unknown')) return { kind: 'stop', failure };
  return load('engine-failed', `engine ${engineId} could not pull from this process: ${failure.message}`);
}

function load(code: 'engine-wedged' | 'engine-poisoned' | 'engine-failed', message: string): WhatFollows {
  return { kind: 'load', reason: { cause: 'engine', code, message } };
}
