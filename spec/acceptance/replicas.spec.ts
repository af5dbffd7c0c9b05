import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { isPullExhaustedError, type PullEvent, type PullEventName, type PullerOptions } from '../../lib/index.js';
import {
  connection,
  divergedFrom,
  type Fault,
  layers,
  repackage,
  seededImage,
  type TestImage,
} from '../../lib/testing/index.js';
import { requireDockerRegistry } from '../support/docker-registry.js';
import { requireReal } from '../support/real-parts.js';
import { expectImage, expectTidy } from './support/layout-on-disk.js';
import { type ProxiedRegistry, startProxiedRegistry, team } from './support/proxied-registry.js';
import { pulled, recordPull } from './support/recorded-pull.js';
import { useWorkingDirectory } from './support/working-directory.js';

const run = promisify(execFile);

async function skopeo(...args: readonly string[]): Promise<string> {
  const { stdout } = await run('skopeo', ['--insecure-policy', ...args]);
  return stdout;
}

/** Compressed, as images are: skopeo would compress what is not, and with it change the digests. */
const compression = 'gzip';
const plain = seededImage({ layers: 3, bytes: 200_000, seed: 'replicas', compression });
const index = seededImage({
  bytes: [90_000, 30_000],
  seed: 'index',
  platforms: ['linux/amd64', 'linux/arm64/v8'],
  compression,
});
const docker = seededImage({ layers: 2, bytes: 50_000, seed: 'docker', mediaTypes: 'docker', compression });

