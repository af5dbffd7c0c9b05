import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import fc from 'fast-check';
import { extract, type Header } from 'tar-stream';
import { dockerArchive } from '../../../lib/engine/docker/docker-archive.js';
import { ociArchive } from '../../../lib/engine/docker/oci-archive.js';
import { type ArchiveEntry, smallEntry, tarArchive } from '../../../lib/engine/docker/tar-archive.js';
import { digestHex } from '../../../lib/image/digest.js';
import { seededImage, type TestBlob } from '../../../lib/testing/index.js';
import type { Digest } from '../../../lib/vocabulary/digest.js';
import { failureOf } from '../../support/failure-of.js';
import { useTemporaryDirectory } from '../../support/temporary-directory.js';

/** What an archive holds, in its order. */
async function unpack(
  archive: AsyncIterable<Uint8Array>,
): Promise<readonly { readonly header: Header; readonly bytes: Buffer }[]> {
  const files: { header: Header; bytes: Buffer }[] = [];
  const reader = extract();
  reader.on('entry', (header, stream, next) => {
    const chunks: Buffer[] = [];
    stream.on('data', (chunk) => chunks.push(chunk as Buffer));
    stream.on('end', () => {
      files.push({ header, bytes: Buffer.concat(chunks) });
      next();
    });
  });
  const finished = once(reader, 'finish');
  for await (const chunk of archive) reader.write(chunk);
  reader.end(null);
  await finished;
  return files;
}

async function bytesOf(archive: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of archive) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const entry = (name: string, size: number, ...chunks: readonly Uint8Array[]): ArchiveEntry => ({
  name,
  size,
  content: (async function* read() {
    yield* chunks;
  })(),
});

describe('a tar archive', () => {
  const directory = useTemporaryDirectory();

  it('is read by tar', async () => {
    const path = join(directory.path, 'a.tar');
    const archive = tarArchive([
      smallEntry('one', 'first'),
      smallEntry('empty', ''),
      entry('blobs/two', 5_000, Buffer.alloc(3_000, 'x'), Buffer.alloc(2_000, 'y')),
    ]);
    await writeFile(path, await bytesOf(archive));
    expect(execFileSync('tar', ['-tf', path], { encoding: 'utf8' })).to.equal('one\nempty\nblobs/two\n');
    expect(execFileSync('tar', ['-xOf', path, 'one'], { encoding: 'utf8' })).to.equal('first');
    expect(execFileSync('tar', ['-xOf', path, 'blobs/two'])).to.have.length(5_000);
  });

  it('holds what it was given, however it was cut', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(fc.uint8Array({ maxLength: 3_000 }), { maxLength: 5 }), { maxLength: 5 }),
        async (contents) => {
          const whole = contents.map((chunks) => Buffer.concat(chunks));
          const files = await unpack(
            tarArchive(contents.map((chunks, index) => entry(`f${index}`, whole[index]!.length, ...chunks))),
          );
          expect(files.map(({ header }) => header.name)).to.deep.equal(contents.map((_, index) => `f${index}`));
          expect(files.map(({ bytes }) => bytes)).to.deep.equal(whole);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('is the same whenever it is made', async () => {
    const make = (): Promise<Buffer> => bytesOf(tarArchive([smallEntry('one', 'first')]));
    expect((await make()).equals(await make())).to.equal(true);
  });

  it('announces files of more than 8 GiB', async () => {
    const size = 9 * 1024 ** 3;
    const archive = tarArchive([entry('large', size, Buffer.alloc(512))])[Symbol.asyncIterator]();
    const header = (await archive.next()).value as Buffer;
    await archive.return?.(undefined);
    const reader = extract();
    const seen = once(reader, 'entry');
    reader.write(header);
    expect(((await seen) as [Header])[0].size).to.equal(size);
    reader.destroy();
  });

  for (const [problem, content] of [
    ['before its first byte', async function* none() {}],
    [
      'in its middle',
      async function* some() {
        yield Buffer.alloc(700);
      },
    ],
  ] as const) {
    it(`whose file fails ${problem} fails with the same error, and never gets its end mark`, async () => {
      const failure = new Error('the source failed');
      const read: Uint8Array[] = [];
      const archive = tarArchive([
        smallEntry('one', 'first'),
        {
          name: 'two',
          size: 1_000,
          content: (async function* failing() {
            yield* content();
            throw failure;
          })(),
        },
      ]);
      const reading = async (): Promise<void> => {
        for await (const chunk of archive) read.push(chunk);
      };
      expect(await failureOf(reading())).to.equal(failure);
      const bytes = Buffer.concat(read);
      expect(bytes.length === 0 || bytes.subarray(-1024).some((byte) => byte !== 0)).to.equal(true);
    });
  }

  for (const [problem, chunks] of [
    ['shorter', [Buffer.alloc(999)]],
    ['longer', [Buffer.alloc(1_000), Buffer.alloc(1)]],
    ['empty', []],
  ] as const) {
    it(`fails when a file is ${problem} than announced`, async () => {
      const error = await failureOf(bytesOf(tarArchive([entry('two', 1_000, ...chunks), smallEntry('three', '3')])));
      expect(error).to.be.an.instanceOf(Error);
    });
  }

  it('lets its reader go while a file is waited for', async () => {
    const archive = tarArchive([
      smallEntry('one', 'first'),
      { name: 'two', size: 10, content: { [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }) } },
    ]);
    const iterator = archive[Symbol.asyncIterator]();
    await iterator.next();
    await iterator.return?.(undefined);
  });

  it('reads no file before its turn, and no more than is taken', async () => {
    let read = 0;
    const many = async function* chunks(): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < 100; at += 1) {
        read += 1;
        yield Buffer.alloc(100_000);
      }
    };
    let opened = false;
    const archive = tarArchive([
      { name: 'one', size: 10_000_000, content: many() },
      {
        name: 'two',
        size: 1,
        content: (async function* last() {
          opened = true;
          yield Buffer.alloc(1);
        })(),
      },
    ])[Symbol.asyncIterator]();
    await archive.next();
    await archive.next();
    await new Promise((resolve) => setImmediate(resolve));
    expect(read).to.be.below(8);
    expect(opened).to.equal(false);
    await archive.return?.(undefined);
  });
});

