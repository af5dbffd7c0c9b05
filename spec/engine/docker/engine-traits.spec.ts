import { expect } from 'chai';
import fc from 'fast-check';
import { readTraits } from '../../../lib/engine/docker/engine-traits.js';

/** As 20.10.24 tells it, without what nobody reads. */
const version = { Version: '20.10.24+dfsg1', Os: 'linux', Arch: 'amd64', Components: [{ Name: 'Engine' }] };
const info = {
  ID: '3JP2:MGQ2',
  Name: 'host-17',
  OSType: 'linux',
  Architecture: 'x86_64',
  DockerRootDir: '/var/lib/docker',
  Driver: 'overlay2',
  DriverStatus: [
    ['Backing Filesystem', 'extfs'],
    ['Supports d_type', 'true'],
  ],
  RegistryConfig: {
    InsecureRegistryCIDRs: ['127.0.0.0/8'],
    IndexConfigs: { 'docker.io': { Name: 'docker.io', Mirrors: [], Secure: true, Official: true } },
  },
  HttpProxy: '',
  HttpsProxy: '',
  NoProxy: '',
  ServerVersion: '20.10.24+dfsg1',
};

const podmanVersion = { Version: '4.3.1', Components: [{ Name: 'Podman Engine' }, { Name: 'Conmon' }] };

describe('What a daemon is', () => {
  it('is read from what Docker says', () => {
    expect(readTraits(version, info)).to.deep.equal({
      product: 'docker',
      version: '20.10.24+dfsg1',
      store: 'graph',
      daemonId: '3JP2:MGQ2',
      platform: 'linux/amd64',
      insecureCidrs: ['127.0.0.0/8'],
      insecureRegistries: [],
      httpProxy: null,
      httpsProxy: null,
      noProxy: null,
      proxiesWithLogin: [],
    });
  });

  for (const [arch, machine, platform] of [
    ['amd64', 'x86_64', 'linux/amd64'],
    ['arm64', 'aarch64', 'linux/arm64'],
    ['arm', 'armv7l', 'linux/arm/v7'],
    ['arm', 'armv6l', 'linux/arm/v6'],
    // A 32-bit system with a 64-bit kernel, as on many a Raspberry Pi.
    ['arm', 'aarch64', 'linux/arm/v7'],
    ['386', 'x86_64', 'linux/386'],
    [undefined, 'armv7l', 'linux/arm/v7'],
    [undefined, 'aarch64', 'linux/arm64'],
  ] as const) {
    it(`pulls for ${platform} when it is a program for ${arch ?? 'an unknown architecture'} on ${machine}`, () => {
      const traits = readTraits({ ...version, Arch: arch }, { ...info, Architecture: machine });
      expect(traits.platform).to.equal(platform);
    });
  }

  it('is a containerd store when its driver says so', () => {
    const DriverStatus = [['driver-type', 'io.containerd.snapshotter.v1']];
    expect(readTraits(version, { ...info, Driver: 'overlayfs', DriverStatus }).store).to.equal('containerd');
    expect(readTraits(version, { ...info, DriverStatus: [['driver-type', 'other']] }).store).to.equal('graph');
    expect(readTraits(version, { ...info, DriverStatus: null }).store).to.equal('graph');
  });

  it('is Podman when one of its components is, told apart by where it keeps its images', () => {
    const one = readTraits(podmanVersion, { ...info, ID: 'made up' });
    expect(one).to.include({ product: 'podman', store: 'podman', version: '4.3.1' });
    expect(one.daemonId).to.equal(readTraits(podmanVersion, { ...info, ID: 'made up anew' }).daemonId);
    expect(one.daemonId).not.to.equal(readTraits(podmanVersion, { ...info, DockerRootDir: '/home/x' }).daemonId);
    expect(one.daemonId).not.to.equal(readTraits(podmanVersion, { ...info, Name: 'host-18' }).daemonId);
  });

  it('has an identity also where Docker tells none', () => {
    expect(readTraits(version, { ...info, ID: '' }).daemonId).to.equal('docker:host-17:/var/lib/docker');
  });

  it('tells the registries that it trusts without a certificate', () => {
    const RegistryConfig = {
      InsecureRegistryCIDRs: ['127.0.0.0/8', '10.0.0.0/8'],
      IndexConfigs: {
        'docker.io': { Name: 'docker.io', Secure: true },
        'registry.internal:5000': { Name: 'registry.internal:5000', Secure: false },
        'other.internal': { Secure: false },
      },
    };
    expect(readTraits(version, { ...info, RegistryConfig })).to.deep.include({
      insecureCidrs: ['127.0.0.0/8', '10.0.0.0/8'],
      insecureRegistries: ['registry.internal:5000', 'other.internal'],
    });
  });

  it('tells its proxies without who logs in there', () => {
    const proxies: readonly (readonly [string, string | null])[] = [
      ['http://proxy:3128', 'http://proxy:3128'],
      ['http://user:hunter2@proxy:3128', 'http://proxy:3128'],
      ['http://xxxxx:xxxxx@proxy:3128', 'http://proxy:3128'],
      ['user:hunt@er2@proxy:3128', 'proxy:3128'],
      ['', null],
    ];
    for (const [text, shown] of proxies) {
      const traits = readTraits(version, { ...info, HttpProxy: text, HttpsProxy: text, NoProxy: 'localhost' });
      expect(traits, text).to.include({ httpProxy: shown, httpsProxy: shown, noProxy: 'localhost' });
      expect(traits.proxiesWithLogin, text).to.deep.equal(text.includes('@') ? ['http', 'https'] : []);
    }
    expect(readTraits(version, { ...info, HttpsProxy: 'http://me:secret@proxy' }).proxiesWithLogin).to.deep.equal([
      'https',
    ]);
  });

  it('is read from whatever is said, and never throws', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (one, other) => {
        const keys = ['RegistryConfig', 'DriverStatus', 'ID', 'Architecture', 'HttpProxy', 'OSType'];
        const about = readTraits({ Components: one }, Object.fromEntries(keys.map((key) => [key, other])));
        expect(about.product).to.be.oneOf(['docker', 'podman']);
        expect(about.daemonId).not.to.equal('');
        expect(readTraits(one, other).store).to.be.oneOf(['graph', 'containerd', 'podman']);
      }),
    );
  });
});
