import type { Reason } from '../vocabulary/reason.js';
import { coolDownOf } from './cool-down.js';
import type { HealthSettings } from './health-options.js';
import { createTripRule, type TripRule } from './trip-rule.js';

/** How one pull went at one registry in one phase. */
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
  /** Returns whether it changed the state. */
  record(outcome: PullOutcome, nowMs: number): boolean;
  /** Whether a fresh circuit would behave the same from now on. */
  isIdle(nowMs: number): boolean;
}

/** Starts closed; `openings` counts how often it opened without staying closed for `maxCoolDownMs` in between. */
export function createCircuitMachine(settings: HealthSettings, nowMs: number, random: () => number): CircuitMachine {
  const tripRule: TripRule = createTripRule(settings);
  const spanMs = Math.min(goodSpanMs, settings.coolDownMs);
  let state: CircuitState = { kind: 'closed', sinceMs: nowMs, openings: 0 };

  function open(reason: Reason, openings: number, now: number): true {
    tripRule.reset();
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
      const { openings, reason } = state;
      state = { kind: 'half-open', sinceMs: now, openings, reason, good: 0, firstGoodAtMs: null };
      return true;
    },
    record: (outcome, now) => {
      switch (state.kind) {
        case 'closed': {
          const trips = tripRule.record(outcome !== 'good', now);
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
    isIdle: (now) => state.kind === 'closed' && openingsSince(state, now) === 0 && tripRule.isIdle(now),
  };
}
