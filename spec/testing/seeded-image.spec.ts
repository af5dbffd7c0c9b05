import { expect } from 'chai';
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { gunzipSync } from 'node:zlib';
import { extract } from 'tar-stream';
import { gzipFramed, seededLayer } from '../../lib/testing/layer-archive.js';
import { divergedFrom, repackage, seededImage, type TestBlob, type TestImage } from '../../lib/testing/index.js';

const read = (blob: TestBlob, from?: number, to?: number): Buffer => Buffer.concat([...blob.read(from, to)]);
const json = (bytes: Uint8Array): Record<string, unknown> =>
  JSON.parse(Buffer.from(bytes).toString('utf8')) as Record<string, unknown>;
const sha256 = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
const first = (image: TestImage): TestBlob => image.layers[0] as TestBlob;

async function filesOf(archive: Buffer): Promise<readonly (readonly [string, number])[]> {
  const files: [string, number][] = [];
  const entries = extract();
  // Readers of archives go by blocks of 512 bytes; what fills a layer up to its size is no block.
  const blocks = archive.subarray(0, archive.length - (archive.length % 512));
  expect(archive.subarray(blocks.length).every((byte) => byte === 0)).to.equal(true);
  Readable.from([blocks]).pipe(entries);
  for await (const entry of entries) {
    let bytes = 0;
    for await (const chunk of entry) bytes += (chunk as Buffer).length;
    files.push([entry.header.name, bytes]);
  }
  return files;
}

