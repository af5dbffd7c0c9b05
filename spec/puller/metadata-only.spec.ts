import { expect } from 'chai';
import { seededImage } from '../../lib/testing/seeded-image.js';
import type { TestImage } from '../../lib/testing/test-image.js';
import { usePullRig } from './pull-rig.js';

const platforms = ['linux/amd64', 'linux/arm64'];

describe('pulls of images that are there already', () => {
  const rig = usePullRig();

  it('that follow each other reuse the connection, and ask for one document each', async () => {
    const image = seededImage({ layers: 2, platforms });
    const registry = await rig.registry({ images: { 'team/redis:3.0': image, 'team/redis:latest': image } });
    const puller = rig.puller({ registries: [{ prefix: registry.host, maxConnections: 1 }], platform: 'linux/amd64' });
    await puller.pullWithFailover(`${registry.host}/team/redis:3.0`);
    const { connections } = registry;
    const before = registry.requests.length;

    for (const tag of ['latest', '3.0', 'latest']) await puller.pullWithFailover(`${registry.host}/team/redis:${tag}`);

    expect(registry.requests.slice(before).map(({ method, object }) => `${method} ${object}`)).to.deep.equal([
      'GET latest',
      'GET 3.0',
      'GET latest',
    ]);
    expect(registry.connections).to.equal(connections);
  });

  it('a hundred of them at once, of a hundred names, ask for one document each over the connections allowed', async () => {
    const images: Record<string, TestImage> = {};
    for (let at = 0; at < 100; at += 1) {
      images[`team/app${at % 10}:${at}`] = seededImage({ seed: `app ${at % 10}`, bytes: 1_000, platforms });
    }
    const registry = await rig.registry({ images });
    const puller = rig.puller({ registries: [{ prefix: registry.host, maxConnections: 4 }], platform: 'linux/amd64' });
    const names = Object.keys(images).map((name) => `${registry.host}/${name}`);
    for (const name of names.slice(0, 10)) await puller.pullWithFailover(name);
    const before = registry.requests.length;

    const reports = await Promise.all(names.map((name) => puller.pullWithFailover(name)));

    const asked = registry.requests.slice(before);
    expect(asked.map(({ kind }) => kind)).to.deep.equal(names.map(() => 'manifest'));
    expect(new Set(asked.map(({ repository, object }) => `${repository}:${object}`)).size).to.equal(100);
    expect(new Set(asked.map(({ connection }) => connection)).size).to.be.at.most(4);
    expect(reports.map(({ source }) => source)).to.deep.equal(names.map(() => 'registry'));
    const named = (await rig.engine().listImages()).map(({ name }) => name);
    expect(named).to.have.members(names);
  });
});
