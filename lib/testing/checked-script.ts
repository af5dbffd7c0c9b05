import { InvalidOptionError } from '../errors/invalid-option-error.js';
import type { PullFailoverError } from '../errors/pull-failover-error.js';
import type { Digest } from '../vocabulary/digest.js';
import type { RegistryPhase } from '../vocabulary/phase.js';
import type { PullBytes, Resolution, Served } from '../vocabulary/report.js';
import type { HoldDoor, RegistryMishap } from './pull-script.js';

/** A step that can be played: nothing is left to a default. */
export type CheckedStep =
  | {
      readonly kind: 'registry-fails';
      readonly registry: string;
      readonly phase: RegistryPhase;
      readonly because: RegistryMishap;
    }
  | {
      readonly kind: 'fail-over';
      readonly from: string;
      readonly to: string;
      readonly phase: RegistryPhase;
      readonly because: RegistryMishap;
      readonly bytesKept: number;
    }
  | { readonly kind: 'park' }
  | { readonly kind: 'hold'; readonly door: HoldDoor }
  | CheckedSuccess
  | { readonly kind: 'succeed-from-cache' }
  | { readonly kind: 'exhaust'; readonly retryAfterMs: number | null }
  | { readonly kind: 'exceed-deadline' }
  | { readonly kind: 'fail'; readonly error: PullFailoverError }
  | { readonly kind: 'never-end' };

/** The end of a pull that succeeds; null where the pull itself decides. */
export interface CheckedSuccess {
  readonly kind: 'succeed';
  readonly digest: Digest | null;
  readonly manifestDigest: Digest | null;
  readonly imageId: string | null;
  readonly resolution: Resolution | null;
  readonly bytes: PullBytes;
  readonly served: readonly Served[] | null;
}

const ends: ReadonlySet<string> = new Set([
  'succeed',
  'succeed-from-cache',
  'exhaust',
  'exceed-deadline',
  'fail',
  'never-end',
]);

/** Holds what must be true of a script as a whole. @throws InvalidOptionError */
export function checkScriptRules(steps: readonly CheckedStep[]): void {
  checkEnd(steps);
  checkOrder(steps);
  checkFailovers(steps);
}

function checkEnd(steps: readonly CheckedStep[]): void {
  const at = steps.flatMap(({ kind }, index) => (ends.has(kind) ? [index] : []));
  if (at.length === 1 && at[0] === steps.length - 1) return;
  throw new InvalidOptionError(
    'script',
    at.length === 0
      ? `must end: the last step is one of ${[...ends].join(', ')}`
      : `must have one end, as its last step, got ${steps.map(({ kind }) => kind).join(', ')}`,
  );
}

/** Layers come after metadata; a parked pull begins again. Nobody is exhausted by registries that never failed. */
function checkOrder(steps: readonly CheckedStep[]): void {
  let phase: RegistryPhase = 'metadata';
  let failures = 0;
  for (const step of steps) {
    switch (step.kind) {
      case 'registry-fails':
      case 'fail-over':
        if (phase === 'layers' && step.phase === 'metadata') {
          throw new InvalidOptionError('script', 'must not go back to metadata once layers are fetched');
        }
        ({ phase } = step);
        failures += 1;
        break;
      case 'park':
        if (failures === 0)
          throw new InvalidOptionError('script', 'must let a registry fail before the pull is parked');
        phase = 'metadata';
        break;
      case 'exhaust':
        if (failures === 0 && step.retryAfterMs === null) {
          throw new InvalidOptionError('script', 'must let a registry fail before the pull is exhausted');
        }
        break;
      default:
        break;
    }
  }
}

function checkFailovers(steps: readonly CheckedStep[]): void {
  const seen = new Set<string>();
  for (const step of steps) {
    if (step.kind !== 'fail-over') continue;
    const key = `${step.phase} from ${step.from} to ${step.to}`;
    if (seen.has(key)) throw new InvalidOptionError('script', `must tell a failover once, got ${key} twice`);
    seen.add(key);
  }
}
