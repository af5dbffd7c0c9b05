import type { SeenBy } from '../events/pull-event.js';
import type { Reason } from '../vocabulary/reason.js';
import { coolDownOf } from './cool-down.js';
import type { HealthSettings } from './health-options.js';
import { createTripRule, type TripRule } from './trip-rule.js';

/** How one pull, probe or canary went at one registry in one phase. */
export type PullOutcome = 'good' | { readonly ill: Reason };

/** Where a circuit is, each state with its own data only. All times are on the monotonic clock. */
export type CircuitState =
  | { readonly kind: 'closed'; readonly sinceMs: number; readonly openings: number }
  | {
      readonly kind: 'open';
      readonly sinceMs: number;
      readonly openings: number;
      readonly reason: Reason;
      /** When the cool-down ends. */
      readonly untilMs: number;
    }
  | {
      readonly kind: 'half-open';
      /** When the cool-down ended, whenever that was noticed: all who share the state agree on it. */
      readonly sinceMs: number;
      readonly openings: number;
      /** Why it was open. */
      readonly reason: Reason;
      readonly good: number;
      /** When the first of the good results came, or null. */
      readonly firstGoodAtMs: number | null;
    };

/** So many good results close a half-open circuit: fewer are luck with a registry that fails every other time. */
export const goodToClose = 3;

/** They must span this long: three answers of one good second say nothing about the next. */
export const goodSpanMs = 5_000;

/** One registry in one phase. Knows no clock and no timers: whoever asks says what time it is. */
export interface CircuitMachine {
  readonly state: CircuitState;
  /** Half-opens when the cool-down is over; returns whether that changed the state. */
  advance(nowMs: number): boolean;
  /** Returns whether it changed the state to one of another kind. */
  record(outcome: PullOutcome, nowMs: number, seenBy: SeenBy): boolean;
  /** Takes over what another process has found. */
  adopt(state: CircuitState): void;
  /** Whether a fresh circuit would behave the same from now on. */
  isIdle(nowMs: number): boolean;
}

/** Starts closed; `openings` counts how often it opened without staying closed for `maxCoolDownMs` in between. */
export function createCircuitMachine(settings: HealthSettings, nowMs: number, random: () => number): CircuitMachine {
  // Each by itself: a canary that reads one layer well every few seconds must not wipe out that pulls fail at others.
  const work: TripRule = createTripRule(settings);
  const looks: TripRule = createTripRule(settings);
  const spanMs = Math.min(goodSpanMs, settings.coolDownMs);
  let state: CircuitState = { kind: 'closed', sinceMs: nowMs, openings: 0 };

  function forgetOutcomes(): void {
    work.reset();
    looks.reset();
  }

  function open(reason: Reason, openings: number, now: number): true {
    forgetOutcomes();
    state = { kind: 'open', sinceMs: now, openings, reason, untilMs: now + coolDownOf(openings, settings, random) };
    return true;
  }

  /** Openings long ago do not lengthen a cool-down of today. */
  function openingsSince(closed: { readonly sinceMs: number; readonly openings: number }, now: number): number {
    return now - closed.sinceMs >= settings.maxCoolDownMs ? 0 : closed.openings;
  }

  return {
    get state() {
      return state;
    },
    advance: (now) => {
      if (state.kind !== 'open' || now < state.untilMs) return false;
      const { openings, reason, untilMs } = state;
      state = { kind: 'half-open', sinceMs: untilMs, openings, reason, good: 0, firstGoodAtMs: null };
      return true;
    },
    record: (outcome, now, seenBy) => {
      switch (state.kind) {
        case 'closed': {
          const trips = (seenBy === 'pull' ? work : looks).record(outcome !== 'good', now);
          return trips && outcome !== 'good' ? open(outcome.ill, openingsSince(state, now) + 1, now) : false;
        }
        case 'open':
          // Pulls that began before it opened, or had nobody else left: neither shortens nor lengthens the cool-down.
          return false;
        case 'half-open': {
          if (outcome !== 'good') return open(outcome.ill, state.openings + 1, now);
          const good = state.good + 1;
          const firstGoodAtMs = state.firstGoodAtMs ?? now;
          if (good >= goodToClose && now - firstGoodAtMs >= spanMs) {
            state = { kind: 'closed', sinceMs: now, openings: state.openings };
            return true;
          }
          state = { ...state, good, firstGoodAtMs };
          return false;
        }
      }
    },
    adopt: (found) => {
      forgetOutcomes();
      state = found;
    },
    isIdle: (now) =>
      state.kind === 'closed' && openingsSince(state, now) === 0 && work.isIdle(now) && looks.isIdle(now),
  };
}
