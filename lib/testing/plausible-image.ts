import { digestOf } from '../image/digest.js';
import type { Digest } from '../vocabulary/digest.js';
import type { RegistryPhase } from '../vocabulary/phase.js';
import type { Served } from '../vocabulary/report.js';

/** An image of about 20 MB, as most of a platform's are. */
export const plausibleTotalBytes = 20_000_000;
/** How far a layer has come when its registry fails. */
export const plausibleBytesKept = 6_000_000;
/** A manifest of a few layers. */
const manifestBytes = 1_000;

/** Bytes of layers that a registry brought before it lost the work. */
export interface Contribution {
  readonly registry: string;
  readonly bytes: number;
}

/** A digest of nothing that exists, the same on every machine. */
export function digestFor(what: 'manifest' | 'config' | 'layer', image: string): Digest {
  return digestOf(Buffer.from(`the ${what} of ${image} at a puller double`));
}

/** Lets everybody who had work have brought a share of what was fetched. */
export function sharesOf(
  fetched: number,
  holders: Readonly<Record<RegistryPhase, string>>,
  brought: readonly Contribution[],
): readonly Served[] {
  const sums = new Map<string, Served>();
  let left = fetched;
  for (const { registry, phase, bytes: wanted } of [
    { registry: holders.metadata, phase: 'metadata', bytes: manifestBytes },
    ...brought.map((contribution) => ({ ...contribution, phase: 'layers' })),
    { registry: holders.layers, phase: 'layers', bytes: fetched },
  ] as const) {
    const bytes = Math.min(wanted, left);
    if (bytes === 0) continue;
    left -= bytes;
    const sum = sums.get(registry);
    sums.set(registry, {
      registry,
      objects: (sum?.objects ?? 0) + 1,
      bytes: bytes + (sum?.bytes ?? 0),
      wastedBytes: 0,
      // Of manifests nobody counts them.
      connections: phase === 'layers' ? 1 : (sum?.connections ?? 0),
      hedges: { won: 0, lost: 0 },
    });
  }
  return [...sums.values()];
}
