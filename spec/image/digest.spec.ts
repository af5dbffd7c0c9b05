import { createHash } from 'node:crypto';
import { expect } from 'chai';
import fc from 'fast-check';
import {
  createDigester,
  digestAlgorithm,
  digestHex,
  digestOf,
  parseDigest,
  type DigestAlgorithm,
} from '../../lib/image/digest.js';

const algorithms: readonly DigestAlgorithm[] = ['sha256', 'sha512'];

describe('image/digest', () => {
  describe('parseDigest', () => {
    const sha256 = 'a'.repeat(64);
    const sha512 = '0'.repeat(128);

    for (const [algorithm, hex] of [
      ['sha256', sha256],
      ['sha512', sha512],
    ] as const) {
      it(`accepts ${algorithm} and gives its parts back`, () => {
        const digest = parseDigest(`${algorithm}:${hex}`);
        expect(digest).to.equal(`${algorithm}:${hex}`);
        expect(digest && digestAlgorithm(digest)).to.equal(algorithm);
        expect(digest && digestHex(digest)).to.equal(hex);
      });
    }

    for (const [what, text] of [
      ['an empty text', ''],
      ['an algorithm alone', 'sha256:'],
      ['hex without an algorithm', sha256],
      ['one digit too few', `sha256:${'a'.repeat(63)}`],
      ['one digit too many', `sha256:${'a'.repeat(65)}`],
      ['the length of the other algorithm', `sha512:${sha256}`],
      ['the length of the other algorithm, reversed', `sha256:${sha512}`],
      ['upper-case hex', `sha256:${'A'.repeat(64)}`],
      ['an upper-case algorithm', `SHA256:${sha256}`],
      ['a digit that is not hexadecimal', `sha256:${'a'.repeat(63)}g`],
      ['an unregistered algorithm', `blake3:${sha256}`],
      ['a weak algorithm', `md5:${'a'.repeat(32)}`],
      ['sha384, which the image specification does not register', `sha384:${'a'.repeat(96)}`],
      ['a trailing newline', `sha256:${sha256}\n`],
      ['a leading space', ` sha256:${sha256}`],
      ['a second line', `sha256:${sha256}\nsha256:${sha256}`],
      ['a path after it', `sha256:${sha256}/../..`],
    ] as const) {
      it(`refuses ${what}`, () => {
        expect(parseDigest(text)).to.equal(null);
      });
    }

    it('returns the text itself or null for any text, and never throws', () => {
      fc.assert(
        fc.property(fc.oneof(fc.string(), fc.string({ unit: 'binary' })), (text) => {
          expect(parseDigest(text)).to.be.oneOf([null, text]);
        }),
      );
    });
  });

  describe('digestOf', () => {
    it('gives the published digest of no bytes', () => {
      expect(digestOf(new Uint8Array())).to.equal(
        'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
      );
    });

    it('gives the published digest of the OCI empty descriptor', () => {
      expect(digestOf(Buffer.from('{}'))).to.equal(
        'sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a',
      );
    });

    for (const algorithm of algorithms) {
      it(`makes a ${algorithm} digest that parses and equals the one of node:crypto`, () => {
        fc.assert(
          fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
            const digest = digestOf(bytes, algorithm);
            expect(parseDigest(digest)).to.equal(digest);
            expect(digestHex(digest)).to.equal(createHash(algorithm).update(bytes).digest('hex'));
          }),
        );
      });
    }

    it('hashes the view it is given, not the buffer behind it', () => {
      const whole = Buffer.from('abcdef');
      expect(digestOf(whole.subarray(2, 4))).to.equal(digestOf(Buffer.from('cd')));
    });
  });

  describe('createDigester', () => {
    for (const algorithm of algorithms) {
      it(`gives with ${algorithm} the same digest however the bytes are cut`, () => {
        fc.assert(
          fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 20 }), (chunks) => {
            const digester = createDigester(algorithm);
            for (const chunk of chunks) digester.update(chunk);
            expect(digester.digest()).to.equal(digestOf(Buffer.concat(chunks), algorithm));
          }),
        );
      });

      it(`tells with ${algorithm} the digest of every prefix and goes on`, () => {
        const bytes = Buffer.from('one blob, read byte by byte');
        const digester = createDigester(algorithm);
        for (let n = 0; n < bytes.length; n++) {
          expect(digester.digest(), `after ${n}`).to.equal(digestOf(bytes.subarray(0, n), algorithm));
          expect(digester.digest(), `asked again after ${n}`).to.equal(digestOf(bytes.subarray(0, n), algorithm));
          digester.update(bytes.subarray(n, n + 1));
        }
        expect(digester.digest()).to.equal(digestOf(bytes, algorithm));
      });
    }

    it('copies into a digester that goes its own way', () => {
      const first = createDigester('sha256');
      first.update(Buffer.from('same'));
      const second = first.copy();
      first.update(Buffer.from(' left'));
      second.update(Buffer.from(' right'));
      expect(first.digest()).to.equal(digestOf(Buffer.from('same left')));
      expect(second.digest()).to.equal(digestOf(Buffer.from('same right')));
    });
  });
});
