import type { RegistryPhase } from './phase.js';

/**
 * What an operator does about a registry.
 *
 * - `prefer`: it comes first
 * - `ban`: it is not asked at all
 * - `hold`: its circuit stays as it is told, whatever happens
 */
export type ControlAct = 'prefer' | 'ban' | 'hold';

/** Which pulls an operator's act concerns; what is not named concerns all of them. */
export interface ControlScope {
  /** `operation.kind` of the pull. */
  readonly operationKind?: string;
  /** The name of the image's replica set. */
  readonly replicaSet?: string;
  readonly phase?: RegistryPhase;
}

/** An operator's act that is in force, JSON-safe. */
export interface Control {
  readonly id: string;
  readonly act: ControlAct;
  /** The registry's prefix. */
  readonly registry: string;
  readonly scope: ControlScope;
  /** Why, in the operator's words; free of secrets. */
  readonly reason: string;
  /** Who did it. */
  readonly actor: string;
  /** Milliseconds since the epoch. */
  readonly sinceMs: number;
  /** When it ends by itself, in milliseconds since the epoch; null when it does not. */
  readonly untilMs: number | null;
  /** What becomes of bytes under way when it begins: they come from the next registry, or the request may finish. */
  readonly inFlight: 'move' | 'finish';
  /** What a held circuit counts as; null for the other acts. */
  readonly as: 'open' | 'closed' | null;
  /** Whether the last candidate may be banned. */
  readonly force: boolean;
  /** Where it was said: by a call, or in the control file. */
  readonly origin: 'call' | 'file';
}
