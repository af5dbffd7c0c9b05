import type { Digest } from '../../vocabulary/digest.js';
import type { Candidate } from '../candidate.js';
import type { HeartContext } from '../context.js';
import type { SourcesListener } from '../object-listeners.js';
import type { Sources } from '../sources.js';

/**
 * Lets a pull see a fetch that another one carries out as its own: attempts, failovers, bytes and what
 * became of them, hedges, connections. Returns what ends it.
 */
export function echo(from: HeartContext, to: HeartContext, blob: Digest): () => void {
  if (from.sources === to.sources) return () => {};
  const { sources, observer } = to;
  const retelling = retellTo(sources, blob);
  return from.sources.listen(blob, {
    ...retelling,
    delivered: (candidate, bytes) => {
      retelling.delivered(candidate, bytes);
      observer.bytesArrived(candidate.registry, 'layers', blob, bytes);
    },
  });
}

/** Tells a pull's view what another one is told of one object; of a registry that is not in its plan, nothing. */
export function retellTo(sources: Sources, object: string): SourcesListener {
  /** The other pull's candidates are other objects. */
  const own = ({ registry }: Candidate, tell: (candidate: Candidate) => void): void => {
    const candidate = sources.named(registry);
    if (candidate !== undefined) tell(candidate);
  };
  return {
    failed: (failure) => own(failure.candidate, (candidate) => sources.failedElsewhere({ ...failure, candidate })),
    movedOver: (failover) => sources.movedOver({ ...failover, object }),
    delivered: (theirs, bytes) => own(theirs, (candidate) => sources.delivered(candidate, 'layers', object, bytes)),
    wasted: (theirs, bytes) => own(theirs, (candidate) => sources.wasted(candidate, object, bytes)),
    hedged: (theirs, how) => own(theirs, (candidate) => sources.hedged(candidate, object, how)),
    connected: ({ registry }) => {
      const candidate = sources.named(registry);
      return candidate === undefined ? () => {} : sources.connected(candidate, object);
    },
  };
}
