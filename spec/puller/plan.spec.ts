import { expect } from 'chai';
import { isImageRefusedError } from '../../lib/errors/image-refused-error.js';
import { isPullDeadlineError } from '../../lib/errors/pull-deadline-error.js';
import { isReplicaDivergedError } from '../../lib/errors/replica-diverged-error.js';
import { layers, metadata } from '../../lib/testing/fault-groups.js';
import type { RegistryDouble } from '../../lib/testing/registry-double.js';
import { seededImage } from '../../lib/testing/seeded-image.js';
import { expectWhole, usePullRig } from './pull-rig.js';
import { failureOf } from '../support/failure-of.js';

const image = seededImage({ bytes: 20_000, seed: 'plan' });
const images = { 'team/app:1': image, 'other/app:1': image };

describe('the plan of a pull', () => {
  const rig = usePullRig();
  let first: RegistryDouble;
  let second: RegistryDouble;
  let third: RegistryDouble;
  let prefixes: readonly string[];
  let name: string;

  beforeEach(async () => {
    [first, second, third] = (await Promise.all([1, 2, 3].map(() => rig.registry({ images })))) as [
      RegistryDouble,
      RegistryDouble,
      RegistryDouble,
    ];
    prefixes = [first, second, third].map(({ host }) => `${host}/team`);
    name = `${first.host}/team/app:1`;
  });

  const askedOf = (registry: RegistryDouble): number => registry.requests.length;

  it('is the order of the list, for any name the set is known by', async () => {
    const puller = rig.puller({ registries: prefixes });
    const report = await puller.pullWithFailover(`${third.host}/team/app:1`);
    expect(report.image).to.equal(`${third.host}/team/app:1`);
    expect(report.served.map(({ registry }) => registry)).to.deep.equal([prefixes[0]]);
    await expectWhole(rig.engine(), `${third.host}/team/app:1`, image);
    const planned = puller.heard.find((event) => event.type === 'pull:planned');
    expect(planned).to.deep.include({ replicaSet: 'default', route: 'layout' });
    expect(planned?.order).to.deep.equal({ metadata: prefixes, layers: prefixes });
    expect(planned?.candidates).to.deep.equal(
      prefixes.map((registry) => ({ registry, repository: 'team/app', metadata: 'listed', layers: 'listed' })),
    );
  });

  it('begins with what the kind of operation wants; the others follow in the order of the list', async () => {
    const [a = '', b = '', c = ''] = prefixes;
    const puller = rig.puller({ registries: prefixes, operations: { database: { order: [c] } } });
    const report = await puller.pullWithFailover(name, { operation: { kind: 'database', id: 'op-1' } });
    expect(report.served.map(({ registry }) => registry)).to.deep.equal([c]);
    expect(report.resolution, 'first in its own order').to.equal('first-registry');
    const planned = puller.heard.find((event) => event.type === 'pull:planned');
    expect(planned?.order.layers).to.deep.equal([c, a, b]);
    expect(planned?.candidates.map((candidate) => candidate.layers)).to.deep.equal([
      'ordered-for-kind',
      'listed',
      'listed',
    ]);
    expect(askedOf(first) + askedOf(second)).to.equal(0);
    const other = await puller.pullWithFailover(name, { operation: { kind: 'app' } });
    expect(other.served.map(({ registry }) => registry)).to.deep.equal([a]);
  });

  it('takes the order of the pull before that of its kind', async () => {
    const [, b = '', c = ''] = prefixes;
    const puller = rig.puller({ registries: prefixes, operations: { database: { order: [c] } } });
    const report = await puller.pullWithFailover(name, { operation: { kind: 'database' }, order: [b] });
    expect(report.served.map(({ registry }) => registry)).to.deep.equal([b]);
  });

  it('lets each kind have its own deadline, its own word on exhaustion and on unverified replicas', async () => {
    await first.setFaults([metadata.noHeaders()]);
    await second.setFaults([metadata.noHeaders()]);
    const puller = rig.puller({
      registries: prefixes.slice(0, 2),
      timeouts: { metadata: { requestMs: 5_000 } },
      transfer: { hedge: { metadataMs: Infinity } },
      deadlineMs: 60_000,
      operations: {
        quick: { deadlineMs: 150 },
        strict: { onUnverified: 'fail', timeouts: { metadata: { requestMs: 100, totalMs: 200 } } },
      },
    });
    const late = await failureOf(puller.pullWithFailover(name, { operation: { kind: 'quick' } }));
    expect(isPullDeadlineError(late) && [late.limit, late.timeoutMs]).to.deep.equal(['deadlineMs', 150]);

    await second.setFaults([]);
    const unverified = await failureOf(puller.pullWithFailover(name, { operation: { kind: 'strict' } }));
    expect(isReplicaDivergedError(unverified)).to.equal(true);
    const accepted = await puller.pullWithFailover(name, {
      operation: { kind: 'lenient' },
      timeouts: { metadata: { requestMs: 100, totalMs: 200 } },
    });
    expect(accepted.resolution).to.equal('replica-unverified');
  });

  it('leaves an image outside every set to its own registry', async () => {
    const puller = rig.puller({ registries: prefixes });
    const report = await puller.pullWithFailover(`${second.host}/other/app:1`);
    expect(report).to.deep.include({ replicaSet: null });
    expect(report.served.map(({ registry }) => registry)).to.deep.equal([second.host]);
    const planned = puller.heard.find((event) => event.type === 'pull:planned');
    expect(planned?.candidates).to.deep.equal([
      { registry: second.host, repository: 'other/app', metadata: 'own-registry', layers: 'own-registry' },
    ]);
    expect(askedOf(first) + askedOf(third)).to.equal(0);
  });

  it('refuses an image outside every set where the host says so, and asks nobody', async () => {
    const puller = rig.puller({ registries: prefixes, unlisted: 'refuse' });
    const error = await failureOf(puller.pullWithFailover(`${second.host}/other/app:1`));
    expect(isImageRefusedError(error) && error.option).to.equal('unlisted');
    expect(isImageRefusedError(await failureOf(puller.explain(`${second.host}/other/app:1`)))).to.equal(true);
    expect([first, second, third].map(askedOf)).to.deep.equal([0, 0, 0]);
    expect((await puller.pullWithFailover(name)).replicaSet).to.equal('default');
  });

  describe('with allowHost', () => {
    it('is made only for hosts that the host allows', async () => {
      const asked: string[] = [];
      const puller = rig.puller({
        registries: prefixes,
        allowHost: (host) => {
          asked.push(host);
          return host === first.host;
        },
      });
      expect((await puller.pullWithFailover(name)).source).to.equal('registry');
      const error = await failureOf(puller.pullWithFailover(`${second.host}/other/app:1`));
      expect(isImageRefusedError(error) && error.option).to.equal('allowHost');
      expect(isImageRefusedError(await failureOf(puller.explain('redis')))).to.equal(true);
      expect(asked).to.deep.equal([first.host, second.host, 'docker.io']);
      expect(askedOf(second)).to.equal(0);
    });

    it('is asked about a place by its usual name, however the image spells it', async () => {
      const asked: string[] = [];
      const puller = rig.puller({
        allowHost: (host) => {
          asked.push(host);
          return false;
        },
      });
      const hosts = ['registry-1.docker.io', 'index.docker.io:443', 'quay.io:443', 'Quay.io:0443', '[::1]:443'];
      for (const host of hosts) {
        const error = await failureOf(puller.explain(`${host}/team/app`));
        expect(isImageRefusedError(error) && error.option).to.equal('allowHost');
      }
      expect(asked).to.deep.equal(['docker.io', 'docker.io', 'quay.io', 'quay.io', '[::1]:443']);
    });

    for (const [what, allowHost, says] of [
      ['throws', () => JSON.parse('no JSON') as boolean, /failed for/],
      ['returns a promise', (async () => true) as unknown as () => boolean, /must return true or false, got object/],
      [
        'returns a promise that rejects',
        (() => Promise.reject(new Error('no'))) as unknown as () => boolean,
        /must return true or false, got object/,
      ],
      ['returns nothing', (() => {}) as unknown as () => boolean, /must return true or false, got undefined/],
    ] as const) {
      it(`is not made when allowHost ${what}: only a clear yes is one`, async () => {
        const error = await failureOf(rig.puller({ allowHost }).pullWithFailover(name));
        expect(isImageRefusedError(error) && error.message).to.match(says);
        expect(askedOf(first)).to.equal(0);
      });
    }
  });

  it('never contacts a name that is only a name', async () => {
    const puller = rig.puller({ registries: [{ prefix: `${first.host}/team`, contact: false }, ...prefixes.slice(1)] });
    const report = await puller.pullWithFailover(name);
    await expectWhole(rig.engine(), name, image);
    expect(report.image).to.equal(name);
    expect(report.served.map(({ registry }) => registry)).to.deep.equal([prefixes[1]]);
    expect(report.resolution).to.equal('first-registry');
    expect(askedOf(first)).to.equal(0);
    expect(puller.health().map(({ registry }) => registry)).to.not.include(prefixes[0]);
  });

  it('refuses an image whose set has nobody to contact', async () => {
    const puller = rig.puller({ registries: [{ prefix: `${first.host}/team`, contact: false }] });
    const error = await failureOf(puller.pullWithFailover(name));
    expect(isImageRefusedError(error) && error.option).to.equal('contact');
  });

  it('asks a registry that resolves no tags only for digests', async () => {
    const puller = rig.puller({
      registries: [{ prefix: `${first.host}/team`, resolves: false }, `${second.host}/team`],
    });
    const report = await puller.pullWithFailover(name);
    expect(report.resolution).to.equal('first-registry');
    expect(first.requests.filter(({ kind }) => kind === 'manifest')).to.deep.equal([]);
    expect(second.requests.filter(({ kind }) => kind === 'blob')).to.deep.equal([]);
    expect(report.served.map(({ registry, objects }) => [registry, objects])).to.deep.equal([
      [prefixes[0], 2],
      [prefixes[1], 1],
    ]);
    const byDigest = await puller.pullWithFailover(`${first.host}/team/app@${image.digest}`, {
      engine: rig.engine('by digest'),
    });
    expect(byDigest.resolution).to.equal('digest-given');
    expect(first.requests.filter(({ kind }) => kind === 'manifest')).to.have.length(1);
  });

  it('goes through to any registry of the list, in order, while those above fail', async () => {
    await first.setFaults([metadata.missing()]);
    await second.setFaults([layers.missing()]);
    const puller = rig.puller({ registries: prefixes });
    const report = await puller.pullWithFailover(name);
    const [a, b, c] = prefixes;
    expect(report.attempts.map(({ registry, phase, verdict }) => [registry, phase, verdict])).to.deep.include.members([
      [a, 'metadata', 'next'],
    ]);
    expect(report.served.map(({ registry }) => registry)).to.deep.equal([a, b]);
    expect(askedOf(third), `${c} was not needed`).to.equal(0);
    await expectWhole(rig.engine(), name, image);
  });

  describe('explained', () => {
    it('is what a pull would do now, with the reason of each place, and asks nobody', async () => {
      const [a = '', b = '', c = ''] = prefixes;
      const puller = rig.puller({ registries: prefixes, operations: { database: { order: [b] } } });
      expect(await puller.explain(name)).to.deep.equal({
        image: name,
        replicaSet: 'default',
        candidates: prefixes.map((registry) => ({
          registry,
          repository: 'team/app',
          metadata: 'listed',
          layers: 'listed',
        })),
        order: { metadata: prefixes, layers: prefixes },
        rememberedDigest: null,
      });
      const ofDatabase = await puller.explain(name, { operation: { kind: 'database' } });
      expect(ofDatabase.order).to.deep.equal({ metadata: [b, a, c], layers: [b, a, c] });
      expect([first, second, third].map(askedOf)).to.deep.equal([0, 0, 0]);
      expect(puller.heard).to.deep.equal([]);
    });

    it('tells what is remembered of the tag, and nothing for a digest', async () => {
      const puller = rig.puller({ registries: prefixes });
      await puller.pullWithFailover(name);
      expect((await puller.explain(name)).rememberedDigest).to.equal(image.digest);
      const byDigest = await puller.explain(`${first.host}/team/app@${image.digest}`);
      expect(byDigest.rememberedDigest).to.equal(null);
    });

    it('says own-registry of an image outside every set', async () => {
      const { replicaSet, candidates } = await rig.puller({ registries: prefixes }).explain('redis');
      expect(replicaSet).to.equal(null);
      expect(candidates).to.deep.equal([
        { registry: 'docker.io', repository: 'library/redis', metadata: 'own-registry', layers: 'own-registry' },
      ]);
    });
  });
});
