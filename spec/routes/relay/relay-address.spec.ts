import { expect } from 'chai';
import { hostOf, isListed, isLoopback, isProxied, isTrustedPlain } from '../../../lib/routes/relay/relay-address.js';
import { relayAdvice } from '../../../lib/routes/relay/relay-advice.js';

describe('the address of a relay', () => {
  it('is a host and a port, in brackets for IPv6', () => {
    expect(['127.0.0.1:5000', '[::1]:5000', 'localhost:1', 'relay.example:443'].map(hostOf)).to.deep.equal([
      '127.0.0.1',
      '::1',
      'localhost',
      'relay.example',
    ]);
  });

  it('is on loopback as Docker understands it', () => {
    for (const host of ['127.0.0.1', '127.0.0.2', 'localhost', '::1', '::ffff:127.0.0.1']) {
      expect(isLoopback(host), host).to.equal(true);
    }
    for (const host of ['10.0.0.1', '128.0.0.1', 'localhost.example', '127.0.0.1.example', '::2', '']) {
      expect(isLoopback(host), host).to.equal(false);
    }
  });

  it('may be spoken to in plain HTTP on loopback, in an insecure network, and where it is listed, and nowhere else', () => {
    const traits = {
      product: 'docker',
      insecureCidrs: ['127.0.0.0/8', '10.20.0.0/16', 'fd00::/8', 'nonsense'],
      insecureRegistries: ['relay.example:5055', 'without-port.example', '192.0.2.1'],
    } as const;
    const trusted = [
      '127.0.0.1:5000',
      '127.9.9.9:1',
      'localhost:5000',
      '[::1]:5000',
      '10.20.255.1:5000',
      '[fd12::1]:5000',
      'relay.example:5055',
    ];
    const untrusted = [
      '10.21.0.1:5000',
      '[fe80::1]:5000',
      'relay.example:5056',
      'without-port.example:17',
      '192.0.2.1:5000',
      'host.example:1',
    ];
    expect(trusted.filter((address) => !isTrustedPlain(address, traits))).to.deep.equal([]);
    expect(untrusted.filter((address) => isTrustedPlain(address, traits))).to.deep.equal([]);
    expect(isListed('10.20.0.1:5000', traits), 'a network names no registry').to.equal(false);
    const podman = { ...traits, product: 'podman' } as const;
    expect(isTrustedPlain('without-port.example:17', podman), 'all ports, to Podman').to.equal(true);
  });
});

describe('the advice to a host whose daemon does not reach the relay', () => {
  const listen = { host: '127.0.0.1', port: 0 };
  const local = 'unix:///var/run/docker.sock';

  it('is to publish a port where the host runs in a container', () => {
    const advice = relayAdvice({ daemonAddress: local, relay: { listen, advertise: null }, isInContainer: true });
    expect(advice).to.include('--publish 127.0.0.1:5055:5055').and.to.include("advertise: '127.0.0.1:5055'");
    const ownPort = relayAdvice({
      daemonAddress: local,
      relay: { listen: { host: '0.0.0.0', port: 7001 }, advertise: null },
      isInContainer: true,
    });
    expect(ownPort).to.include('127.0.0.1:7001:7001');
  });

  it('is to check the port that is said to be published', () => {
    const relay = { listen: { host: '0.0.0.0', port: 7001 }, advertise: '127.0.0.1:7001' };
    expect(relayAdvice({ daemonAddress: local, relay, isInContainer: true })).to.match(/127\.0\.0\.1:7001.*publish/);
  });

  it('is to come nearer, or to advertise an address, where the daemon is on another machine', () => {
    for (const daemonAddress of ['tcp://10.0.0.5:2376', 'https://docker.example:2376', 'ssh://root@10.0.0.5']) {
      const advice = relayAdvice({ daemonAddress, relay: { listen, advertise: null }, isInContainer: false });
      expect(advice, daemonAddress).to.match(/another machine.*insecure-registries/);
    }
  });

  it('names another loopback where the daemon seems to be on this machine', () => {
    for (const daemonAddress of [local, 'tcp://127.0.0.1:2375', 'tcp://localhost:2375', 'npipe:////./pipe/docker']) {
      const advice = relayAdvice({ daemonAddress, relay: { listen, advertise: null }, isInContainer: false });
      expect(advice, daemonAddress).to.include('another loopback');
    }
  });

  it('is read by the daemon’s proxy, unless it is on loopback or exempt', () => {
    const proxied = { httpProxy: 'http://10.0.0.1:3128', httpsProxy: null, noProxy: '10.1.0.0/16,relay.internal' };
    expect(isProxied('192.168.1.5:5055', proxied)).to.equal(true);
    expect(isProxied('192.168.1.5:5055', { ...proxied, httpProxy: null, httpsProxy: 'http://10.0.0.1:3128' })).to.equal(
      true,
    );
    for (const address of ['127.0.0.1:5055', 'localhost:5055', '[::1]:5055', '10.1.2.3:5055', 'relay.internal:5055']) {
      expect(isProxied(address, proxied), address).to.equal(false);
    }
    expect(isProxied('192.168.1.5:5055', { httpProxy: null, httpsProxy: null, noProxy: null })).to.equal(false);
  });
});
