import { readFile, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { findPartialBlobs, verifyImage } from '../../lib/drill/verify-layout.js';
import { ociLayout } from '../../lib/engine/layout/oci-layout.js';
import { divergedFrom, seededImage } from '../../lib/testing/seeded-image.js';
import type { TestBlob } from '../../lib/testing/test-image.js';
import type { Digest } from '../../lib/vocabulary/digest.js';
import { useTemporaryDirectory } from '../support/temporary-directory.js';

const image = seededImage({ bytes: [70_000, 9_000], seed: 'verified' });
const name = 'quay.io/aptible/verified:1';
const layer = image.layers[0];

describe('an image read back from disk', () => {
  const temporary = useTemporaryDirectory();
  let directory = '';
  beforeEach(async () => {
    directory = temporary.path;
    await using layout = ociLayout(directory);
    for (const blob of image.blobs) await layout.putBlob(contentOf(blob), blob.digest);
    for (const { bytes, digest } of image.documents) await layout.putBlob(bytes, digest);
    await layout.nameImage(name, { mediaType: image.mediaType, digest: image.digest, size: image.top.bytes.length });
  });

  const verify = (expected = image) => verifyImage(directory, { host: 'host-1', name, image: 'verified:1', expected });
  const pathOf = (digest: Digest): string => join(directory, 'blobs', digest.replace(':', '/'));

  it('is right when its name points to it and every byte is what its digest says', async () => {
    const found = await verify();
    const sizes = [...image.blobs.map(({ sizeBytes }) => sizeBytes), image.top.bytes.length];
    expect(found).to.deep.equal({
      host: 'host-1',
      image: 'verified:1',
      objects: sizes.length,
      bytes: sizes.reduce((sum, size) => sum + size, 0),
      problems: [],
    });
  });

  const last = (layer?.sizeBytes ?? 0) - 1;
  for (const at of [0, 1, Math.floor(last / 2), last - 1, last]) {
    it(`is wrong when byte ${at} of a layer is another one`, async () => {
      const path = pathOf(layer?.digest ?? image.digest);
      const bytes = await readFile(path);
      bytes[at] = (bytes[at] ?? 0) ^ 1;
      await writeFile(path, bytes);
      expect((await verify()).problems).to.deep.equal([`host-1: verified:1: ${layer?.digest} holds wrong bytes`]);
    });
  }

  it('is wrong when a layer is cut short, or longer', async () => {
    const path = pathOf(layer?.digest ?? image.digest);
    const bytes = await readFile(path);
    for (const content of [bytes.subarray(0, -1), Buffer.concat([bytes, Buffer.of(0)])]) {
      await writeFile(path, content);
      expect((await verify()).problems).to.have.length(1);
    }
  });

  it('is wrong when a blob or its manifest is missing', async () => {
    for (const digest of [image.config.digest, image.digest]) {
      await unlink(pathOf(digest));
      expect((await verify()).problems).to.include(`host-1: verified:1: ${digest} is missing`);
    }
  });

  it('is wrong when its name points to another image, or to none', async () => {
    const other = divergedFrom(image);
    expect((await verify(other)).problems[0]).to.equal(
      `host-1: verified:1 is ${image.digest} instead of ${other.digest}`,
    );
    await writeFile(join(directory, 'index.json'), '{"schemaVersion":2,"manifests":[]}');
    expect((await verify()).problems).to.deep.equal(['host-1: verified:1 is not in index.json']);
  });

  it('is told apart from blobs that were begun and not completed', async () => {
    expect(await findPartialBlobs(directory)).to.deep.equal([]);
    await using layout = ociLayout(directory);
    const wanted = { digest: divergedFrom(image).digest, size: 1_000, mediaType: 'application/octet-stream' };
    const sink = await layout.openBlob(wanted, { signal: new AbortController().signal, pullId: 'p' });
    await sink?.write(Buffer.alloc(10));
    await sink?.release();
    expect(await findPartialBlobs(directory)).to.have.length(1);
  });
});

function contentOf(blob: TestBlob): Uint8Array {
  return Buffer.concat([...blob.read()]);
}
