import type { BlobAnswer, BlobRequest, RegistryClient } from '../../../lib/distribution/client.js';
import { ExchangeError } from '../../../lib/distribution/wire-error.js';
import { monotonicMs } from '../../../lib/clock/time.js';
import { sleep } from '../../../lib/policy/deadline.js';
import type { Evidence } from '../../../lib/vocabulary/evidence.js';
import type { RegistryPhase } from '../../../lib/vocabulary/phase.js';

/** How a staged registry answers. */
export type StagedMood = 'well' | 'silent' | Evidence;

/** A registry without a network, for specs in which time is moved by hand: it writes down when it was asked for what. */
export interface StagedRegistry {
  readonly client: Pick<RegistryClient, 'openBlob' | 'headManifest'>;
  readonly asked: readonly {
    readonly atMs: number;
    readonly phase: RegistryPhase;
    /** That were asked for. */
    readonly bytes: number;
    /** That were sent. */
    readonly sentBytes: number;
  }[];
  /** Requests that are being answered now. */
  readonly open: number;
  mood: StagedMood | ((nowMs: number, phase: RegistryPhase) => StagedMood);
}

export const broken: Evidence = { kind: 'status', status: 500, from: 'registry', specCodes: [] };

export function stageRegistry(mood: StagedRegistry['mood'] = 'well'): StagedRegistry {
  const asked: StagedRegistry['asked'][number][] = [];
  let open = 0;

  async function answer(
    phase: RegistryPhase,
    bytes: number,
    limit: 'metadata.requestMs' | 'layers.firstByteMs',
    limitMs: number,
    signal: AbortSignal,
  ): Promise<void> {
    const nowMs = monotonicMs();
    const mood = typeof registry.mood === 'function' ? registry.mood(nowMs, phase) : registry.mood;
    asked.push({ atMs: nowMs, phase, bytes, sentBytes: mood === 'well' ? bytes : 0 });
    if (mood === 'well') return;
    if (mood !== 'silent') throw new ExchangeError('as staged', { evidence: mood, phase });
    open += 1;
    try {
      await sleep(limitMs, signal);
    } finally {
      open -= 1;
    }
    throw new ExchangeError('late', { evidence: { kind: 'limit', limit, value: limitMs, bytes: 0 }, phase });
  }

  const registry: StagedRegistry = {
    asked,
    get open() {
      return open;
    },
    mood,
    client: {
      headManifest: async ({ requestMs, signal }) => {
        await answer('metadata', 0, 'metadata.requestMs', requestMs, signal);
        return { digest: null, mediaType: null, size: null };
      },
      openBlob: async ({ from, to, size, firstByteMs, signal }: BlobRequest): Promise<BlobAnswer> => {
        const length = (to ?? size) - from;
        await answer('layers', length, 'layers.firstByteMs', firstByteMs, signal);
        let left = length;
        return {
          start: from,
          length,
          answerer: 'storage',
          body: {
            read: () => {
              const chunk = left === 0 ? null : new Uint8Array(left);
              left = 0;
              return Promise.resolve(chunk);
            },
            get bytes() {
              return length - left;
            },
            lateMs: 0,
            cancel: () => {},
          },
        };
      },
    },
  };
  return registry;
}
