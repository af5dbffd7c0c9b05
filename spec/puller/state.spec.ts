import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { connection, metadata } from '../../lib/testing/fault-groups.js';
import { isReplicaDivergedError } from '../../lib/errors/replica-diverged-error.js';
import { divergedFrom, seededImage } from '../../lib/testing/seeded-image.js';
import { expectWhole, usePullRig } from './pull-rig.js';
import { failureOf } from '../support/failure-of.js';

const image = seededImage({ bytes: 20_000, seed: 'state' });
const other = divergedFrom(image);

describe('a stateDir', () => {
  const rig = usePullRig();

  it('lets a pull after a restart use the digest that a tag had, when nobody knows the tag', async () => {
    const own = await rig.registry({ images: { 'team/app:1': image } });
    const replica = await rig.registry({ images: { 'team/app:1': image } });
    const registries = [`${own.host}/team`, { prefix: `${replica.host}/team`, resolves: false }];
    const name = `${own.host}/team/app:1`;
    const stateDir = join(rig.directory, 'state');
    const before = rig.puller({ registries, stateDir });
    expect((await before.pullWithFailover(name)).resolution).to.equal('first-registry');
    await before.close();
    await own.setFaults([connection.refuse()]);

    const after = rig.puller({ registries, stateDir, engine: rig.engine('after') });
    expect((await after.explain(name)).rememberedDigest).to.equal(image.digest);
    const report = await after.pullWithFailover(name);

    expect(report).to.deep.include({ resolution: 'remembered', digest: image.digest });
    expect(report.served.map(({ registry }) => registry)).to.deep.equal([`${replica.host}/team`]);
    await expectWhole(rig.engine('after'), name, image);
    const forgetful = rig.puller({ registries, engine: rig.engine('forgetful') });
    expect(await failureOf(forgetful.pullWithFailover(name))).to.have.property('code', 'ERR_PULL_EXHAUSTED');
  });

  it('confirms a replica that agrees, and holds one that differs to onDivergence', async () => {
    const own = await rig.registry({ images: { 'team/app:1': image } });
    const replica = await rig.registry({ images: { 'team/app:1': image } });
    const registries = [`${own.host}/team`, `${replica.host}/team`];
    const name = `${own.host}/team/app:1`;
    const stateDir = join(rig.directory, 'state');
    await rig.puller({ registries, stateDir }).pullWithFailover(name);
    await own.setFaults([metadata.status(500)]);

    const confirmed = await rig.puller({ registries, stateDir }).pullWithFailover(name);
    expect(confirmed.resolution).to.equal('replica-confirmed');

    replica.putImage('team/app:1', other);
    const puller = rig.puller({ registries, stateDir, engine: rig.engine('diverged') });
    const failed = await failureOf(puller.pullWithFailover(name, { onDivergence: 'fail' }));
    expect(isReplicaDivergedError(failed)).to.equal(true);
    const used = await puller.pullWithFailover(name, { onDivergence: 'replica' });
    expect(used).to.deep.include({ resolution: 'replica-diverged', digest: other.digest });
    const diverged = puller.heard.filter((event) => event.type === 'replica:diverged');
    expect(diverged.map((event) => [event.registry, event.digest, event.expected, event.used])).to.deep.equal([
      [`${replica.host}/team`, other.digest, image.digest, 'none'],
      [`${replica.host}/team`, other.digest, image.digest, 'replica'],
    ]);
  });

  it('is shared by two pullers that run at the same time', async () => {
    const registry = await rig.registry({ images: { 'team/app:1': image, 'team/other:1': other } });
    const stateDir = join(rig.directory, 'state');
    const [one, two] = [rig.puller({ stateDir }), rig.puller({ stateDir, engine: rig.engine('two') })];
    await Promise.all([
      one.pullWithFailover(`${registry.host}/team/app:1`),
      two.pullWithFailover(`${registry.host}/team/other:1`),
    ]);
    await one.close();
    await two.close();
    const third = rig.puller({ stateDir });
    expect((await third.explain(`${registry.host}/team/app:1`)).rememberedDigest).to.equal(image.digest);
    expect((await third.explain(`${registry.host}/team/other:1`)).rememberedDigest).to.equal(other.digest);
  });

  it('that cannot be written or read costs no pull', async () => {
    const registry = await rig.registry({ images: { 'team/app:1': image } });
    const stateDir = join(rig.directory, 'a file');
    await writeFile(stateDir, 'not a directory');
    const report = await rig.puller({ stateDir }).pullWithFailover(`${registry.host}/team/app:1`);
    expect(report.resolution).to.equal('first-registry');
  });

  it('is not touched before something is to be remembered', async () => {
    const puller = rig.puller({ stateDir: join(rig.directory, 'state') });
    await puller.explain('redis');
    await puller.close();
    expect(await readdir(rig.directory)).to.not.include('state');
  });
});
