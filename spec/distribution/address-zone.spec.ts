import { expect } from 'chai';
import fc from 'fast-check';
import { guardOfAnswer, guardOfNetworks } from '../../lib/distribution/address-guard.js';
import { zoneOfAddress, zoneOfHost, type AddressZone } from '../../lib/distribution/address-zone.js';

describe('the zone of an address', () => {
  const zones: Readonly<Record<AddressZone, readonly string[]>> = {
    public: [
      '1.1.1.1',
      '172.15.255.255',
      '172.32.0.0',
      '100.128.0.0',
      '2606:4700::1111',
      '::ffff:1.1.1.1',
      '64:ff9b::101:101',
    ],
    private: [
      '10.0.0.1',
      '172.16.0.1',
      '172.31.255.255',
      '192.168.1.1',
      '100.64.0.1',
      'fc00::1',
      'fd12::1',
      '::ffff:10.0.0.1',
      '64:ff9b::a00:1',
    ],
    loopback: [
      '127.0.0.1',
      '127.255.255.254',
      '::1',
      '0:0:0:0:0:0:0:1',
      '::ffff:127.0.0.1',
      '::ffff:7f00:1',
      '64:ff9b::7f00:1',
      '::127.0.0.1',
    ],
    special: [
      '0.0.0.0',
      '169.254.169.254',
      '192.0.2.1',
      '198.18.0.1',
      '224.0.0.1',
      '240.0.0.1',
      '255.255.255.255',
      '::',
      'fe80::1',
      'fe80::1%eth0',
      'fec0::1',
      'ff02::1',
      '::ffff:169.254.169.254',
      '64:ff9b::a9fe:a9fe',
      '64:ff9b:1::7f00:1',
      '2002:7f00:1::',
      '2001::1',
      '2001:db8::1',
      '4000::1',
      '::ffff:0:127.0.0.1',
      '',
      'registry.example',
    ],
  };
  for (const [zone, addresses] of Object.entries(zones)) {
    for (const address of addresses) {
      it(`is ${zone} for ${address === '' ? 'nothing' : address}`, () => expect(zoneOfAddress(address)).to.equal(zone));
    }
  }

  it('is the same for an IPv4 address and its mapped form', () => {
    fc.assert(
      fc.property(fc.ipV4(), (address) => {
        expect(zoneOfAddress(`::ffff:${address}`)).to.equal(zoneOfAddress(address));
      }),
    );
  });
  it('is told for any IPv6 address', () => {
    fc.assert(
      fc.property(fc.ipV6(), (address) => {
        expect(['public', 'private', 'loopback', 'special']).to.include(zoneOfAddress(address));
      }),
    );
  });
});

describe('the zone of a host', () => {
  const zoneOf = (url: string): AddressZone | null => zoneOfHost(new URL(url).hostname);
  it('is known for addresses in every spelling a URL may have', () => {
    for (const host of [
      '127.0.0.1',
      '127.1',
      '2130706433',
      '0x7f000001',
      '0177.0.0.1',
      '[::1]',
      '[::ffff:127.0.0.1]',
      '127.0.0.1.',
    ])
      expect(zoneOf(`http://${host}/`), host).to.equal('loopback');
    expect(zoneOf('http://169.254.169.254/latest/meta-data')).to.equal('special');
    expect(zoneOf('http://0/')).to.equal('special');
  });
  it('is loopback for every name that always means this host', () => {
    for (const host of ['localhost', 'LOCALHOST', 'localhost.', 'a.b.localhost'])
      expect(zoneOf(`http://${host}/`), host).to.equal('loopback');
  });
  it('is unknown for any other name', () => {
    for (const host of ['registry.example', 'localhost.example', 'xlocalhost'])
      expect(zoneOf(`http://${host}/`), host).to.equal(null);
  });
});

describe('the guard of an answer', () => {
  const reach: readonly [AddressZone, readonly AddressZone[]][] = [
    ['public', ['public']],
    ['private', ['public', 'private']],
    ['loopback', ['public', 'private', 'loopback']],
    ['special', ['public', 'private']],
  ];
  for (const [from, expected] of reach) {
    it(`lets an answer from a ${from} address lead to ${expected.join(', ')} and nowhere else`, () => {
      const all: readonly AddressZone[] = ['public', 'private', 'loopback', 'special'];
      expect(all.filter((zone) => guardOfAnswer(from).admits(zone, null))).to.deep.equal(expected);
    });
  }
});

describe('the guard of networks', () => {
  const guard = guardOfNetworks([
    '10.0.0.0/8',
    'fd00::/8',
    '0.0.0.0/5',
    '127.0.0.0/8',
    '169.254.0.0/16',
    '::/0',
    'nonsense',
  ]);
  const cases: readonly (readonly [string, boolean])[] = [
    ['10.1.2.3', true],
    ['::ffff:10.1.2.3', true],
    ['fd00::1', true],
    ['4.4.4.4', true],
    ['2606:4700::1111', true],
    ['11.1.2.3', false],
    ['192.168.0.1', false],
    // In a network that is named, and still everybody's.
    ['127.0.0.1', false],
    ['::1', false],
    ['::ffff:127.0.0.1', false],
    ['0.0.0.0', false],
    ['169.254.169.254', false],
    ['fe80::1', false],
  ];
  for (const [address, expected] of cases) {
    it(`${expected ? 'lets' : 'does not let'} a name lead to ${address}`, () => {
      expect(guard.admits(zoneOfAddress(address), address)).to.equal(expected);
    });
  }

  it('lets no name lead anywhere whose address is not known', () => {
    expect(guard.admits('private', null)).to.equal(false);
  });
});
