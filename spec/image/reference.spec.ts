import { expect } from 'chai';
import fc from 'fast-check';
import { InvalidReferenceError, isInvalidReferenceError } from '../../lib/errors/invalid-reference-error.js';
import { parsePrefix, parseReference } from '../../lib/image/reference.js';

const sha256 = `sha256:${'ab'.repeat(32)}`;
const sha512 = `sha512:${'cd'.repeat(64)}`;

/** What `run` throws, which must be an InvalidReferenceError. */
function refusal(run: () => unknown): InvalidReferenceError {
  try {
    run();
  } catch (error) {
    if (isInvalidReferenceError(error)) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('image/reference', () => {
  describe('parseReference', () => {
    for (const [text, canonical] of [
      // Docker Hub's defaults
      ['redis', 'docker.io/library/redis:latest'],
      ['redis:3.0', 'docker.io/library/redis:3.0'],
      ['docker.io/redis', 'docker.io/library/redis:latest'],
      ['docker.io/library/redis', 'docker.io/library/redis:latest'],
      ['index.docker.io/redis', 'docker.io/library/redis:latest'],
      ['index.docker.io/user/app:1', 'docker.io/user/app:1'],
      ['Docker.io/redis', 'docker.io/library/redis:latest'],
      ['user/app', 'docker.io/user/app:latest'],
      ['user/deep/app', 'docker.io/user/deep/app:latest'],
      ['library/redis', 'docker.io/library/redis:latest'],
      ['localhost', 'docker.io/library/localhost:latest'],
      ['localhost:5000', 'docker.io/library/localhost:5000'],
      ['quay.io', 'docker.io/library/quay.io:latest'],
      // hosts
      ['quay.io/aptible/redis:3.0', 'quay.io/aptible/redis:3.0'],
      ['quay.io/redis', 'quay.io/redis:latest'],
      ['Quay.io/aptible/redis', 'quay.io/aptible/redis:latest'],
      ['localhost/app', 'localhost/app:latest'],
      ['localhost:5000/app:v1', 'localhost:5000/app:v1'],
      ['host:5000/app', 'host:5000/app:latest'],
      ['10.0.0.5:5000/mirror/quay.io/aptible/redis', '10.0.0.5:5000/mirror/quay.io/aptible/redis:latest'],
      ['[::1]:5000/x', '[::1]:5000/x:latest'],
      ['[2001:db8::1]/x/y:z', '[2001:db8::1]/x/y:z'],
      ['MyHost/app', 'MYHOST/app:latest'],
      // paths
      ['a', 'docker.io/library/a:latest'],
      ['a_b__c-d--e---f/g', 'docker.io/a_b__c-d--e---f/g:latest'],
      ['quay.io/a.b_c__d-e--f---g', 'quay.io/a.b_c__d-e--f---g:latest'],
      ['quay.io/0/1', 'quay.io/0/1:latest'],
      // tags
      ['redis:_', 'docker.io/library/redis:_'],
      ['redis:A.b-C_1', 'docker.io/library/redis:A.b-C_1'],
      ['redis:3..0--x', 'docker.io/library/redis:3..0--x'],
      [`redis:${'t'.repeat(128)}`, `docker.io/library/redis:${'t'.repeat(128)}`],
      // digests
      [`redis@${sha256}`, `docker.io/library/redis@${sha256}`],
      [`redis@${sha512}`, `docker.io/library/redis@${sha512}`],
      [`quay.io/aptible/redis:3.0@${sha256}`, `quay.io/aptible/redis:3.0@${sha256}`],
      [`localhost:5000/app@${sha256}`, `localhost:5000/app@${sha256}`],
      // 64 hexadecimal digits are refused alone only
      [`${'a'.repeat(64)}:1`, `docker.io/library/${'a'.repeat(64)}:1`],
      [`user/${'a'.repeat(64)}`, `docker.io/user/${'a'.repeat(64)}:latest`],
      ['a'.repeat(63), `docker.io/library/${'a'.repeat(63)}:latest`],
    ] as const) {
      it(`reads ${short(text)} as ${short(canonical)}`, () => {
        expect(parseReference(text).canonical).to.equal(canonical);
      });
    }

    it('gives every part of a name with tag and digest', () => {
      expect(parseReference(`10.0.0.5:5000/mirror/redis:3.0@${sha256}`)).to.deep.equal({
        host: '10.0.0.5:5000',
        path: 'mirror/redis',
        name: '10.0.0.5:5000/mirror/redis',
        tag: '3.0',
        digest: sha256,
        canonical: `10.0.0.5:5000/mirror/redis:3.0@${sha256}`,
      });
    });

    it('adds latest only when there is neither a tag nor a digest', () => {
      expect(parseReference('redis')).to.include({ tag: 'latest', digest: null });
      expect(parseReference('redis:1')).to.include({ tag: '1', digest: null });
      expect(parseReference(`redis@${sha256}`)).to.include({ tag: null, digest: sha256 });
    });

    for (const [what, text, problem] of [
      ['nothing', '', 'empty'],
      ['a space', ' ', 'lower-case letters and digits'],
      ['a leading space', ' redis', 'lower-case letters and digits'],
      ['a trailing newline', 'redis\n', 'lower-case letters and digits'],
      ['a trailing newline after the tag', 'redis:1\n', 'tag'],
      ['a scheme', 'https://quay.io/aptible/redis', 'scheme'],
      ['an upper-case repository', 'Redis', 'lower case'],
      ['an upper-case repository below a host', 'quay.io/Aptible/redis', 'lower case'],
      ['a host without a repository', 'quay.io/', 'repository is missing'],
      ['a tag alone', ':latest', 'repository is missing'],
      ['a digest alone, behind an @', `@${sha256}`, 'repository is missing'],
      ['a host with a tag only', 'quay.io/:1', 'repository is missing'],
      ['a leading slash', '/redis', 'lower-case letters and digits'],
      ['a trailing slash', 'user/app/', 'lower-case letters and digits'],
      ['an empty part', 'user//app', 'lower-case letters and digits'],
      ['a part of dots', 'user/../app', 'lower-case letters and digits'],
      ['two dots', 'a..b', 'lower-case letters and digits'],
      ['three underscores', 'a___b', 'lower-case letters and digits'],
      ['mixed separators', 'a._b', 'lower-case letters and digits'],
      ['a separator at the start', '-redis', 'lower-case letters and digits'],
      ['a separator at the end', 'redis-', 'lower-case letters and digits'],
      ['a letter that is not ASCII', 'rédis', 'lower-case letters and digits'],
      ['a letter that becomes ASCII in lower case', 'quay.io/\u212Aube', 'lower case'],
      ['a percent sign', 'quay.io/a%2fb', 'lower-case letters and digits'],
      ['an empty tag', 'redis:', 'tag'],
      ['a tag that starts with a dot', 'redis:.1', 'tag'],
      ['a tag that starts with a dash', 'redis:-1', 'tag'],
      ['a tag with a plus', 'redis:1+2', 'tag'],
      ['a second tag', 'redis:1:2', 'tag'],
      ['a tag of 129 characters', `redis:${'t'.repeat(129)}`, 'tag'],
      ['an empty digest', 'redis@', 'digest'],
      ['a digest without an algorithm', `redis@${'a'.repeat(64)}`, 'digest'],
      ['a short digest', `redis@sha256:${'a'.repeat(63)}`, 'digest'],
      ['an upper-case digest', `redis@sha256:${'A'.repeat(64)}`, 'digest'],
      ['another algorithm', `redis@md5:${'a'.repeat(32)}`, 'digest'],
      ['two digests', `redis@${sha256}@${sha256}`, 'digest'],
      ['a tag after the digest', `redis@${sha256}:1`, 'digest'],
      ['an identifier', 'a'.repeat(64), 'identifier'],
      ['an identifier with its algorithm', sha256, 'identifier'],
      ['a port out of range', 'quay.io:65536/x', 'host'],
      ['port 0', 'quay.io:0/x', 'host'],
      ['an IPv6 address without brackets', '::1/x', 'host'],
      ['a host no URL can have', 'registry.123/x', 'host'],
      ['a host with an underscore', 'my_registry.example/x', 'host'],
    ] as const) {
      it(`refuses ${what}, and says so`, () => {
        const error = refusal(() => parseReference(text));
        expect(error.message).to.include(problem);
        expect(error.code).to.equal('ERR_REFERENCE_INVALID');
        expect(error.retryable).to.equal(false);
      });
    }

    it('allows a repository of 255 characters, the part Docker Hub adds included, and no more', () => {
      expect(parseReference(`quay.io/${'a'.repeat(255)}`).path).to.have.length(255);
      expect(refusal(() => parseReference(`quay.io/${'a'.repeat(256)}`)).message).to.include('255');
      expect(parseReference('a'.repeat(255 - 'library/'.length)).path).to.have.length(255);
      expect(refusal(() => parseReference('a'.repeat(256 - 'library/'.length))).message).to.include('255');
    });

    it('reads the longest name there can be', () => {
      const label = 'h'.repeat(63);
      const host = `${label}.${label}.${label}.${'h'.repeat(61)}:65535`;
      const text = `${host}/${'p'.repeat(255)}:${'t'.repeat(128)}@${sha512}`;
      expect(parseReference(text).canonical).to.equal(text);
    });

    it('refuses a text of a megabyte at once, and shows little of it', () => {
      const error = refusal(() => parseReference('a/'.repeat(524_288)));
      expect(error.message).to.include('1024');
      expect(error.message.length).to.be.below(600);
    });

    const notText: readonly unknown[] = [undefined, null, 7, {}, Object.create(null), Symbol('redis'), ['redis']];
    for (const value of notText) {
      it(`refuses a value of type ${Array.isArray(value) ? 'array' : typeof value} from JavaScript`, () => {
        expect(refusal(() => parseReference(value as string)).message).to.include('string');
        expect(refusal(() => parsePrefix(value as string)).message).to.include('string');
      });
    }

    for (const text of [
      'https://user:hunter2@quay.io/aptible/redis',
      'user:hunter2@quay.io/aptible/redis',
      'hunter2@quay.io/aptible/redis',
      'user:hunter2@x@quay.io/aptible/redis:1',
    ]) {
      it(`does not repeat the password of ${text}`, () => {
        const error = refusal(() => parseReference(text));
        expect(error.message).to.include('quay.io');
        expect(`${error.message} ${error.reference}`).to.not.include('hunter2');
        expect(refusal(() => parsePrefix(text)).message).to.not.include('hunter2');
      });
    }

    const part = fc
      .array(fc.string({ unit: fc.constantFrom(...'abz09'.split('')), minLength: 1, maxLength: 5 }), {
        minLength: 1,
        maxLength: 3,
      })
      .chain((words) =>
        fc
          .array(fc.constantFrom('.', '_', '__', '-', '---'), { minLength: words.length, maxLength: words.length })
          .map((separators) => words.map((word, at) => (at === 0 ? word : `${separators[at] ?? '-'}${word}`)).join('')),
      );
    // Docker's grammar has no IPv6 address that ends in an IPv4 one.
    const ipv6 = fc.ipV6().filter((address) => !address.includes('.'));
    const path = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'));
    const host = fc.oneof(
      fc.domain(),
      fc.constant('localhost'),
      fc.ipV4(),
      ipv6.map((address) => `[${address}]`),
      fc.constantFrom('Quay.IO', 'MyHost', 'host:5000', 'docker.io', 'index.docker.io', 'a.example:05000', '127.1'),
    );
    const tag = fc.string({ unit: fc.constantFrom(...'aZ0_.-'.split('')), maxLength: 20 }).map((rest) => `t${rest}`);
    const digest = fc
      .string({ unit: fc.constantFrom(...'0123456789abcdef'.split('')), minLength: 128, maxLength: 128 })
      .chain((hex) => fc.constantFrom(`sha256:${hex.slice(0, 64)}`, `sha512:${hex}`));

    it('reads every name of the grammar, and its canonical form as the same reference', () => {
      fc.assert(
        fc.property(
          fc.option(host, { nil: null }),
          path,
          fc.option(tag, { nil: null }),
          fc.option(digest, { nil: null }),
          (givenHost, givenPath, givenTag, givenDigest) => {
            // A first part with a dot is a host; the generator of paths knows nothing of it.
            fc.pre(givenHost !== null || !/^[^/]*\.[^/]*\//.test(givenPath));
            const text = `${givenHost === null ? '' : `${givenHost}/`}${givenPath}${
              givenTag === null ? '' : `:${givenTag}`
            }${givenDigest === null ? '' : `@${givenDigest}`}`;
            const reference = parseReference(text);
            expect(parseReference(reference.canonical)).to.deep.equal(reference);
            expect(reference.tag).to.equal(givenTag ?? (givenDigest === null ? 'latest' : null));
            expect(reference.digest).to.equal(givenDigest);
            expect(reference.path.endsWith(givenPath)).to.equal(true);
            expect(parsePrefix(reference.name)).to.deep.equal({
              host: reference.host,
              path: reference.path,
              name: reference.name,
            });
          },
        ),
        { numRuns: 1000 },
      );
    });

    const noise = fc.oneof(
      fc.string({ unit: fc.constantFrom(...'aA0.-_:/@[]%\n sha256'.split('')), maxLength: 40 }),
      fc.string({ unit: 'binary', maxLength: 40 }),
      fc.tuple(host, fc.string({ maxLength: 10 }), path).map((parts) => parts.join('/')),
    );

    it('throws nothing but InvalidReferenceError, and what it reads reads back the same', () => {
      fc.assert(
        fc.property(noise, (text) => {
          try {
            const reference = parseReference(text);
            expect(parseReference(reference.canonical)).to.deep.equal(reference);
            expect(() => new URL(`https://${reference.host}/v2/${reference.path}/manifests/x`)).to.not.throw();
          } catch (error) {
            if (!isInvalidReferenceError(error)) throw error;
          }
        }),
        { numRuns: 3000 },
      );
    });
  });

  describe('parsePrefix', () => {
    for (const [text, host, path] of [
      ['quay.io/aptible', 'quay.io', 'aptible'],
      ['docker.io', 'docker.io', ''],
      ['docker.io/aptible', 'docker.io', 'aptible'],
      ['index.docker.io/aptible', 'docker.io', 'aptible'],
      ['10.0.0.5:5000/mirror/quay.io/aptible', '10.0.0.5:5000', 'mirror/quay.io/aptible'],
      ['127.0.0.1:5001', '127.0.0.1:5001', ''],
      ['127.1:5001', '127.0.0.1:5001', ''],
      ['[::1]:5000/x', '[::1]:5000', 'x'],
      ['localhost', 'localhost', ''],
      ['localhost:5000/a/b/c', 'localhost:5000', 'a/b/c'],
      ['Quay.io/aptible', 'quay.io', 'aptible'],
    ] as const) {
      it(`reads ${text}`, () => {
        const prefix = parsePrefix(text);
        expect(prefix).to.deep.equal({ host, path, name: path === '' ? host : `${host}/${path}` });
        expect(parsePrefix(prefix.name)).to.deep.equal(prefix);
      });
    }

    for (const [what, text, problem] of [
      ['nothing', '', 'empty'],
      ['a name of Docker Hub', 'aptible', 'start with a host'],
      ['a path of Docker Hub', 'aptible/redis', 'start with a host'],
      ['a scheme', 'https://quay.io/aptible', 'scheme'],
      ['a trailing slash', 'quay.io/', 'missing'],
      ['a slash at the end of a path', 'quay.io/aptible/', 'lower-case letters'],
      ['a leading slash', '/quay.io', 'start with a host'],
      ['an upper-case path', 'quay.io/Aptible', 'lower case'],
      ['a tag', 'quay.io/aptible/redis:3', 'lower-case letters'],
      ['a digest', `quay.io/aptible/redis@${sha256}`, 'lower-case letters'],
      ['a wildcard', 'quay.io/*', 'lower-case letters'],
      ['a wildcard host', '*.quay.io', 'host'],
      ['a port out of range', 'quay.io:70000', 'host'],
      ['a path of 256 characters', `quay.io/${'a'.repeat(256)}`, '255'],
    ] as const) {
      it(`refuses ${what}, and says so`, () => {
        expect(refusal(() => parsePrefix(text)).message).to.include(problem);
      });
    }
  });
});

function short(text: string): string {
  return text.length > 70 ? `${text.slice(0, 70)}… (${text.length} characters)` : text;
}
