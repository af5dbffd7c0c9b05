import type { Control } from '../../vocabulary/control.js';
import type { ControlState } from './control-entry.js';
import type { BanOptions, ControlOptions, HoldOptions } from './control-options.js';

/** An act that a call began. */
export interface ControlHandle {
  readonly id: string;
  /** Ends it. Returns false when it had ended already. */
  release(): boolean;
}

/**
 * The operator's hand. Every call holds when it returns, for pulls under way too, and is told as `operator:changed`.
 * What calls say survives a restart where there is a `stateDir`, and holds in every process that shares it. In a plan a
 * ban comes before a preference, that before a hold, and that before the circuits.
 */
export interface OperatorControl {
  /** Puts a registry first. @throws InvalidOptionError */
  prefer(prefix: string, options?: ControlOptions): ControlHandle;
  /** Has a registry not asked at all. @throws InvalidOptionError also when nobody would be left, without `force` */
  ban(prefix: string, options?: BanOptions): ControlHandle;
  /** Has a registry's circuit count as open or closed, whatever happens. @throws InvalidOptionError */
  hold(prefix: string, options: HoldOptions): ControlHandle;
  /** What is in force, the newest first; from the control file too. */
  list(): readonly Control[];
  /** Ends what a call began. Returns false when there is no such act, or the control file says it. */
  release(id: string): boolean;
  /**
   * Declares what is to be in force: replaces all that `apply` said before, and nothing else. An entry that was there
   * before goes on, and is told only when it changed.
   *
   * @throws InvalidOptionError, and nothing has changed
   */
  apply(state: ControlState): void;
}
