import { expect } from 'chai';
import { fetchBlob } from '../../../lib/failover/blob/fetch-blob.js';
import type { WantedBlob } from '../../../lib/failover/blob/assembly.js';
import type { Fault, LoggedRequest, TestBlob } from '../../../lib/testing/index.js';
import {
  type HeartPull,
  type HeartRig,
  type HeartRigOptions,
  type Name,
  openHeartRig,
  type RigRegistry,
  smallImage,
  untilQuiet,
} from './heart-rig.js';
import { memorySink, type MemorySink, type MemorySinkOptions } from './memory-sink.js';

/** The blob that the specs of one blob fetch. */
export const blob: TestBlob = smallImage.layers[0] ?? smallImage.config;
export const size: number = blob.sizeBytes;
export const mid: number = Math.floor(size / 2);
export const right: Buffer = Buffer.concat([...blob.read()]);
export const wanted: WantedBlob = { digest: blob.digest, size };

/** Where a source may end: before the first byte, around the middle, and at either side of the last byte. */
export const offsets: readonly { readonly name: string; readonly at: number }[] = [
  { name: 'byte 0', at: 0 },
  { name: 'byte 1', at: 1 },
  { name: 'the middle', at: mid },
  { name: 'the last byte but one', at: size - 2 },
  { name: 'the last byte', at: size - 1 },
];

/** A blob that was fetched, and everything that took part. */
export interface Fetched {
  readonly rig: HeartRig;
  readonly pull: HeartPull;
  readonly sink: MemorySink;
}

/** Fetches the blob in one pull of its own from these registries, and holds it to its bytes. */
export async function fetchFrom(
  registries: readonly (RigRegistry | readonly Fault[])[],
  options: MemorySinkOptions & Omit<HeartRigOptions, 'registries'> = {},
): Promise<Fetched> {
  const rig = await openHeartRig({ registries, ...options });
  const pull = rig.openPull();
  const sink = memorySink(options);
  await fetchBlob(pull.context, wanted, sink);
  await untilQuiet(rig.doubles);
  expect(sink.content.equals(right), 'the bytes are right').to.equal(true);
  expect(sink.isCommitted).to.equal(true);
  return { rig, pull, sink };
}

/** The requests for blobs that reached one registry, or its storage. */
export function blobRequests(rig: HeartRig, name: Name): readonly LoggedRequest[] {
  return rig.double(name).requests.filter(({ kind }) => kind === 'blob' || kind === 'storage');
}

/** The byte at which each request for a blob began. */
export function starts(rig: HeartRig, name: Name): readonly number[] {
  return blobRequests(rig, name).map(({ range }) => range?.start ?? 0);
}

/** Body bytes each registry sent, in the order of the plan. */
export function bytesSent(rig: HeartRig): readonly number[] {
  return rig.doubles.map((double) => double.bytesSent);
}
