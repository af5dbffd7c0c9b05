import { normalise, type Platform } from './platform-normal.js';
import { compareWindowsVersions, runsOnWindows } from './windows-version.js';

/** Which platforms a machine can run, and which of them rather. */
export interface PlatformMatch {
  includes(offered: Platform): boolean;
  /** Negative when `a` is to be preferred; both must be included. */
  compare(a: Platform, b: Platform): number;
}

/** A feature of Windows that containerd leaves out of its comparison: every Windows host that runs desktops has it. */
const ignoredWindowsFeature = 'win32k';

/**
 * Matches as containerd's `Only` does: the platform itself, lower variants of it, and the 32-bit architecture that
 * a 64-bit one runs too. Of two equal ones, the newer one on a Windows of known version, and else the one that uses more
 * of the wanted features, is preferred.
 *
 * @see https://github.com/containerd/platforms/blob/09756f59cb1d6b3fb368f371043d36e634789537/compare.go#L146-L161
 */
export function createPlatformMatch(wanted: Platform): PlatformMatch {
  const own = normalise(wanted);
  const runnable = runnableArchitectures(own.architecture, own.variant ?? '').map((name) =>
    architectureName(normalise({ ...own, ...name })),
  );
  const features = new Set(own.osFeatures ?? []);
  const isWindowsKnown = own.os === 'windows' && own.osVersion !== undefined;

  const rankOf = (offered: Platform): number => runnable.indexOf(architectureName(normalise(offered)));

  return {
    includes: (offered) => {
      const { os, osFeatures = [] } = normalise(offered);
      return (
        os === own.os &&
        rankOf(offered) !== -1 &&
        (os !== 'windows' || runsOnWindows(own.osVersion ?? '', offered.osVersion ?? '')) &&
        osFeatures.every((feature) => features.has(feature) || (os === 'windows' && feature === ignoredWindowsFeature))
      );
    },
    compare: (a, b) =>
      rankOf(a) - rankOf(b) ||
      (isWindowsKnown ? compareWindowsVersions(a.osVersion ?? '', b.osVersion ?? '') : 0) ||
      (b.osFeatures?.length ?? 0) - (a.osFeatures?.length ?? 0),
  };
}

interface ArchitectureName {
  readonly architecture: string;
  readonly variant: string;
}

function architectureName({ architecture, variant = '' }: Platform): string {
  return `${architecture}/${variant}`;
}

/** What a machine of this architecture runs, best first. */
function runnableArchitectures(architecture: string, variant: string): readonly ArchitectureName[] {
  const same = (variants: readonly string[]): readonly ArchitectureName[] =>
    variants.map((name) => ({ architecture, variant: name }));
  switch (architecture) {
    case 'amd64':
      return [...same([variant, ...lowerVersions(variant, 1)]), { architecture: '386', variant: '' }];
    case 'arm':
      return same([variant, ...lowerVersions(variant, 5)]);
    case 'arm64':
      return arm64Variants(variant, same);
    default:
      return same([variant]);
  }
}

/** `v4` down to 1: `v3`, `v2`, `v1`. A variant that is no number has no lower ones. */
function lowerVersions(variant: string, lowest: number): readonly string[] {
  const version = Number(/^v?(\d{1,2})$/.exec(variant)?.[1] ?? 0);
  return Array.from({ length: Math.max(0, version - lowest) }, (_, at) => `v${version - 1 - at}`);
}

const highestV8 = 9;
const highestV9 = 7;

/**
 * ARMv9.n is a superset of ARMv8.(n + 5), and every 64-bit variant is taken to run 32-bit ones. A variant nobody knows
 * runs only its like.
 */
function arm64Variants(
  variant: string,
  same: (variants: readonly string[]) => readonly ArchitectureName[],
): readonly ArchitectureName[] {
  const groups = /^v(?<major>[89])(?:\.(?<minor>\d))?$/.exec(variant === '' ? 'v8' : variant)?.groups;
  const minor = Number(groups?.['minor'] ?? 0);
  const isV9 = groups?.['major'] === '9';
  if (groups === undefined || minor > (isV9 ? highestV9 : highestV8)) return same([variant]);
  const v9 = isV9 ? minorVersions('v9', minor) : [];
  const v8 = minorVersions('v8', isV9 ? Math.min(minor + 5, highestV8) : minor);
  const arm = ['v8', ...lowerVersions('v8', 5)].map((name) => ({ architecture: 'arm', variant: name }));
  return [...same([...v9, ...v8]), ...arm];
}

/** `v8.2`, `v8.1`, `v8`. */
function minorVersions(major: string, minor: number): readonly string[] {
  return Array.from({ length: minor + 1 }, (_, at) => (at === minor ? major : `${major}.${minor - at}`));
}
