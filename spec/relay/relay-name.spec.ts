import { expect } from 'chai';
import fc from 'fast-check';
import { ownOwner } from '../../lib/files/process-owner.js';
import { parseReference } from '../../lib/image/reference.js';
import { digestTag, parseRelayName, relayName } from '../../lib/relay/relay-name.js';

const instance = '4711-123456-0123456789ab-4026531836';
const hex = '0123456789abcdef'.repeat(4);
const address = '127.0.0.1:40001';

describe('the name of an image on a relay', () => {
  const table: readonly (readonly [image: string, repository: string, tag: string])[] = [
    ['quay.io/aptible/redis:3.0', 'quay.io/aptible/redis', '3.0'],
    ['redis', 'docker.io/library/redis', 'latest'],
    ['localhost:5000/a/b:x', 'localhost_5000/a/b', 'x'],
    ['localhost/a:x', 'localhost/a', 'x'],
    ['10.0.0.5:5000/mirror/quay.io/a:1', '10.0.0.5_5000/mirror/quay.io/a', '1'],
    ['xn--bcher-kva.example/a__b/c-d:1', 'xn--bcher-kva.example/a__b/c-d', '1'],
    [`quay.io/a/b@sha256:${hex}`, 'quay.io/a/b', `digest-sha256-${hex}`],
    [`quay.io/a/b:1@sha256:${hex}`, 'quay.io/a/b', '1'],
    [`quay.io/a/b@sha512:${hex}${hex}`, 'quay.io/a/b', `digest-sha512-${hex}`],
  ];
  for (const [image, path, tag] of table) {
    it(`of ${image.slice(0, 50)} is ${path}:${tag.slice(0, 20)}`, () => {
      const reference = parseReference(image);
      const name = relayName(reference, instance);
      expect(name).to.deep.equal({ repository: `pull-failover/${instance}/${path}`, tag });
      expect(parseRelayName(`${address}/${name.repository}:${name.tag}`)).to.deep.equal({
        address,
        instance,
        canonicalName: reference.name,
        tag,
        digest: null,
      });
    });
  }

  it('is read back from a name with a digest, with a tag and without', () => {
    const name = `${address}/pull-failover/${instance}/quay.io/a/b`;
    const digest = `sha256:${hex}`;
    expect(parseRelayName(`${name}@${digest}`)).to.include({ canonicalName: 'quay.io/a/b', tag: null, digest });
    expect(parseRelayName(`${name}:1@${digest}`)).to.include({ canonicalName: 'quay.io/a/b', tag: '1', digest });
  });

  for (const image of ['[::1]:5000/a/b:1', `quay.io/${'a'.repeat(200)}:1`]) {
    it(`of ${image.slice(0, 20)}… is a hash, from which the image cannot be told`, () => {
      const { repository, tag } = relayName(parseReference(image), instance, address);
      expect(repository).to.match(new RegExp(`^pull-failover/${instance}/long/[a-f0-9]{32}$`));
      expect(parseRelayName(`${address}/${repository}:${tag}`)).to.include({ instance, canonicalName: null, tag: '1' });
    });
  }

  it('has a hash of its own for each image', () => {
    const one = relayName(parseReference('[::1]:5000/a/b'), instance);
    const other = relayName(parseReference('[::1]:5000/a/c'), instance);
    expect(one.repository).to.not.equal(other.repository);
  });

  it('is never longer than 255 characters with its address, and is a repository of the grammar', () => {
    const component = fc.stringMatching(/^[a-z0-9]{1,40}(?:(?:\.|_|__|-{1,3})[a-z0-9]{1,20}){0,2}$/);
    const host = fc.constantFrom('quay.io', 'docker.io', 'a.b:5', 'localhost:65535', '[::1]', 'xn--bcher-kva.example');
    const where = fc.constantFrom('127.0.0.1:1', '127.0.0.1:65535', `${'relay.'.repeat(10)}example:12345`);
    fc.assert(
      fc.property(host, fc.array(component, { minLength: 1, maxLength: 4 }), where, (registry, components, at) => {
        const path = components.join('/');
        fc.pre(path.length <= 255);
        const reference = parseReference(`${registry}/${path}:1`);
        const { repository } = relayName(reference, instance, at);
        expect(`${at}/${repository}`.length).to.be.at.most(255);
        expect(parseReference(`${at}/${repository}:1`).path).to.equal(repository);
        const parsed = parseRelayName(`${at}/${repository}:1`);
        expect(parsed?.instance).to.equal(instance);
        if (parsed?.canonicalName !== null) expect(parsed?.canonicalName).to.equal(reference.name);
      }),
    );
  });

  it('has room for the words that stand for this process', () => {
    const { repository, tag } = relayName(parseReference('quay.io/a/b:1'), ownOwner());
    expect(parseRelayName(`${address}/${repository}:${tag}`)?.instance).to.equal(ownOwner());
  });

  it('ends in a tag that a digest can be told from', () => {
    expect(digestTag(parseReference(`a@sha256:${hex}`).digest ?? ('' as never))).to.equal(`digest-sha256-${hex}`);
  });

  for (const [what, name] of [
    ['an image of somebody else on the same address', '127.0.0.1:5001/x:1'],
    ['a repository of a user who is called so', `127.0.0.1:5001/pull-failover/app:1`],
    ['one on Docker Hub', `pull-failover/${instance}/quay.io/a:1`],
    ['one on a host without a port', `quay.io/pull-failover/${instance}/quay.io/a:1`],
    ['one that is deeper', `127.0.0.1:5001/x/pull-failover/${instance}/quay.io/a:1`],
    ['one without an instance', '127.0.0.1:5001/pull-failover/quay.io/a/b:1'],
    ['one without an image', `127.0.0.1:5001/pull-failover/${instance}/quay.io:1`],
    ['one whose image has no host', `127.0.0.1:5001/pull-failover/${instance}/library/redis:1`],
    ['one with a malformed hash', `127.0.0.1:5001/pull-failover/${instance}/long/abc:1`],
    ['one with a malformed digest', `127.0.0.1:5001/pull-failover/${instance}/quay.io/a@sha256:abc`],
    ['an image without a name', '<none>:<none>'],
    ['nothing', ''],
  ] as const) {
    it(`is not seen in ${what}`, () => {
      expect(parseRelayName(name)).to.equal(null);
    });
  }

  it('is looked for in any text without harm', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.string().map((text) => `${address}/pull-failover/${text}`),
        ),
        (text) => {
          parseRelayName(text);
        },
      ),
    );
  });
});
