import { expect } from 'chai';
import { insecureNetworks, isInsecure } from '../../lib/registries/engine-trust.js';
import { registryAt } from '../distribution/rig.js';
import { authority } from './certificates.js';

describe('a registry that an engine takes as insecure', () => {
  const trust = {
    insecureCidrs: ['127.0.0.0/8', '10.0.0.0/8', 'fd00::/8', 'nonsense'],
    insecureRegistries: ['Registry.Internal:5000', '192.0.2.7', 'docker.io'],
    product: 'docker',
  } as const;

  const cases: readonly (readonly [string, boolean])[] = [
    ['registry.internal:5000', true],
    ['registry.internal:5000/team', true],
    ['registry.internal', false],
    ['registry.internal:5001', false],
    ['other.internal:5000', false],
    ['192.0.2.7', true],
    ['192.0.2.7:5000', false],
    ['10.1.2.3:5000', true],
    ['[fd00::1]:5000', true],
    ['11.1.2.3:5000', false],
    ['[fe80::1]:5000', false],
    // It is asked without TLS anyhow.
    ['127.0.0.1:5000', false],
    ['docker.io', false],
  ];
  for (const [prefix, expected] of cases) {
    it(`${expected ? 'is' : 'is not'} ${prefix}`, () => {
      expect(isInsecure(registryAt(prefix), trust)).to.equal(expected);
    });
  }

  it('is one on any port of a host that Podman lists', () => {
    const podman = { ...trust, product: 'podman' } as const;
    expect(isInsecure(registryAt('192.0.2.7:5000'), podman)).to.equal(true);
    expect(isInsecure(registryAt('192.0.2.8:5000'), podman)).to.equal(false);
    expect(isInsecure(registryAt('registry.internal:5001'), podman)).to.equal(false);
  });

  it('is none whose own options say how it is to be recognised', () => {
    for (const options of [{ plainHttp: false }, { plainHttp: true }, { ca: authority }]) {
      expect(isInsecure(registryAt('10.1.2.3:5000', options), trust)).to.equal(false);
    }
  });
});

describe('a registry that may be insecure to an engine for where its name leads', () => {
  const trust = {
    insecureCidrs: ['127.0.0.0/8', '::1/128', '10.0.0.0/8', 'fd00::/8', 'nonsense'],
    insecureRegistries: ['listed.internal:5000'],
    product: 'docker',
  } as const;
  const networks = ['10.0.0.0/8', 'fd00::/8'];

  it('has a name, and is not listed by it; loopback counts for no name', () => {
    expect(insecureNetworks(registryAt('registry.internal:5000/team'), trust)).to.deep.equal(networks);
    expect(insecureNetworks(registryAt('listed.internal'), trust)).to.deep.equal(networks);
    for (const prefix of ['listed.internal:5000', '192.0.2.7:5000', '[fe80::1]:5000', '10.1.2.3', 'localhost:5000']) {
      expect(insecureNetworks(registryAt(prefix), trust), prefix).to.deep.equal([]);
    }
  });

  it('is none on Docker Hub, to Podman, to an engine without networks of its own, or against its own options', () => {
    expect(insecureNetworks(registryAt('docker.io/team'), trust)).to.deep.equal([]);
    expect(insecureNetworks(registryAt('registry.internal'), { ...trust, product: 'podman' })).to.deep.equal([]);
    const usual = { ...trust, insecureCidrs: ['127.0.0.0/8', '::1/128'] };
    expect(insecureNetworks(registryAt('registry.internal'), usual)).to.deep.equal([]);
    for (const options of [{ plainHttp: false }, { plainHttp: true }, { ca: authority }]) {
      expect(insecureNetworks(registryAt('registry.internal', options), trust)).to.deep.equal([]);
    }
  });
});