describe('the archive of an image', () => {
  const image = seededImage({
    platforms: ['linux/arm64', 'linux/amd64'],
    bytes: [3_000, 4_000, 5_000],
    seed: 'archives',
  });
  const manifest = image.manifests[1]!;
  const archived = (blob: TestBlob) => ({
    digest: blob.digest,
    size: blob.sizeBytes,
    read: async function* read() {
      yield* blob.read();
    },
  });
  const config = Buffer.concat([...manifest.config.read()]);
  const layers = manifest.layers.map(archived);
  const nothing: ReadonlySet<Digest> = new Set();
  const name = 'registry.example/team/app:1';
  const sizes = (files: Awaited<ReturnType<typeof unpack>>): readonly number[] =>
    files.map(({ bytes }) => bytes.length).slice(-layers.length);

  it('in the form of docker save names the config and the layers, in order', async () => {
    const files = await unpack(dockerArchive({ name, config, layers, omitted: nothing }));
    const [index] = JSON.parse(files[0]!.bytes.toString()) as {
      Config: string;
      RepoTags: string[];
      Layers: string[];
    }[];
    expect(files[0]!.header.name).to.equal('manifest.json');
    expect(index?.RepoTags).to.deep.equal([name]);
    const byName = new Map(files.map(({ header, bytes }) => [header.name, bytes]));
    expect(byName.get(index?.Config ?? '')).to.deep.equal(config);
    expect(index?.Layers.map((layer) => byName.get(layer)?.length)).to.deep.equal([3_000, 4_000, 5_000]);
    expect(files).to.have.length(5);
  });

  it('in the form of an OCI layout has the documents as they were published, each blob at its digest', async () => {
    const files = await unpack(
      ociArchive({
        name,
        root: image.top,
        documents: [image.top, manifest],
        config: archived(manifest.config),
        layers,
        omitted: nothing,
      }),
    );
    const byName = new Map(files.map(({ header, bytes }) => [header.name, bytes]));
    expect(JSON.parse(String(byName.get('oci-layout')))).to.deep.equal({ imageLayoutVersion: '1.0.0' });
    expect(JSON.parse(String(byName.get('index.json')))).to.deep.include({
      manifests: [
        {
          mediaType: image.mediaType,
          digest: image.digest,
          size: image.top.bytes.length,
          annotations: { 'io.containerd.image.name': name, 'org.opencontainers.image.ref.name': '1' },
        },
      ],
    });
    for (const { digest, bytes } of [image.top, manifest]) {
      expect(byName.get(`blobs/sha256/${digestHex(digest)}`)?.equals(bytes)).to.equal(true);
    }
    for (const blob of [manifest.config, ...manifest.layers]) {
      expect(byName.get(`blobs/sha256/${digestHex(blob.digest)}`)?.equals(Buffer.concat([...blob.read()]))).to.equal(
        true,
      );
    }
    expect(files).to.have.length(8);
  });

  it('names layers that are left out, and never reads them', async () => {
    const unread = {
      ...layers[0]!,
      read: () => {
        throw new Error('it was read');
      },
    };
    const omitted = new Set([unread.digest]);
    const docker = await unpack(dockerArchive({ name, config, layers: [unread, ...layers.slice(1)], omitted }));
    const [index] = JSON.parse(docker[0]!.bytes.toString()) as { Layers: string[] }[];
    expect(index?.Layers).to.have.length(3);
    expect(sizes(docker)).to.deep.equal([config.length, 4_000, 5_000]);
    const oci = await unpack(
      ociArchive({
        name,
        root: manifest,
        documents: [manifest],
        config: archived(manifest.config),
        layers: [unread, ...layers.slice(1)],
        omitted,
      }),
    );
    expect(sizes(oci)).to.deep.equal([config.length, 4_000, 5_000]);
  });

  it('holds a layer once that is named several times', async () => {
    const twice = [layers[0]!, layers[1]!, layers[0]!];
    const docker = await unpack(dockerArchive({ name, config, layers: twice, omitted: nothing }));
    const [index] = JSON.parse(docker[0]!.bytes.toString()) as { Layers: string[] }[];
    expect(index?.Layers).to.have.length(3);
    expect(index?.Layers[0]).to.equal(index?.Layers[2]);
    expect(docker).to.have.length(4);
  });
});
