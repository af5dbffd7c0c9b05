import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { openDockerDaemon } from '../../lib/engine/docker/open-docker-daemon.js';
import type { OpenDockerDaemon } from '../../lib/engine/docker/open-docker-daemon.js';
import { digestHex } from '../../lib/image/digest.js';
import { layers, seededImage, type TestImage } from '../../lib/testing/index.js';
import type { Digest } from '../../lib/vocabulary/digest.js';
import { requireDockerd, requireNextRelease, startDockerd } from '../support/docker-engine.js';
import { requirePodman, startPodman } from '../support/podman-engine.js';
import type { RealEngine } from '../support/real-engine.js';
import { requireReal } from '../support/real-parts.js';
import { useTemporaryDirectory } from '../support/temporary-directory.js';
import { until } from '../support/until.js';
import {
  closeRelayRigs,
  contentOf,
  openRelayRig,
  repository,
  type RelayRig,
  type ServedPull,
  tag,
} from './support/relay-rig.js';

const run = promisify(execFile);

const variants: Readonly<Record<string, TestImage>> = {
  'a single manifest': seededImage({ bytes: [600_000, 50_000, 400_000], seed: 'judge' }),
  "an index in Docker's format with gzip layers": seededImage({
    bytes: [600_000, 3_000],
    seed: 'judge docker',
    mediaTypes: 'docker',
    compression: 'gzip',
    platforms: ['linux/arm64', 'linux/amd64'],
  }),
  'an index with attestations': seededImage({ bytes: 300_000, layers: 2, seed: 'judge attested', attestations: true }),
};

/** The first registry stops every layer in the middle; whatever arrives has come from both. */
async function openJudged(image: TestImage): Promise<{ readonly rig: RelayRig; readonly served: ServedPull }> {
  const rig = await openRelayRig({ image, registries: [[layers.reset({ afterShare: 0.3 })], {}] });
  return { rig, served: await rig.serve() };
}

/** The layers and the config of the platform that is pulled. */
function wantedOf({ tree }: ServedPull): readonly Digest[] {
  return [...new Set([tree.config, ...tree.layers].map(({ digest }) => digest))].toSorted();
}

function describeEngine(start: () => Promise<RealEngine>): void {
  let engine: RealEngine;
  let daemon: OpenDockerDaemon;

  before(async function () {
    this.timeout(60_000);
    engine = await start();
    daemon = openDockerDaemon(engine.docker, `unix://${engine.socketPath}`);
  });
  after(async () => {
    await daemon?.close();
    await engine?.close();
  });

  async function pull(rig: RelayRig, object: string): Promise<readonly string[]> {
    const said: string[] = [];
    const request = {
      name: `${rig.relay.address}/${repository}`,
      object,
      platform: 'linux/amd64',
      credentials: rig.relay.credentials,
      plainHttp: true,
    };
    for await (const { status } of daemon.pull(request, AbortSignal.timeout(60_000))) said.push(status);
    return said;
  }

  for (const [what, image] of Object.entries(variants)) {
    it(`takes ${what}, cold, and then has nothing left to ask for`, async () => {
      const { rig, served } = await openJudged(image);
      await pull(rig, tag);
      expect([...served.serving.activity.delivered].toSorted()).to.deep.equal(wantedOf(served));
      expect(await daemon.inspect(`${rig.relay.address}/${repository}:${tag}`)).to.not.equal(null);
      await until(() => served.serving.activity.open === 0);

      const again = await rig.serve();
      await pull(rig, tag);
      // Podman reads the config anew each time.
      const layersAgain = [...again.serving.activity.delivered].filter((digest) => digest !== again.tree.config.digest);
      expect(layersAgain).to.deep.equal([]);
      await daemon.untag(`${rig.relay.address}/${repository}:${tag}`);
    });
  }

  it('takes an image by digest', async () => {
    const image = seededImage({ bytes: [70_000], seed: `by digest ${engine.store}` });
    const { rig, served } = await openJudged(image);
    await pull(rig, image.digest);
    expect([...served.serving.activity.delivered].toSorted()).to.deep.equal(wantedOf(served));
  });

  it('is told at once that a layer cannot be had, and ends', async () => {
    const image = seededImage({ bytes: [80_000, 90_000], seed: `not to be had ${engine.store}` });
    const rig = await openRelayRig({ image, registries: [[layers.missing()]] });
    const served = await rig.serve();
    const failure = await pull(rig, tag).then(
      () => null,
      (error: unknown) => error,
    );
    expect(failure).to.be.instanceOf(Error);
    expect(served.failure()).to.be.instanceOf(Error);
    expect([...served.serving.activity.delivered]).to.deep.equal([]);
  });

  it('refuses a layer of which it was given wrong bytes', async () => {
    const image = seededImage({ bytes: [3_000_000], seed: `spoiled ${engine.store}` });
    const object = image.layers[0]?.digest ?? '';
    // Of what A sends, one byte is wrong; only when B has sent the rest does that show.
    const liar = [layers.wrongBytes({ object, atByte: 10 }), layers.reset({ object, afterShare: 0.5 })];
    const rig = await openRelayRig({ image, registries: [liar, {}] });
    const served = await rig.serve();
    const failure = await pull(rig, tag).then(
      () => null,
      (error: unknown) => error,
    );
    expect(failure).to.be.instanceOf(Error);
    expect([...served.serving.activity.spoiled]).to.deep.equal([object]);
    expect([...served.serving.activity.delivered]).to.not.include(object);
    expect(served.failure()).to.equal(undefined);
  });
}

