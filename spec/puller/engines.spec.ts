import { expect } from 'chai';
import { isHostFaultError } from '../../lib/errors/host-fault-error.js';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { isEngineError } from '../../lib/errors/engine-error.js';
import { seededImage } from '../../lib/testing/seeded-image.js';
import { expectWhole, usePullRig } from './pull-rig.js';
import { failureOf } from '../support/failure-of.js';

const image = seededImage({ layers: 3, bytes: 150_000, seed: 'engines' });

describe('one puller for several engines', () => {
  const rig = usePullRig();

  it('brings one image into each at the same time, and fetches every blob once for all of them', async () => {
    const registry = await rig.registry({
      images: { 'team/app:1': image },
      bandwidth: { totalBytesPerSecond: 1_000_000 },
    });
    const name = `${registry.host}/team/app:1`;
    const engines = ['host-1', 'host-2', 'host-3'].map((id) => rig.engine(id, { id }));
    const puller = rig.puller();
    const reports = await Promise.all(engines.map((engine) => puller.pullWithFailover(name, { engine })));

    for (const engine of engines) await expectWhole(engine, name, image);
    expect(reports.map(({ engine }) => engine)).to.deep.equal(['host-1', 'host-2', 'host-3']);
    expect(puller.heard.map(({ type }) => type)).to.not.include('pull:joined');
    for (const { digest, sizeBytes } of image.layers) {
      const sent = registry.requests.filter(({ object }) => object === digest);
      expect(sent.reduce((sum, { bytesSent }) => sum + bytesSent, 0)).to.equal(sizeBytes);
    }
    const ends = puller.heard.filter((event) => event.type === 'pull:succeeded');
    expect(ends.map(({ engine }) => engine)).to.have.members(['host-1', 'host-2', 'host-3']);
  });

  it('lets a pull name another engine than the puller’s', async () => {
    const registry = await rig.registry({ images: { 'team/app:1': image } });
    const name = `${registry.host}/team/app:1`;
    const puller = rig.puller();
    await puller.pullWithFailover(name, { engine: rig.engine('another') });
    await expectWhole(rig.engine('another'), name, image);
    expect(await rig.engine().findImage(name)).to.equal(null);
  });

  it('fails with the engine that is broken, blames no registry, and serves the others', async () => {
    const registry = await rig.registry({ images: { 'team/app:1': image } });
    const name = `${registry.host}/team/app:1`;
    const broken = rig.engine('broken');
    await mkdir(broken.directory, { recursive: true });
    await writeFile(`${broken.directory}/oci-layout`, '{"imageLayoutVersion":"9.9.9"}');
    const puller = rig.puller();
    const [failed, report] = await Promise.all([
      failureOf(puller.pullWithFailover(name, { engine: broken })),
      puller.pullWithFailover(name),
    ]);
    expect(isEngineError(failed)).to.equal(true);
    expect(report.source).to.equal('registry');
    expect(puller.health().every(({ state }) => state === 'closed')).to.equal(true);
  });

  it('tells a directory that cannot be written as this host’s fault, at once', async () => {
    const registry = await rig.registry({ images: { 'team/app:1': image } });
    const file = `${rig.directory}/file`;
    await writeFile(file, '');
    await chmod(file, 0o400);
    const puller = rig.puller();
    const error = await failureOf(
      puller.pullWithFailover(`${registry.host}/team/app:1`, { engine: rig.engine('file/images') }),
    );
    expect(isHostFaultError(error) || isEngineError(error)).to.equal(true);
    expect(registry.requests.filter(({ kind }) => kind === 'blob')).to.deep.equal([]);
    expect(puller.health().every(({ state }) => state === 'closed')).to.equal(true);
  });
});
