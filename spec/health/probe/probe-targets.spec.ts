import { expect } from 'chai';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createProbeTargets, type ProbeTargets } from '../../../lib/health/probe/probe-targets.js';
import { maxLayers, maxManifests, probeTargetsDocument } from '../../../lib/health/probe/probe-targets-document.js';
import { openStateStore } from '../../../lib/health/state-store.js';
import { digestOf } from '../../../lib/image/digest.js';
import type { Digest } from '../../../lib/vocabulary/digest.js';
import { startFakeTime, type FakeTime } from '../../support/fake-time.js';
import { useTemporaryDirectory } from '../../support/temporary-directory.js';

const quay = 'quay.io/aptible';
const repository = 'aptible/redis';
const digest = (name: string): Digest => digestOf(Buffer.from(name));

describe('the targets of probes', () => {
  const directory = useTemporaryDirectory();
  let time: FakeTime;
  let targets: ProbeTargets;

  beforeEach(() => {
    time = startFakeTime();
    targets = createProbeTargets();
  });

  afterEach(() => {
    time.restore();
  });

  const serveLayer = (name: string, size = 1_000_000, into = targets): void =>
    into.served(quay, 'layers', { repository, object: digest(name), size });
  const fail = (name: string, offset: number, into = targets): void =>
    into.failedAt(quay, { repository, digest: digest(name), size: 1_000_000, offset });
  const layerNames = (...names: readonly string[]): readonly Digest[] => names.map(digest);
  const layers = (from = targets): readonly Digest[] => from.layersOf(quay).map((layer) => layer.digest);
  const onDisk = (): ProbeTargets => createProbeTargets(openStateStore(directory.path).document(probeTargetsDocument));

  it('are none before anything was served', () => {
    expect(targets.layersOf(quay)).to.deep.equal([]);
    expect(targets.manifestsOf(quay)).to.deep.equal([]);
  });

  it('begin with the layer at which the registry failed last, and where', async () => {
    serveLayer('one');
    fail('two', 600_000);
    await time.passMs(1_000);
    fail('three', 0);
    await time.passMs(1_000);
    serveLayer('four');
    expect(layers()[0]).to.equal(digest('three'));
    expect(targets.layersOf(quay)[0]).to.deep.include({ repository, size: 1_000_000, offset: 0 });
  });

  it('remember where a layer failed although it was served whole later', async () => {
    fail('one', 600_000);
    await time.passMs(1_000);
    serveLayer('one');
    expect(targets.layersOf(quay)[0]).to.include({ offset: 600_000 });
  });

  it('prefer layers that have a middle', () => {
    serveLayer('config', 2_000);
    serveLayer('layer');
    expect(layers()).to.deep.equal(layerNames('layer', 'config'));
  });

  it('are no layers without bytes, or whose size nobody knows, and nothing that is no digest', () => {
    serveLayer('empty', 0);
    targets.served(quay, 'layers', { repository, object: digest('x') });
    targets.served(quay, 'layers', { repository, object: 'latest', size: 5 });
    targets.failedAt(quay, { repository, digest: digest('empty'), size: 0, offset: 0 });
    expect(layers()).to.deep.equal([]);
  });

  it('are a few for each registry, however much it serves', async () => {
    for (let pull = 0; pull < 100; pull += 1) {
      serveLayer(`layer ${pull}`);
      fail(`layer ${pull}`, pull);
      targets.served(quay, 'metadata', { repository, object: `tag-${pull}` });
      await time.passMs(600_000);
    }
    expect(layers()).to.have.length(maxLayers);
    expect(targets.manifestsOf(quay).map(({ reference }) => reference)).to.deep.equal(
      Array.from({ length: maxManifests }, (_, at) => `tag-${99 - at}`),
    );
  });

  it('do not change with every pull', async () => {
    for (let pull = 0; pull < 100; pull += 1) {
      await time.passMs(1);
      serveLayer(`layer ${pull}`);
      targets.served(quay, 'metadata', { repository, object: `tag-${pull}` });
    }
    expect(layers()).to.deep.equal(layerNames('layer 2', 'layer 1', 'layer 0'));
    expect(targets.manifestsOf(quay).map(({ reference }) => reference)).to.deep.equal(['tag-2', 'tag-1', 'tag-0']);
  });

  it('are those of a bounded number of registries', () => {
    for (let tenant = 0; tenant < 3_000; tenant += 1) {
      targets.served(`tenant-${tenant}.example`, 'metadata', { repository, object: 'latest' });
    }
    expect(targets.manifestsOf('tenant-0.example')).to.have.length(0);
    expect(targets.manifestsOf('tenant-2999.example')).to.have.length(1);
  });

  it('tell when a registry can be asked for something at last', () => {
    let count = 0;
    const stop = targets.onFound(() => (count += 1));
    serveLayer('one');
    serveLayer('two');
    expect(count).to.equal(1);
    targets.served(quay, 'metadata', { repository, object: 'latest' });
    expect(count).to.equal(2);
    stop();
    targets.served('docker.io/aptible', 'metadata', { repository, object: 'latest' });
    expect(count).to.equal(2);
  });

  it('forget what is gone', () => {
    serveLayer('one');
    serveLayer('two');
    const [first] = targets.layersOf(quay);
    if (first === undefined) throw new Error('no target');
    targets.forget(quay, 'layers', first);
    expect(layers()).to.deep.equal([digest('one')]);
  });

  describe('on disk', () => {
    it('are there for a host that was restarted', async () => {
      const before = onDisk();
      serveLayer('one', 1_000_000, before);
      fail('two', 600_000, before);
      before.served(quay, 'metadata', { repository, object: '3.0' });
      await before.flush();
      const restarted = onDisk();
      let found = 0;
      restarted.onFound(() => (found += 1));
      await restarted.load();
      expect(restarted.layersOf(quay)).to.deep.equal(before.layersOf(quay));
      expect(restarted.manifestsOf(quay)).to.deep.equal(before.manifestsOf(quay));
      expect(found).to.equal(1);
    });

    it('are those of all processes', async () => {
      const [one, other] = [onDisk(), onDisk()];
      serveLayer('one', 1_000_000, one);
      await one.flush();
      other.served(quay, 'metadata', { repository, object: '3.0' });
      await other.flush();
      const third = onDisk();
      await third.load();
      expect(layers(third)).to.deep.equal([digest('one')]);
      expect(third.manifestsOf(quay)).to.have.length(1);
    });

    it('do not come back once they are forgotten', async () => {
      const before = onDisk();
      serveLayer('one', 1_000_000, before);
      await before.flush();
      const [first] = before.layersOf(quay);
      if (first === undefined) throw new Error('no target');
      before.forget(quay, 'layers', first);
      await before.load();
      expect(layers(before)).to.deep.equal([]);
      await before.flush();
      const restarted = onDisk();
      await restarted.load();
      expect(layers(restarted)).to.deep.equal([]);
    });

    it('are written a few times an hour while all is well, and at once when something fails', async () => {
      let writes = 0;
      const inner = openStateStore(null).document(probeTargetsDocument);
      const kept = createProbeTargets({
        read: inner.read,
        update: (change) => {
          writes += 1;
          return inner.update(change);
        },
      });
      for (let minute = 0; minute < 600; minute += 1) {
        serveLayer(`layer ${minute}`, 1_000_000, kept);
        await time.passMs(6_000);
      }
      expect(writes).to.be.within(2, 20);
      const before = writes;
      for (let pull = 0; pull < 100; pull += 1) fail('layer', 600_000, kept);
      await kept.flush();
      expect(writes - before).to.equal(1);
    });

    for (const [what, registries] of [
      ['another shape', {}],
      ['a registry without a name', [{ layers: [], manifests: [] }]],
      [
        'a malformed digest',
        [{ registry: quay, layers: [{ repository, digest: 'sha256:00', size: 1, offset: 0, atMs: 1 }], manifests: [] }],
      ],
      [
        'a negative size',
        [
          {
            registry: quay,
            layers: [{ repository, digest: digest('x'), size: -1, offset: 0, atMs: 1 }],
            manifests: [],
          },
        ],
      ],
      ['a manifest without a tag', [{ registry: quay, layers: [], manifests: [{ repository, atMs: 1 }] }]],
    ] as const) {
      it(`are set aside with ${what}`, async () => {
        await writeFile(join(directory.path, 'probe-targets.json'), JSON.stringify({ version: 1, registries }));
        const kept = onDisk();
        await kept.load();
        expect(layers(kept)).to.deep.equal([]);
        serveLayer('one', 1_000_000, kept);
        await kept.flush();
        expect(await readdir(directory.path)).to.include('probe-targets.json.broken');
        expect(await readFile(join(directory.path, 'probe-targets.json'), 'utf8')).to.include(digest('one'));
      });
    }
  });
});
