import { createReadStream } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createDigester, digestAlgorithm, digestHex } from '../image/digest.js';
import type { TestImage } from '../testing/test-image.js';
import type { Digest } from '../vocabulary/digest.js';

/** What was found of one image in a layout on disk. */
export interface VerifiedImage {
  /** The host's name. */
  readonly host: string;
  readonly image: string;
  /** Manifests and blobs whose bytes are what their digest says. */
  readonly objects: number;
  readonly bytes: number;
  /** What is wrong, one sentence each; empty when the image is whole and right. */
  readonly problems: readonly string[];
}

/** What to look for. */
export interface ImageToVerify {
  readonly host: string;
  /** The name in the layout's index. */
  readonly name: string;
  /** What people call it. */
  readonly image: string;
  readonly expected: TestImage;
}

/**
 * Reads a layout with nothing but the file system, as any other tool would: the name must point to the image's digest,
 * and every byte of its manifests and blobs must be there.
 */
export async function verifyImage(directory: string, wanted: ImageToVerify): Promise<VerifiedImage> {
  const { host, name, image, expected } = wanted;
  const problems: string[] = [];
  const named = await digestOfName(directory, name);
  if (named !== expected.digest) {
    const found = named === null ? 'is not in index.json' : `is ${named} instead of ${expected.digest}`;
    problems.push(`${host}: ${image} ${found}`);
  }
  let objects = 0;
  let bytes = 0;
  for (const digest of [...expected.documents, ...expected.blobs].map((object) => object.digest)) {
    const found = await readBlob(directory, digest);
    if (found === null) problems.push(`${host}: ${image}: ${digest} is missing`);
    else if (found.digest !== digest) problems.push(`${host}: ${image}: ${digest} holds wrong bytes`);
    else {
      objects += 1;
      bytes += found.bytes;
    }
  }
  return { host, image, objects, bytes, problems };
}

/** The files that a finished layout has no use for: blobs that were begun and not completed. */
export async function findPartialBlobs(directory: string): Promise<readonly string[]> {
  const names = await readdir(join(directory, '.pull-failover', 'partial')).catch(() => []);
  return names.map((name) => join(directory, '.pull-failover', 'partial', name));
}

async function digestOfName(directory: string, name: string): Promise<string | null> {
  const index = JSON.parse(await readFile(join(directory, 'index.json'), 'utf8')) as {
    readonly manifests: readonly { readonly digest: string; readonly annotations?: Readonly<Record<string, string>> }[];
  };
  const entry = index.manifests.find(({ annotations }) => annotations?.['org.opencontainers.image.ref.name'] === name);
  return entry?.digest ?? null;
}

async function readBlob(
  directory: string,
  digest: Digest,
): Promise<{ readonly digest: Digest; readonly bytes: number } | null> {
  const algorithm = digestAlgorithm(digest);
  const digester = createDigester(algorithm);
  let bytes = 0;
  try {
    for await (const chunk of createReadStream(join(directory, 'blobs', algorithm, digestHex(digest)))) {
      digester.update(chunk as Uint8Array);
      bytes += (chunk as Uint8Array).length;
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  return { digest: digester.digest(), bytes };
}