describe('What skopeo and pull-failover do with each other', function () {
  this.timeout(60_000);
  requireDockerRegistry();
  requireReal('skopeo', 'apt-get install skopeo');
  const working = useWorkingDirectory();
  let first: ProxiedRegistry;
  let second: ProxiedRegistry;

  before(async () => {
    [first, second] = await Promise.all([startProxiedRegistry(), startProxiedRegistry()]);
    for (const [name, image] of Object.entries({ plain, index, docker })) await first.push(`${name}:1.0`, image);
    for (const name of ['plain', 'index', 'docker']) {
      const [from, to] = [first, second].map(({ directHost }) => `docker://${directHost}/${team}/${name}:1.0`);
      await skopeo('copy', '--all', '--src-tls-verify=false', '--dest-tls-verify=false', from ?? '', to ?? '');
    }
    for (const [name, image] of Object.entries({ repackaged: plain, diverged: plain, manyRepackaged: index })) {
      const replica = name === 'diverged' ? divergedFrom(image) : repackage(image);
      await first.push(`${name.toLowerCase()}:1.0`, image);
      await second.push(`${name.toLowerCase()}:1.0`, replica);
    }
  });

  beforeEach(async () => {
    await Promise.all([first.setFaults([]), second.setFaults([])]);
  });

  after(async () => {
    await Promise.all([first?.close(), second?.close()]);
  });

  function options(more: Partial<PullerOptions> = {}): PullerOptions {
    return { registries: [first.option, second.option], platform: 'linux/amd64', ...more };
  }

  describe('skopeo reads the layout written, and agrees on the digest of', () => {
    // Of a layout skopeo finds OCI manifests alone; one of Docker's schema 2 stays what it is, or its digest would change.
    const read: readonly { readonly name: string; readonly image: TestImage; readonly platform: string }[] = [
      { name: 'plain', image: plain, platform: 'linux/amd64' },
      { name: 'index', image: index, platform: 'linux/arm64' },
    ];

    for (const { name, image, platform } of read) {
      it(`${name}, for ${platform}`, async () => {
        const directory = join(working.path, 'images');
        const asked = `${first.host}/${team}/${name}:1.0`;
        // Another image beside it, so that the name has to be right.
        await pulled(recordPull(`${first.host}/${team}/repackaged:1.0`, directory, options()));
        const { report } = await pulled(recordPull(asked, directory, options({ platform })));
        expect(report.digest).to.equal(image.digest);

        const layout = `oci:${directory}:${asked}`;
        const [os = '', architecture = ''] = platform.split('/');
        const choice = ['--override-os', os, '--override-arch', architecture];
        const inspected = JSON.parse(await skopeo(...choice, 'inspect', layout)) as {
          Digest: string;
          Layers: string[];
        };
        const manifest = image.manifests.find((each) => each.platform.startsWith(platform));
        expect(inspected.Digest).to.equal(report.digest);
        expect(inspected.Layers).to.deep.equal(manifest?.layers.map(({ digest }) => digest));

        const copy = join(working.path, 'copy');
        await skopeo(...choice, 'copy', layout, `dir:${copy}`);
        const digest = await skopeo('manifest-digest', join(copy, 'manifest.json'));
        expect(digest.trim()).to.equal(report.manifestDigest);
        expect(report.manifestDigest).to.equal(manifest?.digest);
        for (const blob of [manifest?.config, ...(manifest?.layers ?? [])]) {
          const file = await readFile(join(copy, blob?.digest.replace('sha256:', '') ?? ''));
          expect(file.length).to.equal(blob?.sizeBytes);
        }
      });
    }
  });

  const layersDead: readonly Fault[] = [layers.status(503)];
  const allDead: readonly Fault[] = [connection.refuse()];

  describe('a replica that skopeo copied', () => {
    for (const [name, image] of Object.entries({ plain, index, docker })) {
      it(`serves the layers of ${name} by the same digests, when those of the first registry are dead`, async () => {
        const directory = join(working.path, 'images');
        const asked = `${first.host}/${team}/${name}:1.0`;
        await first.setFaults(layersDead);
        const { report, events } = await pulled(recordPull(asked, directory, options()));
        expect(report).to.deep.include({ digest: image.digest, resolution: 'first-registry' });
        expect(report.failovers.map(({ phase, from, to }) => [phase, from, to])).to.deep.equal([
          ['layers', first.option.prefix, second.option.prefix],
        ]);
        expect(replicaEvents(events)).to.deep.equal([]);
        expect((await second.traffic()).requests.map(({ kind }) => kind)).to.not.include('manifest');
        await expectImage(directory, asked, image);
        await expectTidy(directory);
      });
    }

    it('resolves the tag too when the first registry is dead: unverified, or confirmed by what is remembered', async () => {
      const asked = `${first.host}/${team}/plain:1.0`;
      const stateDir = join(working.path, 'state');
      await pulled(recordPull(asked, join(working.path, 'earlier'), options({ stateDir })));

      await first.setFaults(allDead);
      const cases = [
        { resolution: 'replica-unverified', directory: join(working.path, 'unverified'), more: {} },
        { resolution: 'replica-confirmed', directory: join(working.path, 'confirmed'), more: { stateDir } },
      ] as const;
      for (const { resolution, directory, more } of cases) {
        const { report, events } = await pulled(recordPull(asked, directory, options(more)));
        expect(report).to.deep.include({ digest: plain.digest, resolution });
        expect(report.served.map(({ registry }) => registry)).to.deep.equal([second.option.prefix]);
        expect(replicaEvents(events)).to.deep.equal(['tag:resolved-by-replica']);
        await expectImage(directory, asked, plain);
      }
    });
  });

  describe('a replica that was repackaged', () => {
    const repackaged = repackage(plain);

    it('shares the config and nothing else', () => {
      expect(repackaged.config.digest).to.equal(plain.config.digest);
      expect(repackaged.digest).to.not.equal(plain.digest);
      const layersOf = (image: TestImage): readonly string[] => image.layers.map(({ digest }) => digest);
      expect(layersOf(repackaged)).to.not.include.members(layersOf(plain));
    });

    it('is used, and said to be, when the layers of the first registry are dead', async () => {
      const directory = join(working.path, 'images');
      const asked = `${first.host}/${team}/repackaged:1.0`;
      await first.setFaults(layersDead);
      const { report, events } = await pulled(recordPull(asked, directory, options()));
      expect(report.digest).to.equal(repackaged.digest);
      expect(events.filter(isNamed('replica:repackaged')).map(essenceOf)).to.deep.equal([
        {
          registry: second.option.prefix,
          digest: repackaged.digest,
          expected: plain.digest,
          config: plain.config.digest,
        },
      ]);
      expect(replicaEvents(events)).to.not.include('replica:diverged');
      await expectImage(directory, asked, repackaged);
      await expectTidy(directory);
    });

    it('is used when the first registry is dead, as unverified while nothing is remembered', async () => {
      const directory = join(working.path, 'images');
      const asked = `${first.host}/${team}/repackaged:1.0`;
      await first.setFaults(allDead);
      const { report, events } = await pulled(recordPull(asked, directory, options()));
      expect(report).to.deep.include({ digest: repackaged.digest, resolution: 'replica-unverified' });
      expect(replicaEvents(events)).to.deep.equal(['tag:resolved-by-replica']);
      await expectImage(directory, asked, repackaged);
    });

    it('is known for the same image when the first registry is dead and its digest is remembered', async () => {
      const stateDir = join(working.path, 'state');
      const asked = `${first.host}/${team}/repackaged:1.0`;
      await pulled(recordPull(asked, join(working.path, 'earlier'), options({ stateDir })));
      await first.setFaults(allDead);
      const directory = join(working.path, 'images');
      const { report, events } = await pulled(recordPull(asked, directory, options({ stateDir })));
      expect(report.digest).to.equal(repackaged.digest);
      expect(replicaEvents(events)).to.include('replica:repackaged');
      expect(replicaEvents(events)).to.not.include('replica:diverged');
      await expectImage(directory, asked, repackaged);
    });

    it('serves one platform of an index', async () => {
      const directory = join(working.path, 'images');
      const asked = `${first.host}/${team}/manyrepackaged:1.0`;
      await first.setFaults(layersDead);
      const { report, events } = await pulled(recordPull(asked, directory, options({ platform: 'linux/arm64' })));
      const image = repackage(index);
      expect(report.digest).to.equal(image.digest);
      expect(events.filter(isNamed('replica:repackaged'))).to.have.length(1);
      await expectImage(directory, asked, image, image.manifests[1]);
    });
  });

  describe('a replica with another image under the same tag', () => {
    it('is never mixed in: the pull fails, unless the host allows it', async () => {
      const asked = `${first.host}/${team}/diverged:1.0`;
      await first.setFaults(layersDead);
      const refused = await recordPull(asked, join(working.path, 'refused'), options());
      expect(isPullExhaustedError(refused.error)).to.equal(true);
      const diverged = divergedFrom(plain);
      const told = { registry: second.option.prefix, digest: diverged.digest, expected: plain.digest };
      expect(refused.events.filter(isNamed('replica:diverged')).map(essenceOf)).to.deep.equal([
        { ...told, used: 'none' },
      ]);

      const directory = join(working.path, 'allowed');
      const allowed = await pulled(recordPull(asked, directory, options({ onDivergence: 'replica' })));
      expect(allowed.report).to.deep.include({ digest: diverged.digest, resolution: 'replica-diverged' });
      expect(allowed.events.filter(isNamed('replica:diverged')).map(essenceOf)).to.deep.equal([
        { ...told, used: 'replica' },
      ]);
      await expectImage(directory, asked, diverged);
    });
  });
});

/** Everything said about replicas, apart from single objects that one of them does not have. */
function replicaEvents(events: readonly PullEvent[]): readonly string[] {
  return events.map(({ type }) => type).filter((type) => /^(replica|tag):/.test(type) && type !== 'replica:missing');
}

function isNamed<Name extends PullEventName & PullEvent['type']>(
  name: Name,
): (event: PullEvent) => event is Extract<PullEvent, { readonly type: Name }> {
  return (event): event is Extract<PullEvent, { readonly type: Name }> => event.type === name;
}

/** What an event says beside which pull it is of, and when. */
function essenceOf(event: PullEvent): Readonly<Record<string, unknown>> {
  const stamp = new Set(['type', 'seq', 'atMs', 'pullId', 'image', 'operation', 'engine']);
  return Object.fromEntries(Object.entries(event).filter(([key]) => !stamp.has(key)));
}