describe('real clients take what the relay serves', function () {
  this.timeout(90_000);
  afterEach(closeRelayRigs);
  const directory = useTemporaryDirectory();

  describe('the installed Docker', () => {
    requireDockerd();
    describeEngine(() => startDockerd());
  });

  describe("the next release's Docker, classic store", () => {
    requireNextRelease();
    describeEngine(() => startDockerd({ release: 'next' }));
  });

  describe("the next release's Docker, containerd store", () => {
    requireNextRelease();
    describeEngine(() => startDockerd({ store: 'containerd' }));
  });

  describe('Podman over its API', () => {
    requirePodman();
    describeEngine(() => startPodman());
  });

  describe('skopeo', () => {
    requireReal('skopeo', 'apt-get install skopeo');
    for (const [what, image] of Object.entries(variants)) {
      it(`copies ${what}, byte by byte`, async () => {
        const { rig, served } = await openJudged(image);
        const { username, password } = rig.relay.credentials;
        const source = `docker://${rig.relay.address}/${repository}:${tag}`;
        const flags = ['--override-os', 'linux', '--override-arch', 'amd64', 'copy', '--src-tls-verify=false'];
        await run('skopeo', [...flags, '--src-creds', `${username}:${password}`, source, `dir:${directory.path}`]);
        const { tree } = served;
        expect(await readFile(join(directory.path, 'manifest.json'))).to.deep.equal(Buffer.from(tree.manifest.bytes));
        for (const { digest } of [tree.config, ...tree.layers]) {
          const blob = image.blobs.find((one) => one.digest === digest);
          const found = await readFile(join(directory.path, digestHex(digest)));
          expect(blob !== undefined && found.equals(contentOf(blob)), digest).to.equal(true);
        }
        expect([...served.serving.activity.delivered].toSorted()).to.deep.equal(wantedOf(served));
      });
    }

    it('copies every platform of an index, attestations too', async () => {
      const image = seededImage({
        bytes: [30_000],
        platforms: ['linux/amd64', 'linux/arm64/v8'],
        attestations: true,
        seed: 'all of it',
      });
      const { rig } = await openJudged(image);
      const { username, password } = rig.relay.credentials;
      const source = `docker://${rig.relay.address}/${repository}:${tag}`;
      const from = ['--src-tls-verify=false', '--src-creds', `${username}:${password}`];
      await run('skopeo', ['copy', '--all', ...from, source, `dir:${directory.path}`]);
      const [index, ...manifests] = image.documents;
      expect(await readFile(join(directory.path, 'manifest.json'))).to.deep.equal(index?.bytes);
      for (const { digest, bytes } of manifests) {
        const found = await readFile(join(directory.path, `${digestHex(digest)}.manifest.json`));
        expect(found, digest).to.deep.equal(bytes);
      }
      for (const blob of image.blobs) {
        const found = await readFile(join(directory.path, digestHex(blob.digest)));
        expect(found.equals(contentOf(blob)), blob.digest).to.equal(true);
      }
    });

    it('is refused without the secret', async () => {
      const { rig } = await openJudged(variants['a single manifest'] ?? seededImage());
      const source = `docker://${rig.relay.address}/${repository}:${tag}`;
      const flags = ['inspect', '--tls-verify=false'];
      for (const creds of [[], ['--creds', 'pull-failover:wrong']]) {
        const failure = await run('skopeo', [...flags, ...creds, source]).then(
          () => '',
          (error: unknown) => (error as { readonly stderr: string }).stderr,
        );
        expect(failure).to.match(/unauthorized|authentication required|invalid username\/password/);
      }
    });
  });

  describe('podman pull', () => {
    requirePodman();
    for (const [what, image] of Object.entries(variants)) {
      it(`takes ${what}`, async () => {
        const { rig, served } = await openJudged(image);
        const { username, password } = rig.relay.credentials;
        const storage = ['--root', join(directory.path, 'root'), '--runroot', join(directory.path, 'run')];
        const place = [...storage, '--storage-driver', 'vfs', '--cgroup-manager', 'cgroupfs'];
        const flags = ['pull', '-q', '--tls-verify=false', '--arch', 'amd64', '--creds', `${username}:${password}`];
        const { stdout } = await run('podman', [...place, ...flags, `${rig.relay.address}/${repository}:${tag}`]);
        expect(stdout.trim()).to.equal(digestHex(served.tree.config.digest));
        expect([...served.serving.activity.delivered].toSorted()).to.deep.equal(wantedOf(served));
      });
    }
  });

  describe('ctr', () => {
    requireDockerd();
    requireReal('ctr', 'apt-get install containerd');
    let engine: RealEngine;
    before(async () => {
      engine = await startDockerd();
    });
    after(() => engine?.close());

    for (const [what, image] of Object.entries(variants)) {
      it(`takes ${what}`, async () => {
        const { rig, served } = await openJudged(image);
        const { username, password } = rig.relay.credentials;
        const socket = `/proc/${engine.processId}/root/run/docker/containerd/containerd.sock`;
        const flags = ['--snapshotter', 'native', '--plain-http', '--platform', 'linux/amd64'];
        const name = `${rig.relay.address}/${repository}:${tag}`;
        await run('ctr', ['-a', socket, 'images', 'pull', ...flags, '--user', `${username}:${password}`, name]);
        const { stdout } = await run('ctr', ['-a', socket, 'images', 'ls', `name==${name}`]);
        expect(stdout).to.include(image.digest);
        expect([...served.serving.activity.delivered].toSorted()).to.deep.equal(wantedOf(served));
      });
    }
  });
});
