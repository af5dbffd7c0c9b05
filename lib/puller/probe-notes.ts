import type { ImageTree } from '../failover/manifest/image-tree.js';
import type { Sources } from '../failover/sources.js';
import type { ProbeTargets } from '../health/probe/probe-targets.js';
import type { Reference } from '../image/reference.js';

/** What a pull has learnt. */
export interface SeenByPull {
  readonly reference: Reference;
  readonly sources: Sources;
  /** What the image consists of, as far as that is known. */
  readonly trees: Iterable<ImageTree>;
}

/** Notes what registries have served, and where they failed: a probe asks for the same again. */
export function noteForProbes(targets: ProbeTargets, { reference, sources, trees }: SeenByPull): void {
  const blobs = [...trees].flatMap(({ config, layers }) => [...layers, config]);
  for (const candidate of sources.candidates) {
    const { registry, repository } = candidate;
    const objects = sources.objectsOf(candidate);
    const served = blobs.filter(({ digest }) => objects.has(digest));
    const largest = served.toSorted((a, b) => b.size - a.size)[0];
    if (largest !== undefined && sources.isGood(candidate, 'layers')) {
      targets.served(registry, 'layers', { repository, object: largest.digest, size: largest.size });
    }
    const manifest = [reference.tag, reference.digest].flatMap((name) =>
      name !== null && objects.has(name) ? [name] : [],
    )[0];
    if (manifest !== undefined && sources.isGood(candidate, 'metadata')) {
      targets.served(registry, 'metadata', { repository, object: manifest });
    }
    const failed = sources.attempts.findLast(
      (attempt) => attempt.registry === registry && attempt.phase === 'layers' && attempt.verdict === 'ill',
    );
    const blob = blobs.find(({ digest }) => digest === failed?.object);
    if (failed !== undefined && blob !== undefined) {
      const offset = Math.min(failed.bytes, Math.max(0, blob.size - 1));
      targets.failedAt(registry, { repository, digest: blob.digest, size: blob.size, offset });
    }
  }
}
