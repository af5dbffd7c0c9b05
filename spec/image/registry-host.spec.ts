import { expect } from 'chai';
import fc from 'fast-check';
import { looksLikeHost, parseHost } from '../../lib/image/registry-host.js';

describe('image/registry-host', () => {
  describe('looksLikeHost', () => {
    for (const component of [
      'quay.io',
      'host:5000',
      'localhost',
      'LocalHost',
      '[::1]',
      '10.0.0.5',
      'MyHost',
      '.',
      ':',
    ]) {
      it(`takes ${component} for a host`, () => {
        expect(looksLikeHost(component)).to.equal(true);
      });
    }
    for (const component of ['redis', 'library', 'my-user', 'a_b', 'localhost1', '']) {
      it(`takes ${JSON.stringify(component)} for a part of a path`, () => {
        expect(looksLikeHost(component)).to.equal(false);
      });
    }
  });

  describe('parseHost', () => {
    for (const [text, host] of [
      ['quay.io', 'quay.io'],
      ['Quay.IO', 'quay.io'],
      ['quay.io:443', 'quay.io:443'],
      ['quay.io:80', 'quay.io:80'],
      ['a--b.example', 'a--b.example'],
      ['localhost', 'localhost'],
      ['LOCALHOST', 'localhost'],
      ['localhost:5000', 'localhost:5000'],
      ['myhost:5000', 'myhost:5000'],
      ['MyHost:5000', 'myhost:5000'],
      ['myhost:05000', 'myhost:5000'],
      ['myhost:65535', 'myhost:65535'],
      ['MyHost', 'MYHOST'],
      ['10.0.0.5', '10.0.0.5'],
      ['10.0.0.5:5000', '10.0.0.5:5000'],
      ['127.1', '127.0.0.1'],
      ['0x7f.0.0.1', '127.0.0.1'],
      ['010.0.0.1', '8.0.0.1'],
      ['2130706433:5000', '127.0.0.1:5000'],
      ['[::1]', '[::1]'],
      ['[::1]:5000', '[::1]:5000'],
      ['[0:0:0:0:0:0:0:1]:5000', '[::1]:5000'],
      ['[2001:DB8::A]', '[2001:db8::a]'],
      ['docker.io', 'docker.io'],
      ['Docker.io', 'docker.io'],
      ['index.docker.io', 'docker.io'],
      ['Index.Docker.io', 'docker.io'],
      ['index.docker.io:443', 'index.docker.io:443'],
      ['registry-1.docker.io', 'registry-1.docker.io'],
    ] as const) {
      it(`spells ${text} as ${host}`, () => {
        expect(parseHost(text)).to.equal(host);
      });
    }

    for (const [what, text] of [
      ['nothing', ''],
      ['a port alone', ':5000'],
      ['a port without digits', 'quay.io:'],
      ['port 0', 'quay.io:0'],
      ['a port above 65535', 'quay.io:65536'],
      ['an endless port', `quay.io:${'9'.repeat(400)}`],
      ['a name for a port', 'quay.io:http'],
      ['two ports', 'quay.io:1:2'],
      ['a label that starts with a dash', '-quay.io'],
      ['a label that ends with a dash', 'quay-.io'],
      ['an empty label', 'quay..io'],
      ['a leading dot', '.quay.io'],
      ['a trailing dot, which would be a second spelling', 'quay.io.'],
      ['an underscore', 'my_host.example'],
      ['a space', 'quay .io'],
      ['a newline at the end', 'quay.io\n'],
      ['a user', 'user@quay.io'],
      ['a letter that is not ASCII', 'qüay.io'],
      ['a number that is no address', 'registry.123'],
      ['an IPv4 address out of range', '256.0.0.1'],
      ['an IPv6 address without brackets', '::1'],
      ['brackets around nothing', '[]'],
      ['brackets around colons only', '[:::]'],
      ['an IPv6 address with too many groups', '[1:2:3:4:5:6:7:8:9]'],
      ['an IPv6 zone', '[fe80::1%25eth0]'],
      ['an embedded IPv4 address, as in Docker', '[::ffff:1.2.3.4]'],
      ['an unclosed bracket', '[::1'],
    ] as const) {
      it(`refuses ${what}`, () => {
        expect(parseHost(text)).to.equal(null);
      });
    }

    const character = fc.constantFrom(...'abzAZ019.-:[]xXfF_%@/\\#? \t'.split(''));

    it('spells what it spelled the same way again, and it is still a host', () => {
      fc.assert(
        fc.property(fc.oneof(fc.string({ unit: character, maxLength: 24 }), fc.domain(), fc.ipV4Extended()), (text) => {
          const host = parseHost(text);
          if (host === null) return;
          expect(parseHost(host)).to.equal(host);
          expect(looksLikeHost(host) || !/[.:]/.test(text), host).to.equal(true);
        }),
        { numRuns: 2000 },
      );
    });

    it('gives only hosts that a URL takes as they are, but for the letter case of a bare label', () => {
      fc.assert(
        fc.property(fc.oneof(fc.string({ unit: character, maxLength: 24 }), fc.domain(), fc.ipV6()), (text) => {
          const host = parseHost(text) ?? parseHost(`[${text}]`);
          if (host === null) return;
          const url = new URL(`https://${host}/v2/`);
          expect(url.host).to.equal(host.replace(/:443$/, '').toLowerCase());
          expect(url.pathname).to.equal('/v2/');
          expect(url.username).to.equal('');
        }),
        { numRuns: 2000 },
      );
    });
  });
});
