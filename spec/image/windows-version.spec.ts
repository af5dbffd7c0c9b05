import { expect } from 'chai';
import { runsOnWindows } from '../../lib/image/windows-version.js';

describe('image/windows-version', () => {
  for (const [host, offered, build] of [
    // before Windows Server 2022: the same build only
    ['10.0.17763', '10.0.17763', 17763],
    ['10.0.17763.1', '10.0.17763.9999', 17763],
    ['10.0.17763', '10.0.17762', null],
    ['10.0.17763', '10.0.20348', null],
    ['10.0.20347', '10.0.20348', null],
    // Windows Server 2022 and between it and 2025
    ['10.0.20348', '10.0.20348', 20348],
    ['10.0.20348', '10.0.20347', null],
    ['10.0.20348', '10.0.20349', null],
    ['10.0.22621', '10.0.20348', 20348],
    ['10.0.22621', '10.0.22000', 22000],
    ['10.0.22621', '10.0.22621', 22621],
    ['10.0.22621', '10.0.22622', null],
    ['10.0.22621', '10.0.17763', null],
    // Windows Server 2025: back to 2022; later ones back to 2025
    ['10.0.26100', '10.0.20348', 20348],
    ['10.0.26100', '10.0.26100', 26100],
    ['10.0.26100', '10.0.17763', null],
    ['10.0.27000', '10.0.26100', 26100],
    ['10.0.27000', '10.0.20348', null],
    // another release
    ['10.0.20348', '6.3.20348', null],
    ['10.0.20348', '10.1.20348', null],
    // unknown ones exclude nothing, malformed images never match a known host
    ['', '10.0.17763', 0],
    ['10.0', '10.0.17763', 0],
    ['10.0.20348', '', 0],
    ['', '', 0],
    ['10.0.20348', '10.0', null],
    ['10.0.20348', 'ltsc2022', null],
    ['10.0.20348', '10.0.20348x', null],
    ['10.0.20348', '10.0.999999', null],
  ] as const) {
    it(`${host || 'an unknown host'} ${build === null ? 'does not run' : 'runs'} ${offered || 'no version'}`, () => {
      expect(runsOnWindows(host, offered)).to.equal(build);
    });
  }
});
