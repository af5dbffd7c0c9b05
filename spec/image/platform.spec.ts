import { endianness } from 'node:os';
import { expect } from 'chai';
import fc from 'fast-check';
import { isInvalidOptionError } from '../../lib/errors/invalid-option-error.js';
import { hostArchitecture } from '../../lib/image/platform-normal.js';
import {
  choosePlatform,
  formatPlatform,
  hostPlatform,
  parsePlatform,
  runsOn,
  type Platform,
  type PlatformEntry,
} from '../../lib/image/platform.js';
import { readConfigPlatform } from '../../lib/image/read-platform.js';

const ociManifest = 'application/vnd.oci.image.manifest.v1+json';
const ociIndex = 'application/vnd.oci.image.index.v1+json';
const host = hostPlatform();

interface Named extends PlatformEntry {
  readonly name: string;
}

/** A platform as an index writes it, not normalised: `os/architecture/variant`. */
function written(text: string): Platform {
  const [os = '', architecture = '', variant = ''] = text.split('/');
  return { os, architecture, ...(variant === '' ? {} : { variant }) };
}

function entry(name: string, change: Partial<PlatformEntry> = {}): Named {
  return { name, mediaType: ociManifest, platform: written(name), ...change };
}

function silent(name: string, change: Partial<PlatformEntry> = {}): Named {
  return { name, mediaType: ociManifest, ...change };
}

/** The name of the entry chosen. */
function chosen(entries: readonly (string | Named)[], wanted: string | Platform): string | null {
  const index = entries.map((found) => (typeof found === 'string' ? entry(found) : found));
  return choosePlatform(index, typeof wanted === 'string' ? written(wanted) : wanted)?.name ?? null;
}

/** In which order entries would be chosen, if each were taken away in turn. */
function order(entries: readonly string[], wanted: string): readonly string[] {
  const left = [...entries];
  const found: string[] = [];
  for (let next = chosen(left, wanted); next !== null; next = chosen(left, wanted)) {
    found.push(next);
    left.splice(left.indexOf(next), 1);
  }
  return found;
}

