import { expect } from 'chai';
import type { RegistryDouble } from '../../lib/testing/registry-double.js';
import { connection, layers } from '../../lib/testing/fault-groups.js';
import { seededImage } from '../../lib/testing/seeded-image.js';
import { expectWhole, usePullRig } from './pull-rig.js';
import { failureOf } from '../support/failure-of.js';

const image = seededImage({ layers: 2, bytes: 20_000, seed: 'credentials' });
const images = { 'team/app:1': image, 'team/app:2': seededImage({ bytes: 5_000, seed: 'credentials 2' }) };
const users = { robot: 'right password' };
const right = { username: 'robot', password: users.robot };

describe('credentials given for one pull', () => {
  const rig = usePullRig();

  const withAuthorization = (registry: RegistryDouble): number =>
    registry.requests.filter(({ authorization }) => authorization !== 'none').length;

  it('open the image’s own registry', async () => {
    for (const kind of ['basic', 'bearer'] as const) {
      const registry = await rig.registry({ images, auth: { kind, users } });
      const engine = rig.engine(kind);
      const puller = rig.puller({ engine });
      const name = `${registry.host}/team/app:1`;
      const denied = await failureOf(puller.pullWithFailover(name));
      expect(denied).to.have.property('code', 'ERR_PULL_EXHAUSTED');
      expect(denied)
        .to.have.property('attempts')
        .that.satisfies((attempts: readonly { reason: { cause: string } }[]) =>
          attempts.every(({ reason }) => reason.cause === 'credentials'),
        );
      await puller.pullWithFailover(name, { credentials: right });
      await expectWhole(engine, name, image);
    }
  });

  it('are never shown to a replica, not when it takes everything over', async () => {
    const own = await rig.registry({
      images,
      auth: { kind: 'bearer', users },
      faults: [layers.reset({ afterBytes: 5_000 })],
    });
    const replica = await rig.registry({ images });
    const puller = rig.puller({ registries: [`${own.host}/team`, `${replica.host}/team`] });
    const name = `${own.host}/team/app:1`;
    const report = await puller.pullWithFailover(name, { credentials: right });
    await expectWhole(rig.engine(), name, image);
    expect(report.failovers).to.have.length(1);
    expect(replica.requests.length).to.be.at.least(1);
    expect(withAuthorization(replica)).to.equal(0);
    expect(withAuthorization(own)).to.be.at.least(2);

    await own.setFaults([connection.refuse()]);
    await puller.pullWithFailover(`${own.host}/team/app:2`, { credentials: right });
    expect(withAuthorization(replica)).to.equal(0);
  });

  it('are bound to the host of the name, not to the first registry of the list', async () => {
    const first = await rig.registry({ images });
    const own = await rig.registry({ images, auth: { kind: 'basic', users } });
    const puller = rig.puller({ registries: [`${first.host}/team`, `${own.host}/team`] });
    await first.setFaults([layers.status(503)]);
    await puller.pullWithFailover(`${own.host}/team/app:1`, { credentials: right });
    expect(withAuthorization(first)).to.equal(0);
    expect(withAuthorization(own)).to.be.at.least(1);
  });

  it('are gone with the pull: the next one without them is denied', async () => {
    const registry = await rig.registry({ images, auth: { kind: 'bearer', users } });
    const puller = rig.puller();
    await puller.pullWithFailover(`${registry.host}/team/app:1`, { credentials: right });
    const denied = await failureOf(puller.pullWithFailover(`${registry.host}/team/app:2`));
    expect(denied).to.have.property('code', 'ERR_PULL_EXHAUSTED');
    const wrong = { username: 'robot', password: 'wrong password' };
    const refused = await failureOf(puller.pullWithFailover(`${registry.host}/team/app:2`, { credentials: wrong }));
    expect(refused).to.have.property('code', 'ERR_PULL_EXHAUSTED');
  });

  it('may come from a callback, which is told the host', async () => {
    const registry = await rig.registry({ images, auth: { kind: 'basic', users } });
    const asked: string[] = [];
    const report = await rig.puller().pullWithFailover(`${registry.host}/team/app:1`, {
      credentials: async ({ registry: host }) => {
        asked.push(host);
        return right;
      },
    });
    expect(report.source).to.equal('registry');
    expect(new Set(asked)).to.deep.equal(new Set([registry.host]));
  });

  it('that cannot be read fail the pull as credentials, not as a registry', async () => {
    const registry = await rig.registry({ images, auth: { kind: 'basic', users } });
    const puller = rig.puller();
    const error = await failureOf(
      puller.pullWithFailover(`${registry.host}/team/app:1`, {
        credentials: () => {
          throw new Error('the vault is sealed');
        },
      }),
    );
    expect(error).to.have.property('code', 'ERR_PULL_EXHAUSTED');
    expect(puller.health().every(({ state }) => state === 'closed')).to.equal(true);
    expect(String(error)).to.match(/credentials/i);
  });
});

describe('credentials that had worked and are rejected', () => {
  const rig = usePullRig();

  it('are read once more, and the pull goes on with the new ones without a word', async () => {
    const registry = await rig.registry({ images, auth: { kind: 'basic', users } });
    let password = users.robot;
    let reads = 0;
    const puller = rig.puller({
      registries: [
        {
          prefix: `${registry.host}/team`,
          credentials: () => {
            reads += 1;
            return { username: 'robot', password };
          },
        },
      ],
    });
    await puller.pullWithFailover(`${registry.host}/team/app:1`);
    const before = reads;
    password = 'rotated';
    registry.setAuth({ kind: 'basic', users: { robot: password } });
    await puller.pullWithFailover(`${registry.host}/team/app:2`);
    expect(reads - before).to.equal(1);
    expect(puller.heard.map(({ type }) => type)).to.not.include('registry:credentials-rejected');
  });

  it('are told once per pull and registry, when the new ones are rejected too', async () => {
    const registry = await rig.registry({ images, auth: { kind: 'bearer', users } });
    const replica = await rig.registry({ images });
    const prefix = `${registry.host}/team`;
    const puller = rig.puller({ registries: [{ prefix, credentials: right }, `${replica.host}/team`] });
    await puller.pullWithFailover(`${registry.host}/team/app:1`);
    registry.setAuth({ kind: 'bearer', users: { robot: 'rotated, and nobody told us' } });
    registry.revokeTokens();

    const report = await puller.pullWithFailover(`${registry.host}/team/app:2`, { engine: rig.engine('second') });

    const rejected = puller.heard.filter((event) => event.type === 'registry:credentials-rejected');
    expect(rejected).to.have.length(1);
    expect(rejected[0]).to.deep.include({ registry: prefix, pullId: report.pullId });
    expect(rejected[0]?.reason).to.deep.include({ cause: 'credentials', code: 'credentials-rejected' });
    expect(JSON.stringify(rejected)).to.not.include(users.robot);
    expect(report.served.map(({ registry: from }) => from)).to.deep.equal([`${replica.host}/team`]);
    expect(puller.health().every(({ state }) => state === 'closed')).to.equal(true);
  });
});
