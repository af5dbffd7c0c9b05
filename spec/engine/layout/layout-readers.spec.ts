import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { ociLayout } from '../../../lib/engine/layout/oci-layout.js';
import type { Descriptor } from '../../../lib/image/descriptor.js';
import { digestOf } from '../../../lib/image/digest.js';
import { requireReal } from '../../support/real-parts.js';
import { seededBlob } from './support/content.js';
import { useTemporaryDirectory } from '../../support/temporary-directory.js';

const run = promisify(execFile);
const context = { signal: new AbortController().signal, pullId: 'pull-1' };

describe('A layout as skopeo reads it', function () {
  this.timeout(60_000);
  requireReal('skopeo', 'apt-get install skopeo');
  const temporary = useTemporaryDirectory();

  /** An image of one layer, stored and named. */
  async function storeImage(directory: string, name: string, seed: number): Promise<Descriptor> {
    await using layout = ociLayout(directory);
    const layer = seededBlob(seed, 10_000);
    const config = Buffer.from(
      JSON.stringify({
        architecture: 'amd64',
        os: 'linux',
        config: { Env: [`SEED=${seed}`] },
        rootfs: { type: 'layers', diff_ids: [layer.digest] },
      }),
    );
    const manifest = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: 'application/vnd.oci.image.manifest.v1+json',
        config: {
          mediaType: 'application/vnd.oci.image.config.v1+json',
          digest: digestOf(config),
          size: config.length,
        },
        layers: [{ mediaType: layer.mediaType, digest: layer.digest, size: layer.size }],
      }),
    );
    const sink = await layout.openBlob(layer, context);
    await sink?.write(layer.bytes);
    await sink?.commit();
    await layout.putBlob(config, digestOf(config));
    await layout.putBlob(manifest, digestOf(manifest));
    const descriptor: Descriptor = {
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      digest: digestOf(manifest),
      size: manifest.length,
    };
    await layout.nameImage(name, descriptor);
    return descriptor;
  }

  async function inspect(directory: string, name: string): Promise<{ Digest: string; Env: string[] }> {
    const { stdout } = await run('skopeo', ['inspect', `oci:${directory}:${name}`]);
    return JSON.parse(stdout) as { Digest: string; Env: string[] };
  }

  it('has each image under its canonical name, with the digest we gave', async () => {
    const directory = join(temporary.path, 'images');
    const names = [
      'quay.io/aptible/redis:3.0',
      'docker.io/library/redis:latest',
      '10.0.0.5:5000/mirror/redis:3.0',
      `quay.io/aptible/redis:3.0@${seededBlob(9, 9).digest}`,
    ];
    for (const [seed, name] of names.entries()) {
      const { digest } = await storeImage(directory, name, seed);
      expect(await inspect(directory, name)).to.deep.include({ Digest: digest, Env: [`SEED=${seed}`] });
    }
    const moved = await storeImage(directory, names[0]!, 77);
    expect((await inspect(directory, names[0]!)).Digest).to.equal(moved.digest);
    expect((await inspect(directory, names[1]!)).Env).to.deep.equal(['SEED=1']);
  });

  it('can be copied out whole', async () => {
    const directory = join(temporary.path, 'images');
    const { digest } = await storeImage(directory, 'quay.io/aptible/redis:3.0', 1);
    const copy = join(temporary.path, 'copy');
    await run('skopeo', [
      'copy',
      '--insecure-policy',
      '--preserve-digests',
      `oci:${directory}:quay.io/aptible/redis:3.0`,
      `oci:${copy}:quay.io/aptible/redis:3.0`,
    ]);
    await using layout = ociLayout(copy);
    expect((await layout.findImage('quay.io/aptible/redis:3.0'))?.digest).to.equal(digest);
    expect(await layout.hasBlob(seededBlob(1, 10_000))).to.equal(true);
  });

  it('is shared with it: what skopeo adds is listed, and stays when we add ours', async () => {
    const source = join(temporary.path, 'source');
    const theirs = await storeImage(source, 'a', 1);
    const directory = join(temporary.path, 'images');
    await run('skopeo', [
      'copy',
      '--insecure-policy',
      '--preserve-digests',
      `oci:${source}:a`,
      `oci:${directory}:their/own:1.0`,
    ]);
    const ours = await storeImage(directory, 'quay.io/aptible/redis:3.0', 2);
    await run('skopeo', [
      'copy',
      '--insecure-policy',
      '--preserve-digests',
      `oci:${source}:a`,
      `oci:${directory}:their/own:2.0`,
    ]);
    await using layout = ociLayout(directory);
    expect((await layout.listImages()).map(({ name, descriptor }) => [name, descriptor.digest])).to.deep.equal([
      ['their/own:1.0', theirs.digest],
      ['quay.io/aptible/redis:3.0', ours.digest],
      ['their/own:2.0', theirs.digest],
    ]);
  });
});
