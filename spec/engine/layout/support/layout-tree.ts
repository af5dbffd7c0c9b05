import { createHash } from 'node:crypto';
import { lstat, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';

/** The names of the partial blobs in a layout. */
export async function partialNames(directory: string): Promise<string[]> {
  return readdir(join(directory, '.pull-failover', 'partial')).catch(() => []);
}

/** Every file of the layout that readers see, relative to it. */
export async function visibleFiles(directory: string): Promise<string[]> {
  const files: string[] = [];
  for (const name of await readdir(directory, { recursive: true })) {
    if (name.startsWith('.pull-failover')) continue;
    if ((await lstat(join(directory, name))).isFile()) files.push(name);
  }
  return files.toSorted();
}

/**
 * Checks the directory as the specification words it: the marker, the index, and that every blob is what its name
 * says. Whatever happened to a layout, this holds.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md
 */
export async function expectValidLayout(directory: string): Promise<void> {
  const marker = JSON.parse(await readFile(join(directory, 'oci-layout'), 'utf8')) as unknown;
  expect(marker).to.deep.equal({ imageLayoutVersion: '1.0.0' });
  const index = JSON.parse(await readFile(join(directory, 'index.json'), 'utf8')) as Record<string, unknown>;
  expect(index['schemaVersion']).to.equal(2);
  expect(index['mediaType']).to.equal('application/vnd.oci.image.index.v1+json');
  expect(index['manifests']).to.be.an('array');
  expect(await readdir(directory)).to.have.members(['.pull-failover', 'blobs', 'index.json', 'oci-layout']);
  for (const algorithm of await readdir(join(directory, 'blobs'))) {
    expect(algorithm).to.be.oneOf(['sha256', 'sha512']);
    for (const hex of await readdir(join(directory, 'blobs', algorithm))) {
      const bytes = await readFile(join(directory, 'blobs', algorithm, hex));
      expect(createHash(algorithm).update(bytes).digest('hex')).to.equal(hex);
    }
  }
}
