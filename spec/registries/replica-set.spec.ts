import { expect } from 'chai';
import fc from 'fast-check';
import { isImageRefusedError } from '../../lib/errors/image-refused-error.js';
import { isInvalidOptionError } from '../../lib/errors/invalid-option-error.js';
import { parseReference } from '../../lib/image/reference.js';
import type { DockerConfig } from '../../lib/registries/docker-config.js';
import { parseReplicaSets, type ReplicaSets, type ReplicaSetsOptions } from '../../lib/registries/replica-set.js';

const dockerConfig: DockerConfig = { credentials: () => ({ get: () => Promise.resolve(null) }) };

function parse(options: Omit<ReplicaSetsOptions, 'dockerConfig'>): ReplicaSets {
  return parseReplicaSets({ ...options, dockerConfig });
}

function placed(sets: ReplicaSets, image: string): { readonly set: string | null; readonly places: readonly string[] } {
  const { replicaSet, places } = sets.place(parseReference(image));
  return { set: replicaSet, places: places.map(({ registry, repository }) => `${registry.prefix} ${repository}`) };
}

describe('replica sets', () => {
  it('give an image its place at each registry of its set, in their order', () => {
    const sets = parse({
      registries: ['quay.io/aptible', 'docker.io/aptible', '10.0.0.5:5000/mirror/quay.io/aptible', 'localhost:5001'],
    });
    const places = [
      'quay.io/aptible db/redis',
      'docker.io/aptible db/redis',
      '10.0.0.5:5000/mirror/quay.io/aptible db/redis',
      'localhost:5001 db/redis',
    ].map((place) => {
      const [prefix = '', rest = ''] = place.split(' ');
      const path = prefix.split('/').slice(1).join('/');
      return `${prefix} ${path === '' ? rest : `${path}/${rest}`}`;
    });
    for (const image of [
      'quay.io/aptible/db/redis:3.0',
      'aptible/db/redis',
      'localhost:5001/db/redis@sha256:' + 'a'.repeat(64),
    ]) {
      expect(placed(sets, image)).to.deep.equal({ set: 'default', places });
    }
  });

  it('match whole components only', () => {
    const sets = parse({ registries: ['quay.io/aptible', 'docker.io/aptible'] });
    expect(placed(sets, 'quay.io/aptible-evil/redis').set).to.equal(null);
    expect(placed(sets, 'quay.io/apt/redis').set).to.equal(null);
    expect(placed(sets, 'quay.io/other/aptible/redis').set).to.equal(null);
    expect(placed(sets, 'quay.io:8443/aptible/redis').set).to.equal(null);
    expect(placed(sets, 'quay.io.evil.example/aptible/redis').set).to.equal(null);
  });

  it('prefer the longest prefix, over all sets', () => {
    const sets = parse({
      replicaSets: [
        { name: 'everything', registries: ['quay.io', 'mirror.example/quay'] },
        { name: 'ours', registries: ['quay.io/aptible', 'docker.io/aptible'] },
        { name: 'redis', registries: ['ghcr.io/redis', 'quay.io/aptible/db/redis'] },
      ],
    });
    expect(placed(sets, 'quay.io/other/x').set).to.equal('everything');
    expect(placed(sets, 'quay.io/aptible/db/mysql').set).to.equal('ours');
    expect(placed(sets, 'quay.io/aptible/db/redis').set).to.equal('redis');
    expect(placed(sets, 'quay.io/aptible/db/redis/x')).to.deep.equal({
      set: 'redis',
      places: ['ghcr.io/redis redis/x', 'quay.io/aptible/db/redis aptible/db/redis/x'],
    });
  });

  it('find Docker Hub under each of its names, and official images in library', () => {
    const sets = parse({ registries: ['index.docker.io', 'quay.io/hub'] });
    for (const image of [
      'redis',
      'docker.io/redis',
      'index.docker.io/library/redis',
      'registry-1.docker.io/library/redis',
    ]) {
      expect(placed(sets, image)).to.deep.equal({
        set: 'default',
        places: ['docker.io library/redis', 'quay.io/hub hub/library/redis'],
      });
    }
  });

  it('may be of one repository, which a registry given as a whole host has no place for', () => {
    const sets = parse({ registries: ['quay.io/aptible/redis', 'docker.io/aptible/redis', 'localhost:5000'] });
    expect(placed(sets, 'quay.io/aptible/redis').places).to.deep.equal([
      'quay.io/aptible/redis aptible/redis',
      'docker.io/aptible/redis aptible/redis',
    ]);
  });

  it('list their registries', () => {
    const sets = parse({
      replicaSets: [
        { name: 'a', registries: ['a.example', 'b.example'] },
        { name: 'b', registries: ['c.example'] },
      ],
    });
    expect(sets.registries.map(({ prefix }) => prefix)).to.deep.equal(['a.example', 'b.example', 'c.example']);
    expect(sets.sets.map(({ name }) => name)).to.deep.equal(['a', 'b']);
  });

  it('agree with a search through all prefixes, whatever they are', () => {
    const word = fc.constantFrom('a', 'b', 'ab', 'a-b');
    const path = fc.array(word, { maxLength: 3 });
    const host = fc.constantFrom('x.example', 'y.example', 'x.example:5000');
    const name = fc.tuple(host, path).map(([first, rest]) => [first, ...rest].join('/'));
    const prefixes = fc.uniqueArray(name, { minLength: 1, maxLength: 8 });
    const image = fc.tuple(host, path, word).map(([first, rest, last]) => [first, ...rest, last].join('/'));
    fc.assert(
      fc.property(prefixes, image, (all, wanted) => {
        const sets = parse({ replicaSets: all.map((prefix, index) => ({ name: `s${index}`, registries: [prefix] })) });
        const best = all
          .map((prefix, index) => ({ prefix, name: `s${index}` }))
          .filter(({ prefix }) => `${wanted}/`.startsWith(`${prefix}/`))
          .toSorted((one, other) => other.prefix.length - one.prefix.length)[0];
        expect(placed(sets, wanted).set).to.equal(best?.name ?? null);
      }),
    );
  });

  describe('leave an image outside them', () => {
    it('to its own registry alone', () => {
      const sets = parse({ registries: ['quay.io/aptible'] });
      expect(placed(sets, 'ghcr.io/x/y:1')).to.deep.equal({ set: null, places: ['ghcr.io x/y'] });
      expect(placed(sets, 'redis')).to.deep.equal({ set: null, places: ['docker.io library/redis'] });
      expect(placed(sets, 'registry-1.docker.io/library/redis').places).to.deep.equal(['docker.io library/redis']);
    });

    it('also when there are none', () => {
      expect(placed(parse({}), 'quay.io/aptible/redis').places).to.deep.equal(['quay.io aptible/redis']);
    });

    it('at one registry per host, as long as few hundred hosts are in use', () => {
      const sets = parse({ unlisted: 'own-registry' });
      const registryOf = (image: string): unknown => sets.place(parseReference(image)).places[0]?.registry;
      const first = registryOf('ghcr.io/x/y');
      expect(registryOf('ghcr.io/z')).to.equal(first);
      for (let host = 0; host < 255; host += 1) registryOf(`h${host}.example/x`);
      expect(registryOf('ghcr.io/z'), 'still among those used last').to.equal(first);
      for (let host = 0; host < 256; host += 1) registryOf(`h${host}.example/x`);
      expect(registryOf('ghcr.io/z'), 'forgotten, and made again').to.not.equal(first);
      expect(sets.registries).to.deep.equal([]);
    });

    it(`to nobody with unlisted: 'refuse'`, () => {
      const sets = parse({ registries: ['quay.io/aptible'], unlisted: 'refuse' });
      expect(placed(sets, 'quay.io/aptible/redis').set).to.equal('default');
      expect(() => sets.place(parseReference('ghcr.io/x/y:1')))
        .to.throw('ghcr.io/x/y:1')
        .that.satisfies(
          (error: unknown) =>
            isImageRefusedError(error) && error.option === 'unlisted' && error.image === 'ghcr.io/x/y:1',
        );
    });
  });

  describe('are refused', () => {
    const set = (name: unknown, ...registries: readonly unknown[]): unknown => ({ name, registries });
    const refused: readonly {
      readonly title: string;
      readonly options: Omit<ReplicaSetsOptions, 'dockerConfig'>;
      readonly option: string;
      readonly says: string;
    }[] = [
      {
        title: 'beside registries',
        options: { registries: ['quay.io'], replicaSets: [set('a', 'ghcr.io')] },
        option: 'replicaSets',
        says: 'contradicts registries',
      },
      { title: 'as no array', options: { registries: 'quay.io' }, option: 'registries', says: 'must be an array' },
      { title: 'as null', options: { replicaSets: null }, option: 'replicaSets', says: 'must be an array' },
      { title: 'without registries', options: { registries: [] }, option: 'registries', says: 'at least a registry' },
      { title: 'without sets', options: { replicaSets: [] }, option: 'replicaSets', says: 'at least a replica set' },
      {
        title: 'with a hole',
        // oxlint-disable-next-line no-sparse-arrays
        options: { registries: ['quay.io', , 'ghcr.io'] },
        option: 'registries[1]',
        says: 'must be a prefix',
      },
      {
        title: 'without a name',
        options: { replicaSets: [set(undefined, 'quay.io')] },
        option: 'replicaSets[0].name',
        says: 'is missing',
      },
      {
        title: 'with an empty name',
        options: { replicaSets: [set('', 'quay.io')] },
        option: 'replicaSets[0].name',
        says: 'non-empty',
      },
      {
        title: 'with an empty set',
        options: { replicaSets: [set('a')] },
        option: 'replicaSets[0].registries',
        says: 'at least a registry',
      },
      {
        title: 'with an unknown key',
        options: { replicaSets: [{ name: 'a', registries: ['quay.io'], mirrors: [] }] },
        option: 'replicaSets[0].mirrors',
        says: 'unknown',
      },
      {
        title: 'with a name used twice',
        options: { replicaSets: [set('a', 'quay.io'), set('b', 'ghcr.io'), set('a', 'x.example')] },
        option: 'replicaSets[2].name',
        says: 'repeats the name "a" of replicaSets[0]',
      },
      {
        title: 'with a prefix twice in a set',
        options: { registries: ['quay.io/a', 'ghcr.io', { prefix: 'quay.io/a' }] },
        option: 'registries[2]',
        says: 'repeats "quay.io/a"',
      },
      {
        title: 'with a prefix in two sets',
        options: { replicaSets: [set('a', 'ghcr.io', 'quay.io/a'), set('b', 'quay.io/a')] },
        option: 'replicaSets[1].registries[0]',
        says: 'replicaSets[0].registries[1]',
      },
      {
        title: 'with Docker Hub under two of its names',
        options: { registries: ['docker.io/a', 'index.docker.io/a'] },
        option: 'registries[1]',
        says: 'repeats "docker.io/a"',
      },
      {
        title: `with Docker Hub and Docker Hub's API`,
        options: { registries: ['registry-1.docker.io', 'docker.io'] },
        option: 'registries[1]',
        says: 'repeats "docker.io"',
      },
      {
        title: 'with one host in two cases',
        options: { registries: ['Quay.IO/a', 'quay.io/a'] },
        option: 'registries[1]',
        says: 'repeats',
      },
      {
        title: 'with one place with and without its port',
        options: { registries: ['quay.io/a', 'quay.io:443/a'] },
        option: 'registries[1]',
        says: 'repeats',
      },
      {
        title: 'with a malformed registry',
        options: { replicaSets: [set('a', 'quay.io', 'nohost/x')] },
        option: 'replicaSets[0].registries[1]',
        says: 'must start with a host',
      },
      { title: 'with another unlisted', options: { unlisted: 'deny' }, option: 'unlisted', says: `'own-registry'` },
      {
        title: 'when they are missing and unlisted images are refused',
        options: { unlisted: 'refuse' },
        option: 'unlisted',
        says: 'contradicts',
      },
    ];
    for (const { title, options, option, says } of refused) {
      it(`${title}, naming the option`, () => {
        expect(() => parse(options))
          .to.throw(says)
          .that.satisfies((error: unknown) => isInvalidOptionError(error) && error.option === option);
      });
    }

    it('without showing a secret in the wrong place', () => {
      const misplaced = { name: 'a', registries: ['quay.io'], password: 'hunter2' };
      expect(() => parse({ replicaSets: [misplaced] }))
        .to.throw('replicaSets[0].password is unknown')
        .with.property('message')
        .that.does.not.include('hunter2');
    });

    it('not for prefixes of each other', () => {
      expect(() => parse({ registries: ['quay.io', 'quay.io/a', 'quay.io/ab'] })).to.not.throw();
    });
  });
});
