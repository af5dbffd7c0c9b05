/** Builds of Windows Server's long-term releases with a stable interface to containers, oldest first. */
const stableBuilds: readonly number[] = [20_348, 26_100];

/** Windows Server 2022: hosts before it run only containers of their own build. */
const firstStableBuild = 20_348;

/**
 * Tells whether a Windows of version `host` runs containers of version `offered`. A version that is not known, or of
 * the host not understood, excludes nothing.
 *
 * @see https://learn.microsoft.com/en-us/virtualization/windowscontainers/deploy-containers/version-compatibility
 * @see https://github.com/containerd/platforms/blob/09756f59cb1d6b3fb368f371043d36e634789537/platform_windows_compat.go#L69-L105
 */
export function runsOnWindows(host: string, offered: string): boolean {
  const machine = parseVersion(host);
  if (offered === '' || machine === null) return true;
  const container = parseVersion(offered);
  return (
    container !== null &&
    container.release === machine.release &&
    oldestBuild(machine.build) <= container.build &&
    container.build <= machine.build
  );
}

/** Orders versions for one host, the newest first: the newest build, of one build the newest update. */
export function compareWindowsVersions(a: string, b: string): number {
  const first = parseVersion(a);
  const second = parseVersion(b);
  return (second?.build ?? 0) - (first?.build ?? 0) || (second?.revision ?? 0) - (first?.revision ?? 0);
}

/** The oldest build of containers that a host runs: the long-term release before its own. */
function oldestBuild(hostBuild: number): number {
  if (hostBuild < firstStableBuild) return hostBuild;
  return stableBuilds.findLast((build) => build < hostBuild) ?? firstStableBuild;
}

interface WindowsVersion {
  /** `10.0` */
  readonly release: string;
  readonly build: number;
  /** The update of the build; it says nothing of what runs where. */
  readonly revision: number;
}

function parseVersion(text: string): WindowsVersion | null {
  const groups = /^(?<major>\d{1,3})\.(?<minor>\d{1,3})\.(?<build>\d{1,5})(?:\.(?<revision>\d{1,9})?.*)?$/s.exec(
    text,
  )?.groups;
  if (groups === undefined) return null;
  return {
    release: `${Number(groups['major'])}.${Number(groups['minor'])}`,
    build: Number(groups['build']),
    revision: Number(groups['revision'] ?? 0),
  };
}
