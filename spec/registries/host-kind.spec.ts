import { expect } from 'chai';
import { hostKind, type HostKind } from '../../lib/registries/host-kind.js';

describe('the kind of a host', () => {
  const kinds: Readonly<Record<HostKind, readonly string[]>> = {
    loopback: ['localhost', 'LOCALHOST', 'localhost.', '127.0.0.1', '127.255.255.254', '[::1]', '[::ffff:7f00:1]'],
    private: [
      'registry.localhost',
      '10.0.0.5',
      '172.16.0.1',
      '192.168.1.1',
      '169.254.169.254',
      '100.64.0.1',
      '0.0.0.0',
      '[::]',
      '[fe80::1]',
      '[fd00::1]',
      '[::ffff:a00:5]',
    ],
    public: ['quay.io', 'localhost.example.com', '8.8.8.8', '172.32.0.1', '[2606:4700::1111]', '127.0.0.1.nip.io'],
  };
  for (const [kind, hosts] of Object.entries(kinds)) {
    for (const host of hosts) {
      it(`of ${host} is ${kind}`, () => {
        expect(hostKind(host)).to.equal(kind);
      });
    }
  }
});
