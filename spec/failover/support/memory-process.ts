/** The process whose memory `memory.spec.ts` measures: fetches one blob after a small one, and tells how much it took. */
import { setTimeout as pause } from 'node:timers/promises';
import type { BlobSink } from '../../../lib/engine/blob-sink.js';
import type { BlobStore } from '../../../lib/engine/engine.js';
import { fetchBlob } from '../../../lib/failover/blob/fetch-blob.js';
import { SharedFetches } from '../../../lib/failover/shared/shared-fetch.js';
import { parseDigest } from '../../../lib/image/digest.js';
import { closeHeartRigs, type HeartPull, openHeartRig } from './heart-rig.js';

/** What to fetch, how, and at which pace. */
export interface MemoryOrder {
  readonly host: string;
  readonly small: { readonly digest: string; readonly size: number };
  readonly large: { readonly digest: string; readonly size: number };
  /** The pace of each sink's disk in bytes per second; several share one fetch. */
  readonly bytesPerSecond: readonly (number | null)[];
}

/** Megabytes of resident memory, before the large blob and at its peak. */
export interface MemoryMeasured {
  readonly beforeMb: number;
  readonly peakMb: number;
}

function sinkOf(bytesPerSecond: number | null): BlobSink {
  return {
    kept: 0,
    readKept: async function* () {},
    write: async (chunk) => {
      if (bytesPerSecond !== null) await pause((chunk.length * 1_000) / bytesPerSecond);
    },
    restart: async () => {},
    commit: async () => {},
    release: async () => {},
  };
}

function storeOf(bytesPerSecond: number | null): BlobStore {
  return {
    hasBlob: async () => false,
    openBlob: async () => sinkOf(bytesPerSecond),
    // oxlint-disable-next-line require-yield
    streamBlob: async function* () {
      throw new Error('nothing is kept here');
    },
  };
}

const order = JSON.parse(process.argv[2] ?? '') as MemoryOrder;
const megabytes = (): number => process.memoryUsage.rss() / 2 ** 20;

async function fetchInto(pull: () => HeartPull, blob: MemoryOrder['large']): Promise<void> {
  const digest = parseDigest(blob.digest);
  if (digest === null) throw new Error('not a digest');
  const wanted = { digest, size: blob.size, mediaType: 'application/octet-stream' };
  const [only, ...others] = order.bytesPerSecond;
  if (others.length === 0) {
    await fetchBlob(pull().context, wanted, sinkOf(only ?? null));
    return;
  }
  const shared = new SharedFetches();
  await Promise.all(
    order.bytesPerSecond.map((pace) =>
      shared.fetch(pull().context, { blob: wanted, key: 'key', store: storeOf(pace) }),
    ),
  );
}

async function main(): Promise<void> {
  const rig = await openHeartRig({ registries: [{ host: order.host }], timeouts: {} });
  await fetchInto(rig.openPull, order.small);
  globalThis.gc?.();
  const beforeMb = megabytes();
  let peakMb = beforeMb;
  const timer = setInterval(() => {
    peakMb = Math.max(peakMb, megabytes());
  }, 20);
  await fetchInto(rig.openPull, order.large);
  peakMb = Math.max(peakMb, megabytes());
  clearInterval(timer);
  await closeHeartRigs();
  const measured: MemoryMeasured = { beforeMb, peakMb };
  process.stdout.write(JSON.stringify(measured));
}

void main();