describe('a seeded image', () => {
  it('has the same bytes on every machine', () => {
    expect(seededImage({ layers: 2, bytes: 5_000 }).digest).to.equal(
      'sha256:9ff8f6062e085ce7f7120c5b1f2b983a51f3a55d0798fb2d7eac848cb853dc8f',
    );
  });

  it('has as many layers of exactly as many bytes as asked for', () => {
    expect(seededImage({ layers: 3, bytes: 5_000 }).layers.map(({ sizeBytes }) => sizeBytes)).to.deep.equal([
      5_000, 5_000, 5_000,
    ]);
    expect(seededImage({ bytes: [0, 1, 2_047, 2_048, 2_049] }).layers.map((layer) => read(layer).length)).to.deep.equal(
      [0, 1, 2_047, 2_048, 2_049],
    );
    expect(seededImage({ layers: 0 }).layers).to.deep.equal([]);
    expect(seededImage().layers.map(({ sizeBytes }) => sizeBytes)).to.deep.equal([65_536]);
  });

  it('names what it holds by the right digests and sizes', () => {
    const image = seededImage({
      layers: 2,
      bytes: 5_000,
      platforms: ['linux/amd64', 'linux/arm64/v8'],
      attestations: true,
    });
    for (const blob of image.blobs) {
      expect(sha256(read(blob))).to.equal(blob.digest);
      expect(read(blob).length).to.equal(blob.sizeBytes);
    }
    for (const document of image.documents) expect(sha256(document.bytes)).to.equal(document.digest);
    expect(image.blobBytes).to.equal(10_000 + image.config.sizeBytes);
  });

  it('lists the digests of its unpacked layers, and unpacks', async () => {
    for (const compression of ['none', 'gzip'] as const) {
      const image = seededImage({ bytes: [2_048, 70_000, 200_000], compression });
      const unpacked = image.layers.map((layer) => (compression === 'gzip' ? gunzipSync(read(layer)) : read(layer)));
      const { rootfs } = json(read(image.config)) as { rootfs: { diff_ids: string[] } };
      expect(unpacked.map(sha256)).to.deep.equal(rootfs.diff_ids);
      const files = await Promise.all(unpacked.map(filesOf));
      expect(files.map((found) => found.map(([name]) => name).join())).to.deep.equal(Array(3).fill('seeded.bin'));
      expect(files[0]?.[0]?.[1]).to.equal(512);
      expect(files[2]?.[0]?.[1]).to.be.within(198_000, 200_000);
    }
  });

  it('reads any part as that part of the whole', () => {
    const sizes = [1, 16, 2_048, 65_535, 65_536, 65_537, 131_070, 200_000];
    for (const sizeBytes of sizes) {
      for (const source of [
        seededLayer('seed', 'file', sizeBytes),
        gzipFramed(seededLayer('seed', 'file', sizeBytes)),
      ]) {
        const whole = Buffer.concat([...source.read(0, source.sizeBytes)]);
        expect(whole.length).to.equal(source.sizeBytes);
        const offsets = [0, 1, 10, 15, 511, 512, 513, 65_535, 65_545, source.sizeBytes - 1, source.sizeBytes].filter(
          (offset) => offset >= 0 && offset <= source.sizeBytes,
        );
        for (const from of offsets) {
          for (const to of offsets) {
            const part = Buffer.concat([...source.read(from, to)]);
            expect(part.equals(whole.subarray(from, Math.max(from, to)))).to.equal(
              true,
              `${from} to ${to} of ${source.sizeBytes}`,
            );
          }
        }
      }
    }
  });

  it('reads the end of 8 GiB without the beginning', () => {
    const layer = seededLayer('large', 'file', 8 * 1024 ** 3);
    const end = Buffer.concat([...layer.read(layer.sizeBytes - 4_096, layer.sizeBytes - 2_048)]);
    expect(end.length).to.equal(2_048);
    expect(new Set(end).size).to.be.greaterThan(200);
    // The size of the one file in its header, in octal.
    const header = Buffer.concat([...layer.read(0, 512)]);
    expect(parseInt(header.toString('latin1', 124, 135), 8)).to.equal(8 * 1024 ** 3 - 1_536);
  });

  it('shares its first layers with another one of the same seed', () => {
    const [two, three] = [seededImage({ layers: 2, bytes: 5_000 }), seededImage({ layers: 3, bytes: 5_000 })];
    expect(three.layers.slice(0, 2).map(({ digest }) => digest)).to.deep.equal(two.layers.map(({ digest }) => digest));
    expect(first(seededImage({ bytes: 5_000, seed: 'other' })).digest).not.to.equal(first(two).digest);
  });

  it('has one manifest, or an index of one per platform', () => {
    expect(seededImage().mediaType).to.equal('application/vnd.oci.image.manifest.v1+json');
    const image = seededImage({ platforms: ['linux/amd64', 'linux/arm64/v8'] });
    expect(image.mediaType).to.equal('application/vnd.oci.image.index.v1+json');
    const { manifests } = json(image.top.bytes) as { manifests: { digest: string; platform: unknown }[] };
    expect(manifests.map(({ platform }) => platform)).to.deep.equal([
      { architecture: 'amd64', os: 'linux' },
      { architecture: 'arm64', os: 'linux', variant: 'v8' },
    ]);
    expect(manifests.map(({ digest }) => digest)).to.deep.equal(image.manifests.map(({ digest }) => digest));
    expect(image.manifests[0]?.digest).to.equal(seededImage().digest);
    expect(first(image).digest).not.to.equal(image.manifests[1]?.layers[0]?.digest);
  });

  it('marks attestations as buildx does', () => {
    const image = seededImage({ attestations: true });
    const { manifests } = json(image.top.bytes) as {
      manifests: { digest: string; platform: unknown; annotations?: Record<string, string> }[];
    };
    expect(manifests[1]?.platform).to.deep.equal({ architecture: 'unknown', os: 'unknown' });
    expect(manifests[1]?.annotations).to.deep.equal({
      'vnd.docker.reference.digest': image.manifests[0]?.digest,
      'vnd.docker.reference.type': 'attestation-manifest',
    });
    expect(image.documents.map(({ digest }) => digest)).to.include(manifests[1]?.digest);
  });

  it('comes in the types of Docker', () => {
    const image = seededImage({ mediaTypes: 'docker', platforms: ['linux/amd64'], compression: 'gzip' });
    expect(image.mediaType).to.equal('application/vnd.docker.distribution.manifest.list.v2+json');
    expect(image.manifests[0]?.mediaType).to.equal('application/vnd.docker.distribution.manifest.v2+json');
    expect(image.config.mediaType).to.equal('application/vnd.docker.container.image.v1+json');
    expect(first(image).mediaType).to.equal('application/vnd.docker.image.rootfs.diff.tar.gzip');
  });

  it('can name one layer several times', () => {
    const image = seededImage({ layers: 3, bytes: 5_000, sameLayers: true });
    expect(new Set(image.layers.map(({ digest }) => digest)).size).to.equal(1);
    expect(image.layers).to.have.length(3);
    expect(image.blobBytes).to.equal(5_000 + image.config.sizeBytes);
  });

  it('can be addressed by sha512, and carry fields of its own', () => {
    const image = seededImage({ digests: 'sha512', config: { author: 'specs' } });
    for (const { digest } of [...image.documents, ...image.blobs]) expect(digest).to.match(/^sha512:[0-9a-f]{128}$/);
    expect(json(read(image.config))).to.include({ author: 'specs', os: 'linux' });
  });

  it('repackaged has the same config, and no other digest in common', () => {
    for (const image of [
      seededImage({ layers: 2, bytes: 5_000 }),
      seededImage({ bytes: 5_000, compression: 'gzip' }),
    ]) {
      const other = repackage(image);
      expect(other.config.digest).to.equal(image.config.digest);
      expect(other.digest).not.to.equal(image.digest);
      const layersOf = ({ layers }: TestImage): readonly string[] => layers.map(({ digest }) => digest);
      expect(layersOf(other)).not.to.have.any.members(layersOf(image));
      expect(repackage(other).digest).to.equal(image.digest);
    }
  });

  it('diverged has the same shape, and no digest in common', () => {
    const image = seededImage({ layers: 2, bytes: 5_000, platforms: ['linux/amd64'] });
    const other = divergedFrom(image);
    const digestsOf = ({ documents, blobs }: TestImage): readonly string[] =>
      [...documents, ...blobs].map(({ digest }) => digest);
    expect(digestsOf(other)).to.have.length(digestsOf(image).length);
    expect(digestsOf(other)).not.to.have.any.members(digestsOf(image));
  });

  for (const [option, options] of [
    ['layers', { layers: -1 }],
    ['layers', { layers: 2, bytes: [1] }],
    ['bytes', { bytes: -1 }],
    ['bytes', { bytes: 1.5 }],
    ['bytes', { bytes: 8 * 1024 ** 3 + 1 }],
    ['platforms', { platforms: [] }],
    ['size', { size: 5 }],
    ['mediaTypes', { mediaTypes: 'oci2' }],
  ] as const) {
    it(`refuses the option ${JSON.stringify(options)} by name`, () => {
      expect(() => seededImage(options as object))
        .to.throw()
        .with.property('option', option);
    });
  }

  it('has variants only when it was made here', () => {
    const copy = { ...seededImage() };
    for (const vary of [repackage, divergedFrom]) expect(() => vary(copy)).to.throw(TypeError);
  });
});