describe('image/platform', () => {
  describe('parsePlatform', () => {
    for (const [text, formatted] of [
      ['linux/amd64', 'linux/amd64'],
      ['linux/amd64/v1', 'linux/amd64'],
      ['linux/amd64/v3', 'linux/amd64/v3'],
      ['linux/x86_64', 'linux/amd64'],
      ['linux/x86-64', 'linux/amd64'],
      ['Linux/AMD64/V2', 'linux/amd64/v2'],
      ['linux/i386', 'linux/386'],
      ['linux/i386/v2', 'linux/386'],
      ['linux/386', 'linux/386'],
      ['linux/arm64', 'linux/arm64'],
      ['linux/arm64/v8', 'linux/arm64'],
      ['linux/arm64/8', 'linux/arm64'],
      ['linux/arm64/v8.0', 'linux/arm64'],
      ['linux/arm64/v8.2', 'linux/arm64/v8.2'],
      ['linux/arm64/9', 'linux/arm64/v9'],
      ['linux/aarch64', 'linux/arm64'],
      ['linux/aarch64/v9.0', 'linux/arm64/v9'],
      ['linux/arm', 'linux/arm/v7'],
      ['linux/arm/7', 'linux/arm/v7'],
      ['linux/arm/v6', 'linux/arm/v6'],
      ['linux/arm/5', 'linux/arm/v5'],
      ['linux/arm/8', 'linux/arm/v8'],
      ['linux/armhf', 'linux/arm/v7'],
      ['linux/armhf/v6', 'linux/arm/v7'],
      ['linux/armel', 'linux/arm/v6'],
      ['linux/s390x', 'linux/s390x'],
      ['linux/ppc64le', 'linux/ppc64le'],
      ['linux/riscv64', 'linux/riscv64'],
      ['linux/mips64le/hardfloat', 'linux/mips64le/hardfloat'],
      ['plan10/pdp11', 'plan10/pdp11'],
      ['macos/arm64', 'darwin/arm64'],
      ['windows/amd64', 'windows/amd64'],
      ['windows(10.0.20348)/amd64', 'windows(10.0.20348)/amd64'],
      ['windows(10.0.20348+win32k)/amd64', 'windows(10.0.20348+win32k)/amd64'],
      ['windows(+win32k+b+a+a)/amd64', 'windows(+a+b+win32k)/amd64'],
      ['windows()/amd64', 'windows/amd64'],
      ['windows(10%2E0)/amd64', 'windows(10.0)/amd64'],
      ['linux(%2F%28%29%2b%25%C3%A9)/amd64', 'linux(%2F%28%29%2B%25%C3%A9)/amd64'],
      ['amd64', 'linux/amd64'],
      ['aarch64', 'linux/arm64'],
      ['armel', 'linux/arm/v6'],
      ['linux', formatPlatform(host)],
      ['windows', `windows/${formatPlatform(host).replace('linux/', '')}`],
      ['windows(10.0.20348)', `windows(10.0.20348)/${formatPlatform(host).replace('linux/', '')}`],
    ] as const) {
      it(`reads ${text} as ${formatted}`, () => {
        const platform = parsePlatform(text);
        expect(formatPlatform(platform)).to.equal(formatted);
        expect(parsePlatform(formatted)).to.deep.equal(platform);
      });
    }

    for (const [what, text] of [
      ['nothing', ''],
      ['a slash', '/'],
      ['an unknown word', 'toaster'],
      ['an unknown word with options', 'toaster(1)'],
      ['an architecture with options', 'amd64(1)'],
      ['a missing operating system', '/amd64'],
      ['a missing architecture', 'linux/'],
      ['an empty variant', 'linux/arm/'],
      ['four parts', 'linux/arm/v7/x'],
      ['a wildcard', 'linux/*'],
      ['a space', 'linux/amd64 '],
      ['a line break', 'linux/amd64\n'],
      ['a comma, as in a list', 'linux/amd64,linux/arm64'],
      ['an unclosed parenthesis', 'windows(10/amd64'],
      ['two parentheses', 'windows(1)(2)/amd64'],
      ['broken percent-encoding', 'windows(%zz)/amd64'],
      ['percent-encoding of broken UTF-8', 'windows(%ff)/amd64'],
      ['256 characters', `linux/${'a'.repeat(250)}`],
    ] as const) {
      it(`refuses ${what}, and names the option`, () => {
        expect(() => parsePlatform(text))
          .to.throw()
          .that.satisfies(isInvalidOptionError)
          .and.includes({ option: 'platform', code: 'ERR_OPTION_INVALID' });
      });
    }

    const notText: readonly unknown[] = [undefined, null, 7, {}, ['linux/amd64']];
    for (const value of notText) {
      it(`refuses ${JSON.stringify(value)} from JavaScript`, () => {
        expect(() => parsePlatform(value as string))
          .to.throw()
          .that.satisfies(isInvalidOptionError);
      });
    }

    const noise = fc.oneof(
      fc.string({ unit: fc.constantFrom(...'linuxarmv78(/+%.)'.split('')), maxLength: 24 }),
      fc.string({ unit: 'binary', maxLength: 24 }),
    );

    it('throws nothing but InvalidOptionError, and what it reads reads back the same', () => {
      fc.assert(
        fc.property(noise, (text) => {
          let platform: Platform;
          try {
            platform = parsePlatform(text);
          } catch (error) {
            if (!isInvalidOptionError(error)) throw error;
            return;
          }
          expect(parsePlatform(formatPlatform(platform))).to.deep.equal(platform);
        }),
        { numRuns: 3000 },
      );
    });

    it('reads back every version and feature there can be', () => {
      const option = fc.string({ unit: 'binary', minLength: 1, maxLength: 8 });
      fc.assert(
        fc.property(option, fc.array(option, { minLength: 1, maxLength: 4 }), (osVersion, features) => {
          const osFeatures = [...new Set(features)].toSorted();
          const platform = { os: 'windows', architecture: 'amd64', osVersion, osFeatures };
          fc.pre(formatPlatform(platform).length <= 255);
          expect(parsePlatform(formatPlatform(platform))).to.deep.equal(platform);
        }),
      );
    });
  });

  describe('formatPlatform', () => {
    it('says unknown where there is no operating system', () => {
      expect(formatPlatform({ os: '', architecture: 'amd64' })).to.equal('unknown');
    });

    it('writes a platform as it is, not as it is compared', () => {
      expect(formatPlatform({ os: 'linux', architecture: 'arm64', variant: 'v8' })).to.equal('linux/arm64/v8');
    });

    it('leaves out what is empty', () => {
      expect(
        formatPlatform({ os: 'linux', architecture: '', variant: '', osVersion: '', osFeatures: ['', ''] }),
      ).to.equal('linux');
    });
  });

  describe('hostPlatform', () => {
    it('is Linux on an architecture that reads back', () => {
      expect(host.os).to.equal('linux');
      expect(parsePlatform(formatPlatform(host))).to.deep.equal(host);
      expect(parsePlatform(host.architecture).architecture).to.equal(host.architecture);
    });

    for (const [node, go] of [
      ['x64', 'amd64'],
      ['ia32', '386'],
      ['arm64', 'arm64'],
      ['mipsel', 'mipsle'],
      ['ppc64', endianness() === 'LE' ? 'ppc64le' : 'ppc64'],
      ['s390x', 's390x'],
      ['riscv64', 'riscv64'],
      ['loong64', 'loong64'],
    ] as const) {
      it(`calls ${node} ${go}`, () => {
        expect(hostArchitecture(node)).to.deep.equal({ architecture: go, variant: '' });
      });
    }

    it('knows the variant of 32-bit ARM', () => {
      expect(hostArchitecture('arm').variant).to.match(/^v[5678]$/);
    });
  });

  describe('choosePlatform', () => {
    const arm32 = ['linux/arm/v8', 'linux/arm/v7', 'linux/arm/v6', 'linux/arm/v5'];
    const v8 = (minor: number): readonly string[] =>
      Array.from({ length: minor + 1 }, (_, at) => `linux/arm64/v8.${minor - at}`);

    for (const [wanted, ...runs] of [
      ['linux/amd64', 'linux/amd64', 'linux/386'],
      ['linux/amd64/v1', 'linux/amd64', 'linux/386'],
      ['linux/amd64/v2', 'linux/amd64/v2', 'linux/amd64', 'linux/386'],
      ['linux/amd64/v4', 'linux/amd64/v4', 'linux/amd64/v3', 'linux/amd64/v2', 'linux/amd64/v1', 'linux/386'],
      ['linux/386', 'linux/386'],
      ['linux/arm', ...arm32.slice(1)],
      ['linux/arm/v8', ...arm32],
      ['linux/arm/v7', ...arm32.slice(1)],
      ['linux/arm/v6', ...arm32.slice(2)],
      ['linux/arm/v5', ...arm32.slice(3)],
      ['linux/armel', ...arm32.slice(2)],
      ['linux/arm64', 'linux/arm64', ...arm32],
      ['linux/arm64/v8', 'linux/arm64', ...arm32],
      ['linux/arm64/v8.2', ...v8(2), ...arm32],
      ['linux/arm64/v8.9', ...v8(9), ...arm32],
      ['linux/arm64/v9', 'linux/arm64/v9', ...v8(5), ...arm32],
      ['linux/arm64/v9.2', 'linux/arm64/v9.2', 'linux/arm64/v9.1', 'linux/arm64/v9.0', ...v8(7), ...arm32],
      ['linux/arm64/v9.7', ...[7, 6, 5, 4, 3, 2, 1, 0].map((minor) => `linux/arm64/v9.${minor}`), ...v8(9), ...arm32],
      ['linux/arm64/v10', 'linux/arm64/v10'],
      ['linux/arm64/v8.10', 'linux/arm64/v8.10'],
      ['linux/arm64/v9.8', 'linux/arm64/v9.8'],
      ['linux/s390x', 'linux/s390x'],
      ['linux/ppc64le/power9', 'linux/ppc64le/power9'],
      ['linux/amd64/x', 'linux/amd64/x', 'linux/386'],
    ] as const) {
      it(`on ${wanted} prefers, in this order, ${runs.join(', ')}`, () => {
        const everything = [
          'windows/amd64',
          'darwin/arm64',
          'linux/amd64/v5',
          'linux/riscv64',
          'linux/ppc64le',
          'linux/arm64/v11',
          ...runs.toReversed(),
        ];
        expect(order(everything, wanted)).to.deep.equal(runs);
      });
    }

    it('does not go through a number without end', () => {
      expect(chosen(['linux/amd64'], 'linux/amd64/v999999999')).to.equal(null);
      expect(chosen(['linux/386'], 'linux/amd64/v999999999')).to.equal('linux/386');
    });

    for (const [offered, wanted] of [
      ['linux/x86_64', 'linux/amd64'],
      ['Linux/AMD64/v1', 'linux/amd64'],
      ['linux/aarch64', 'linux/arm64'],
      ['linux/arm64/v8', 'linux/arm64'],
      ['linux/arm64/8', 'linux/arm64/v8'],
      ['linux/arm', 'linux/arm/v7'],
      ['linux/armhf', 'linux/arm'],
      ['/amd64', 'linux/amd64'],
      ['linux/amd64', '/amd64'],
      ['linux/i386', 'linux/386'],
    ] as const) {
      it(`takes ${offered} for ${wanted}`, () => {
        expect(chosen([offered], wanted)).to.equal(offered);
        expect(runsOn(written(wanted), written(offered))).to.equal(true);
      });
    }

    for (const [offered, wanted] of [
      ['linux/amd64', 'linux/arm64'],
      ['linux/amd64', 'windows/amd64'],
      ['linux/amd64/v2', 'linux/amd64'],
      ['linux/arm/v7', 'linux/arm/v6'],
      ['linux/arm64', 'linux/arm/v8'],
      ['linux/amd64', 'linux/386'],
      ['linux', 'linux/amd64'],
      ['linux/amd64', 'linux'],
      ['linux/s390', 'linux/s390x'],
      ['linux/arm64/v8.10', 'linux/arm64/v9.7'],
      ['linux/arm64/v9.7', 'linux/arm64/v9.8'],
      ['linux/arm64', 'linux/arm64/v9.8'],
    ] as const) {
      it(`does not take ${offered} for ${wanted}`, () => {
        expect(chosen([offered], wanted)).to.equal(null);
        expect(runsOn(written(wanted), written(offered))).to.equal(false);
      });
    }

    it('takes the first of equal ones, and nothing from an empty index', () => {
      expect(
        chosen([entry('linux/arm64', { artifactType: 'x' }), 'linux/amd64', entry('linux/amd64/v1')], 'linux/amd64'),
      ).to.equal('linux/amd64');
      expect(chosen(['linux/amd64/v1', 'linux/amd64'], 'linux/amd64')).to.equal('linux/amd64/v1');
      expect(chosen([], 'linux/amd64')).to.equal(null);
    });

    it('leaves the index as it was', () => {
      const index = ['linux/386', 'linux/amd64', 'linux/arm64'].map((name) => entry(name));
      const before = [...index];
      choosePlatform(Object.freeze(index), written('linux/amd64'));
      expect(index).to.deep.equal(before);
    });

    describe('with features', () => {
      const features = (...osFeatures: readonly string[]): Partial<PlatformEntry> => ({
        platform: { os: 'linux', architecture: 'amd64', osFeatures },
      });
      const wanted: Platform = { os: 'linux', architecture: 'amd64', osFeatures: ['b', 'a'] };

      it('takes only entries that need no more than there is', () => {
        expect(chosen([entry('more', features('a', 'c'))], wanted)).to.equal(null);
        expect(chosen([entry('same', features('a', 'b', 'a'))], wanted)).to.equal('same');
        expect(chosen([entry('any', features('a'))], 'linux/amd64')).to.equal(null);
      });

      it('prefers the entry that uses most of it, within the same variant', () => {
        expect(chosen(['linux/amd64', entry('one', features('a')), entry('two', features('a', 'b'))], wanted)).to.equal(
          'two',
        );
        const older = { platform: { os: 'linux', architecture: '386', osFeatures: ['a', 'b'] } };
        expect(chosen([entry('older', older), 'linux/amd64'], wanted)).to.equal('linux/amd64');
      });
    });

    describe('on Windows', () => {
      const version = (osVersion: string, osFeatures: readonly string[] = []): Named =>
        entry(osVersion, { platform: { os: 'windows', architecture: 'amd64', osVersion, osFeatures } });
      const wanted = (osVersion: string): Platform => ({ os: 'windows', architecture: 'amd64', osVersion });
      const servers = [version('10.0.17763.1'), version('10.0.20348.1'), version('10.0.26100.1')];

      for (const [hostVersion, name] of [
        ['10.0.17763.9', '10.0.17763.1'],
        ['10.0.20348.9', '10.0.20348.1'],
        ['10.0.22621.9', '10.0.20348.1'],
        ['10.0.26100.9', '10.0.26100.1'],
        ['10.0.14393.9', null],
      ] as const) {
        it(`${hostVersion} gets ${name ?? 'nothing'}, in whatever order they are`, () => {
          expect(chosen(servers, wanted(hostVersion))).to.equal(name);
          expect(chosen(servers.toReversed(), wanted(hostVersion))).to.equal(name);
        });
      }

      it('of unknown version gets the first', () => {
        expect(chosen(servers, 'windows/amd64')).to.equal('10.0.17763.1');
      });

      it('takes an entry without a version after those with one', () => {
        expect(chosen(['windows/amd64', ...servers], wanted('10.0.20348'))).to.equal('10.0.20348.1');
        expect(chosen(['windows/amd64', version('10.0.1')], wanted('10.0.20348'))).to.equal('windows/amd64');
      });

      it('prefers the newest update of a build, whatever its features', () => {
        const updates = [version('10.0.20348.859', ['win32k']), version('10.0.20348.2227')];
        expect(chosen(updates, wanted('10.0.20348'))).to.equal('10.0.20348.2227');
        expect(chosen(updates.toReversed(), wanted('10.0.20348'))).to.equal('10.0.20348.2227');
      });

      it('does not ask for win32k, but for other features', () => {
        expect(chosen([version('10.0.20348', ['win32k'])], wanted('10.0.20348'))).to.equal('10.0.20348');
        expect(chosen([version('10.0.20348', ['other'])], wanted('10.0.20348'))).to.equal(null);
      });

      it('ignores the version of other systems', () => {
        const linux = entry('linux', { platform: { os: 'linux', architecture: 'amd64', osVersion: '5.10' } });
        expect(chosen([linux], { os: 'linux', architecture: 'amd64', osVersion: '6.1' })).to.equal('linux');
      });
    });

    describe('among entries that are no image of a platform', () => {
      const annotations = { 'vnd.docker.reference.type': 'attestation-manifest' };

      it('never chooses an attestation', () => {
        for (const attestation of [
          entry('unknown/unknown'),
          entry('unknown/unknown', { annotations }),
          entry('linux/amd64', { annotations }),
          silent('attestation', { annotations }),
        ]) {
          expect(chosen([attestation], 'linux/amd64')).to.equal(null);
          expect(chosen([attestation], 'unknown/unknown')).to.equal(null);
        }
      });

      it('does not take other annotations for one', () => {
        expect(chosen([entry('linux/amd64', { annotations: { other: '' } })], 'linux/amd64')).to.equal('linux/amd64');
      });

      it('chooses an entry without a platform after every one that matches, the first of them', () => {
        const index = [silent('first'), silent('second'), 'linux/386'];
        expect(chosen(index, 'linux/amd64')).to.equal('linux/386');
        expect(chosen(index, 'linux/arm64')).to.equal('first');
      });

      it('chooses an artifact without a platform last', () => {
        const artifact = silent('artifact', { artifactType: 'application/vnd.example' });
        const image = silent('image', { artifactType: 'application/vnd.oci.image.config.v1+json' });
        expect(chosen([artifact, silent('plain')], 'linux/amd64')).to.equal('plain');
        expect(chosen([artifact, image], 'linux/amd64')).to.equal('image');
        expect(chosen([artifact], 'linux/amd64')).to.equal('artifact');
      });

      it('chooses an index inside the index', () => {
        expect(chosen([silent('inner', { mediaType: ociIndex })], 'linux/amd64')).to.equal('inner');
        expect(chosen([entry('linux/amd64', { mediaType: ociIndex })], 'linux/amd64')).to.equal('linux/amd64');
      });

      it('never chooses the layers that build caches keep in an index', () => {
        for (const mediaType of [
          'application/vnd.oci.image.layer.v1.tar+gzip',
          'application/vnd.buildkit.cacheconfig.v0',
          'application/octet-stream',
        ]) {
          expect(chosen([silent('layer', { mediaType })], 'linux/amd64'), mediaType).to.equal(null);
          expect(chosen([entry('linux/amd64', { mediaType })], 'linux/amd64'), mediaType).to.equal(null);
        }
      });

      it('chooses an entry without a media type, and one of schema 1, which is then refused in words', () => {
        const old = 'application/vnd.docker.distribution.manifest.v1+json';
        expect(chosen([entry('linux/amd64', { mediaType: '' })], 'linux/amd64')).to.equal('linux/amd64');
        expect(chosen([entry('linux/amd64', { mediaType: old })], 'linux/amd64')).to.equal('linux/amd64');
      });
    });

    it('chooses what runs, and whatever the order of the index an equally good one', () => {
      const names = ['amd64', 'amd64/v2', 'amd64/v3', '386', 'arm/v5', 'arm/v7', 'arm64', 'arm64/v8.1', 'arm64/v9'];
      const platforms = fc.constantFrom(...names.map((name) => `linux/${name}`));
      fc.assert(
        fc.property(fc.uniqueArray(platforms), platforms, fc.nat(), (index, wanted, turn) => {
          const name = chosen(index, wanted);
          if (name === null) {
            expect(index.filter((offered) => runsOn(written(wanted), written(offered)))).to.deep.equal([]);
          } else {
            expect(runsOn(written(wanted), written(name))).to.equal(true);
          }
          const at = index.length === 0 ? 0 : turn % index.length;
          const shuffled = [...index.slice(at), ...index.slice(0, at)].toReversed();
          expect(chosen(shuffled, wanted)).to.equal(name);
        }),
      );
    });
  });

  describe('readConfigPlatform', () => {
    const read = (config: unknown): Platform | null => readConfigPlatform(Buffer.from(JSON.stringify(config)));

    it('reads the platform of an image’s config', () => {
      expect(read({ os: 'linux', architecture: 'arm', variant: 'v6', rootfs: {} })).to.deep.equal({
        os: 'linux',
        architecture: 'arm',
        variant: 'v6',
      });
      expect(read({ os: 'windows', architecture: 'amd64', 'os.version': '10.0.1' })).to.include({
        osVersion: '10.0.1',
      });
    });

    it('finds none where there is none', () => {
      for (const config of [{}, [], null, { os: '' }, { os: 1 }, { os: 'li\nnux' }, 'linux']) {
        expect(read(config), JSON.stringify(config)).to.equal(null);
      }
      expect(readConfigPlatform(Buffer.from('{'))).to.equal(null);
      expect(readConfigPlatform(new Uint8Array())).to.equal(null);
    });
  });
});
