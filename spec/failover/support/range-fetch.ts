import { expect } from 'chai';
import type { WantedBlob } from '../../../lib/failover/blob/assembly.js';
import { fetchBlob } from '../../../lib/failover/blob/fetch-blob.js';
import { type Fault, seededImage, type TestBlob, type TestImage } from '../../../lib/testing/index.js';
import {
  type HeartPull,
  type HeartRig,
  type HeartRigOptions,
  openHeartRig,
  type RigRegistry,
  untilQuiet,
} from './heart-rig.js';
import { memorySink, type MemorySink, type MemorySinkOptions } from './memory-sink.js';

export const kibibyte = 1_024;
export const rangeBytes: number = 64 * kibibyte;
/** Four ranges: none of them grows. */
export const windowBytes: number = 4 * rangeBytes;

/** An image of one layer that is fetched in about sixteen ranges. */
export const largeImage: TestImage = seededImage({ bytes: 16 * rangeBytes, seed: 'ranges' });
export const largeBlob: TestBlob = largeImage.layers[0] ?? largeImage.config;
export const size: number = largeBlob.sizeBytes;
export const right: Buffer = Buffer.concat([...largeBlob.read()]);
export const wanted: WantedBlob = { digest: largeBlob.digest, size };

/** A blob that was fetched in ranges, and everything that took part. */
export interface FetchedRanges {
  readonly rig: HeartRig;
  readonly pull: HeartPull;
  readonly sink: MemorySink;
}

export type RangeOptions = MemorySinkOptions & Omit<HeartRigOptions, 'registries'>;

/** Four connections, and ranges of 64 KiB, unless told otherwise. */
export function openRangeRig(
  registries: readonly (RigRegistry | readonly Fault[])[],
  options: RangeOptions = {},
): Promise<HeartRig> {
  const { transfer, ...others } = options;
  return openHeartRig({
    image: largeImage,
    connections: 4,
    registries,
    transfer: { rangeBytes, windowBytes, ...transfer },
    ...others,
  });
}

/** Fetches the blob in one pull of its own, and holds it to its bytes and to giving everything back. */
export async function fetchInRanges(
  registries: readonly (RigRegistry | readonly Fault[])[],
  options: RangeOptions = {},
): Promise<FetchedRanges> {
  const rig = await openRangeRig(registries, options);
  const pull = rig.openPull();
  const sink = memorySink(options);
  await fetchBlob(pull.context, wanted, sink);
  expect(sink.content.equals(right), 'the bytes are right').to.equal(true);
  expect(sink.isCommitted).to.equal(true);
  await untilQuiet(rig.doubles);
  expectAllGivenBack(rig, pull);
  return { rig, pull, sink };
}

/** Holds a pull that has ended to using nothing any more: no connection, no memory ahead. */
export function expectAllGivenBack(rig: HeartRig, { context: { transfer }, sources }: HeartPull): void {
  const { maxConnections, maxWindowBytes } = transfer.settings;
  const claim = { kind: 'spec', pullId: 'spec' };
  const permits = Array.from({ length: maxConnections }, () => rig.budget.tryConnection(claim));
  expect(
    permits.every((permit) => permit !== null),
    'every connection is free',
  ).to.equal(true);
  const memory = rig.budget.tryWindow(claim, maxWindowBytes);
  expect(memory, 'all memory is free').to.not.equal(null);
  for (const permit of [...permits, memory]) permit?.release();
  for (const candidate of rig.candidates) expect(sources.connectionsTo(candidate)).to.equal(0);
}

/** Body bytes that all registries sent together. */
export function allBytesSent(rig: HeartRig): number {
  return rig.doubles.reduce((sum, { bytesSent }) => sum + bytesSent, 0);
}
