import { toEpochMs } from '../clock/time.js';
import type { SeenBy } from '../events/pull-event.js';
import type { RegistryPhase } from '../vocabulary/phase.js';
import type { Reason } from '../vocabulary/reason.js';
import { reasonOf } from './circuit-health.js';
import type { CircuitState } from './circuit-state.js';

/** A circuit that changed; `reason` is why it had opened. */
export interface CircuitChange {
  readonly registry: string;
  readonly phase: RegistryPhase;
  readonly reason: Reason;
}

/** Heard after the state changed. */
export interface CircuitListeners {
  /** `untilMs`: milliseconds since the epoch at which the cool-down ends. */
  readonly opened?: (change: CircuitChange & { readonly untilMs: number; readonly seenBy: SeenBy }) => void;
  readonly halfOpened?: (change: CircuitChange) => void;
  readonly closed?: (change: CircuitChange & { readonly seenBy: SeenBy }) => void;
}

/**
 * Tells how a circuit came from the state told last to the one it is in. What happened in between, in another process or
 * while an operator held it, is told too: whoever listens sees each circuit open, half-open, and then open or close.
 */
export function tellSteps(
  on: CircuitListeners,
  { registry, phase }: { readonly registry: string; readonly phase: RegistryPhase },
  { told, now, seenBy }: { readonly told: CircuitState; readonly now: CircuitState; readonly seenBy: SeenBy },
): void {
  const reason = reasonOf(now) ?? reasonOf(told);
  if (reason === null) return;
  const change = { registry, phase, reason };
  const opened = (untilMs: number): void => on.opened?.({ ...change, untilMs: toEpochMs(untilMs), seenBy });
  const halfOpened = (): void => on.halfOpened?.({ ...change, reason: reasonOf(told) ?? reason });
  switch (now.kind) {
    case 'open':
      if (told.kind === 'open') halfOpened();
      opened(now.untilMs);
      return;
    case 'half-open':
      if (told.kind === 'half-open') return;
      if (told.kind === 'closed') opened(now.sinceMs);
      halfOpened();
      return;
    case 'closed':
      if (told.kind === 'open') halfOpened();
      on.closed?.({ ...change, seenBy });
      return;
  }
}
