import type { ImageTree } from '../failover/manifest/image-tree.js';
import type { Sources } from '../failover/sources.js';
import type { ProbeTargets } from '../health/probe/probe-targets.js';
import type { Descriptor } from '../image/descriptor.js';
import type { Reference } from '../image/reference.js';
import type { Attempt } from '../vocabulary/report.js';

/** What a pull has learnt. */
export interface SeenByPull {
  readonly reference: Reference;
  readonly sources: Sources;
  /** What the image consists of, as far as that is known. */
  readonly trees: Iterable<ImageTree>;
}

/** Notes what registries have served: a probe asks for the same again. */
export function noteServed(targets: ProbeTargets, { reference, sources, trees }: SeenByPull): void {
  for (const candidate of sources.candidates) {
    const { registry, repository } = candidate;
    const objects = sources.objectsOf(candidate);
    if (sources.isGood(candidate, 'layers')) {
      const served = blobsOf(trees).filter(({ digest }) => objects.has(digest));
      const [largest] = served.toSorted((a, b) => b.size - a.size);
      if (largest !== undefined) {
        targets.served(registry, 'layers', { repository, object: largest.digest, size: largest.size });
      }
    }
    if (sources.isGood(candidate, 'metadata')) {
      const manifest = [reference.tag, reference.digest].find((name) => name !== null && objects.has(name)) ?? null;
      if (manifest !== null) targets.served(registry, 'metadata', { repository, object: manifest });
    }
  }
}

/** Notes where a registry failed with a blob: a probe looks there. The limit of one that was overtaken may expire after its pull. */
export function noteFailed(
  targets: ProbeTargets,
  { registry, phase, verdict, object, bytes }: Attempt,
  { sources, trees }: Omit<SeenByPull, 'reference'>,
): void {
  if (phase !== 'layers' || verdict !== 'ill') return;
  const blob = blobsOf(trees).find(({ digest }) => digest === object);
  const repository = sources.named(registry)?.repository;
  if (blob === undefined || repository === undefined) return;
  const offset = Math.min(bytes, Math.max(0, blob.size - 1));
  targets.failedAt(registry, { repository, digest: blob.digest, size: blob.size, offset });
}

function blobsOf(trees: Iterable<ImageTree>): readonly Descriptor[] {
  return [...trees].flatMap(({ config, layers }) => [...layers, config]);
}
