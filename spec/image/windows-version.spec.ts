import { expect } from 'chai';
import { compareWindowsVersions, runsOnWindows } from '../../lib/image/windows-version.js';

describe('image/windows-version', () => {
  for (const [host, offered, runs] of [
    // before Windows Server 2022: the same build only
    ['10.0.17763', '10.0.17763', true],
    ['10.0.17763.1', '10.0.17763.9999', true],
    ['10.0.17763', '10.0.17762', false],
    ['10.0.17763', '10.0.20348', false],
    ['10.0.20347', '10.0.20348', false],
    // Windows Server 2022 and between it and 2025
    ['10.0.20348', '10.0.20348', true],
    ['10.0.20348', '10.0.20347', false],
    ['10.0.20348', '10.0.20349', false],
    ['10.0.22621', '10.0.20348', true],
    ['10.0.22621', '10.0.22000', true],
    ['10.0.22621', '10.0.22621', true],
    ['10.0.22621', '10.0.22622', false],
    ['10.0.22621', '10.0.17763', false],
    // Windows Server 2025: back to 2022; later ones back to 2025
    ['10.0.26100', '10.0.20348', true],
    ['10.0.26100', '10.0.26100', true],
    ['10.0.26100', '10.0.17763', false],
    ['10.0.27000', '10.0.26100', true],
    ['10.0.27000', '10.0.20348', false],
    // another release
    ['10.0.20348', '6.3.20348', false],
    ['10.0.20348', '10.1.20348', false],
    // unknown ones exclude nothing, malformed images never match a known host
    ['', '10.0.17763', true],
    ['10.0', '10.0.17763', true],
    ['10.0.20348', '', true],
    ['', '', true],
    ['10.0.20348', '10.0', false],
    ['10.0.20348', 'ltsc2022', false],
    ['10.0.20348', '10.0.20348x', false],
    ['10.0.20348', '10.0.999999', false],
    ['10.0.20348', '10.0.20348.', true],
    ['10.0.20348', '10.0.20348.beta', true],
  ] as const) {
    it(`${host || 'an unknown host'} ${runs ? 'runs' : 'does not run'} ${offered || 'no version'}`, () => {
      expect(runsOnWindows(host, offered)).to.equal(runs);
    });
  }

  it('puts the newest build first, of one build the newest update, and no version last', () => {
    const versions = ['', '10.0.9999.9', '10.0.20348', '10.0.20348.859', '10.0.20348.2227', '10.0.26100.1'];
    expect(versions.toSorted(compareWindowsVersions)).to.deep.equal(versions.toReversed());
    expect(versions.toReversed().toSorted(compareWindowsVersions)).to.deep.equal(versions.toReversed());
  });
});
