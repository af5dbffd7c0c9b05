import { epochMs } from '../../clock/time.js';
import { openOptionBag, type OptionBag } from '../../policy/option-bag.js';
import type { ControlAct, ControlScope } from '../../vocabulary/control.js';
import { registryPhases, type RegistryPhase } from '../../vocabulary/phase.js';
import {
  readActor,
  readAs,
  readPrefix,
  readReason,
  readScope,
  scopeKeys,
  type WantedControl,
} from './control-entry.js';

/** What an operator says beside the registry. */
export interface ControlOptions {
  /** Default: all pulls. */
  readonly scope?: ControlScope;
  /** The same as `scope.phase`. */
  readonly phase?: RegistryPhase;
  /** Why, for whoever finds it: shown in plans, events and incidents. Default: none. */
  readonly reason?: string;
  /** Who; default: the user this process runs as. */
  readonly actor?: string;
  /** Ends by itself after so many milliseconds, at most a year; default `Infinity`: it does not. */
  readonly forMs?: number;
  /**
   * What becomes of requests under way: `move` leaves them at the next byte for the next registry, `finish` lets them end.
   * Default `'move'`.
   */
  readonly inFlight?: 'move' | 'finish';
}

/** What a ban may say. */
export interface BanOptions extends ControlOptions {
  /** Also when no other registry is left: such pulls find nobody to ask. Default false. */
  readonly force?: boolean;
}

/** What a hold says. */
export interface HoldOptions extends Omit<ControlOptions, 'scope'> {
  /** A circuit is the same for all pulls: a hold has no other scope. Default: both phases. */
  readonly scope?: Pick<ControlScope, 'phase'>;
  /** What the circuit counts as, whatever happens. */
  readonly as: 'open' | 'closed';
}

/** A longer time is a mistake of the unit; what shall last is given none. */
const maxForMs = 366 * 86_400_000;

const optionKeys = ['scope', 'phase', 'reason', 'actor', 'forMs', 'inFlight'] as const;

const keysOf: Readonly<Record<ControlAct, readonly string[]>> = {
  prefer: optionKeys,
  ban: [...optionKeys, 'force'],
  hold: [...optionKeys, 'as'],
};

/** Reads the arguments of a call. @throws InvalidOptionError naming the key and the value */
export function parseControlCall(act: ControlAct, prefix: unknown, options: unknown): WantedControl {
  const bag = openOptionBag('', options, keysOf[act]);
  return {
    id: null,
    act,
    registry: readPrefix(prefix, 'prefix'),
    scope: readScope(bag.bag('scope', scopeKeys), act, bag.oneOf('phase', registryPhases) ?? null),
    reason: readReason(bag),
    actor: readActor(bag),
    sinceMs: null,
    untilMs: untilOf(bag),
    inFlight: bag.oneOf('inFlight', ['move', 'finish']) ?? 'move',
    as: act === 'hold' ? readAs(bag, act) : null,
    force: act === 'ban' && (bag.boolean('force') ?? false),
  };
}

function untilOf(bag: OptionBag): number | null {
  const forMs = bag.durationMs('forMs', { max: maxForMs, infinity: true }) ?? Infinity;
  return forMs === Infinity ? null : epochMs() + forMs;
}
