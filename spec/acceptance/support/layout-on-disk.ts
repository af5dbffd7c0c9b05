import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { expect } from 'chai';
import type { TestImage, TestManifest } from '../../../lib/testing/index.js';

interface IndexEntry {
  readonly digest: string;
  readonly size: number;
  readonly mediaType: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** What is the library's own in a layout. */
const workFolder = '.pull-failover';

/** Where the layout keeps what it has not finished, and nothing else. */
const partialFolder = join(workFolder, 'partial');

/** The token of who holds the lock of the index: one file, which stays. */
const holderName = 'index.holder';

/**
 * Proves with nothing but the file system, as any other tool would, that a layout has an image of one platform whole
 * and right under this name.
 */
export async function expectImage(
  directory: string,
  name: string,
  image: TestImage,
  manifest: TestManifest | undefined = image.manifests[0],
): Promise<void> {
  if (manifest === undefined) throw new Error('an image has a manifest');
  expect(await namedDigest(directory, name), `what ${name} points to`).to.equal(image.digest);
  const wanted = [image.top, manifest].map(({ digest, bytes }) => ({ digest, sizeBytes: bytes.length }));
  for (const { digest, sizeBytes } of [...wanted, manifest.config, ...manifest.layers]) {
    expect(await readDigest(directory, digest), digest).to.deep.equal({ digest, sizeBytes });
  }
}

/** What a name of the index points to. */
export async function namedDigest(directory: string, name: string): Promise<string | null> {
  return (await readIndex(directory)).find((entry) => nameOf(entry) === name)?.digest ?? null;
}

/** Every name in the index. */
export async function imageNames(directory: string): Promise<readonly string[]> {
  return (await readIndex(directory)).map((entry) => nameOf(entry) ?? '');
}

async function readIndex(directory: string): Promise<readonly IndexEntry[]> {
  const index = JSON.parse(await readFile(join(directory, 'index.json'), 'utf8')) as {
    readonly manifests: readonly IndexEntry[];
  };
  return index.manifests;
}

function nameOf({ annotations }: IndexEntry): string | undefined {
  return annotations?.['org.opencontainers.image.ref.name'];
}

async function readDigest(
  directory: string,
  digest: string,
): Promise<{ readonly digest: string; readonly sizeBytes: number }> {
  const [algorithm = '', hex = ''] = digest.split(':');
  const hash = createHash(algorithm);
  let sizeBytes = 0;
  for await (const chunk of createReadStream(join(directory, 'blobs', algorithm, hex)) as AsyncIterable<Buffer>) {
    hash.update(chunk);
    sizeBytes += chunk.length;
  }
  return { digest: `${algorithm}:${hash.digest('hex')}`, sizeBytes };
}

/** The files of blobs that were begun and not finished. */
export async function partialFiles(directory: string): Promise<readonly string[]> {
  const names = await readdir(join(directory, partialFolder)).catch(() => []);
  return names.map((name) => join(directory, partialFolder, name));
}

/** Proves that a layout holds its own files, and neither a partial blob nor one that somebody forgot to remove. */
export async function expectTidy(directory: string): Promise<void> {
  expect(await strayFiles(directory)).to.deep.equal([]);
  expect(await partialFiles(directory)).to.deep.equal([]);
}

/** The files of a directory that belong neither to a layout nor to a blob that a later pull goes on with. */
export async function strayFiles(directory: string): Promise<readonly string[]> {
  const found = await readdir(directory, { recursive: true, withFileTypes: true }).catch(() => []);
  const files = found.filter((entry) => !entry.isDirectory());
  return files
    .map(({ parentPath, name }) => relative(directory, join(parentPath, name)))
    .filter((path) => !isOwn(path));
}

function isOwn(path: string): boolean {
  return (
    ['oci-layout', 'index.json', join(workFolder, holderName)].includes(path) ||
    path.startsWith(`${partialFolder}/`) ||
    /^blobs\/sha(?:256\/[0-9a-f]{64}|512\/[0-9a-f]{128})$/.test(path)
  );
}

/** The bytes of an image of one platform as they are fetched: its documents and blobs, each once. */
export function bytesOf(image: TestImage, manifest: TestManifest | undefined = image.manifests[0]): number {
  if (manifest === undefined) throw new Error('an image has a manifest');
  const sizes = new Map<string, number>();
  for (const { digest, bytes } of [image.top, manifest]) sizes.set(digest, bytes.length);
  for (const { digest, sizeBytes } of [manifest.config, ...manifest.layers]) sizes.set(digest, sizeBytes);
  return [...sizes.values()].reduce((sum, size) => sum + size, 0);
}
