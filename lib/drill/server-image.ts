import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { constants, gzip } from 'node:zlib';
import { pack } from 'tar-stream';
import { digestOf } from '../image/digest.js';
import { formatPlatform, hostPlatform } from '../image/platform.js';
import { bytesOf } from '../testing/byte-source.js';
import { testBlob, testDocument, testImage, type TestBlob, type TestImage } from '../testing/test-image.js';
import type { ServerProgram } from './server-program.js';

/** The platform of images that are made of this host's own programs. */
export const serverPlatform: string = formatPlatform(hostPlatform());

const mediaTypes = {
  manifest: 'application/vnd.docker.distribution.manifest.v2+json',
  config: 'application/vnd.docker.container.image.v1+json',
  layer: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
} as const;

const compress = promisify(gzip);

/** Packs a server into an image as a build from scratch would: its libraries in one layer, its programs in another. */
export async function makeServerImage(
  { files, start }: ServerProgram,
  labels: Readonly<Record<string, string>>,
): Promise<TestImage> {
  const isLibrary = (path: string): boolean => /\.so(?:\.|$)|\/ld-/.test(path);
  const layers = await Promise.all(
    [files.filter(isLibrary), files.filter((path) => !isLibrary(path))]
      .filter((paths) => paths.length > 0)
      .map((paths) => makeLayer(paths)),
  );
  const { os, architecture, variant } = hostPlatform();
  const config = testBlob(
    bytesOf(
      Buffer.from(
        JSON.stringify({
          os,
          architecture,
          ...(variant === undefined ? {} : { variant }),
          config: { Cmd: start, Env: ['PATH=/usr/bin:/bin'], Labels: labels },
          rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
          history: layers.map(() => ({ created_by: 'pull-failover drill' })),
        }),
      ),
    ),
    mediaTypes.config,
    'sha256',
  );
  const blobs = layers.map(({ blob }) => blob);
  const content = {
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    config: descriptorOf(config),
    layers: blobs.map(descriptorOf),
  };
  const document = testDocument(content, mediaTypes.manifest, 'sha256');
  return testImage(document, [{ ...document, platform: serverPlatform, config, layers: blobs }], []);
}

async function makeLayer(paths: readonly string[]) {
  const archive = pack();
  const chunks: Uint8Array[] = [];
  const read = (async () => {
    for await (const chunk of archive) chunks.push(chunk as Uint8Array);
  })();
  const folders = new Set<string>();
  for (const path of paths) {
    for (const folder of foldersOf(path)) {
      if (folders.has(folder)) continue;
      folders.add(folder);
      archive.entry({ name: `${folder.slice(1)}/`, type: 'directory', mode: 0o755, mtime: new Date(0) });
    }
    archive.entry({ name: path.slice(1), mode: 0o755, mtime: new Date(0) }, await readFile(path));
  }
  archive.finalize();
  await read;
  const plain = Buffer.concat(chunks);
  // Of a program, a third of the bytes is won at once; more would only take time.
  const packed = await compress(plain, { level: constants.Z_BEST_SPEED });
  return { diffId: digestOf(plain), blob: testBlob(bytesOf(packed), mediaTypes.layer, 'sha256') };
}

/** `/usr`, `/usr/bin` */
function foldersOf(path: string): readonly string[] {
  const folder = dirname(path);
  return folder === '/' ? [] : [...foldersOf(folder), folder];
}

function descriptorOf(blob: TestBlob) {
  return { mediaType: blob.mediaType, digest: blob.digest, size: blob.sizeBytes };
}
