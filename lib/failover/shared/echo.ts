import type { Digest } from '../../vocabulary/digest.js';
import type { HeartContext } from '../context.js';

/**
 * Lets a pull see a fetch that another one carries out as its own: attempts, failovers, bytes and what
 * became of them, hedges, connections. Returns what ends it.
 */
export function echo(from: HeartContext, to: HeartContext, blob: Digest): () => void {
  if (from.sources === to.sources) return () => {};
  const { sources, observer } = to;
  return from.sources.listen(blob, {
    failed: ({ candidate, ...failure }) => {
      sources.failedElsewhere({ ...failure, registry: candidate.registry });
    },
    movedOver: (failover) => {
      sources.movedOver({ ...failover, object: blob });
    },
    delivered: ({ registry }, bytes) => {
      sources.deliveredElsewhere(registry, blob, bytes);
      observer.bytesArrived(registry, 'layers', blob, bytes);
    },
    wasted: ({ registry }, bytes) => {
      sources.wastedElsewhere(registry, blob, bytes);
    },
    hedged: ({ registry }, how) => {
      sources.hedgedElsewhere(registry, blob, how);
    },
    connected: ({ registry }) => sources.connectedElsewhere(registry, blob),
  });
}
