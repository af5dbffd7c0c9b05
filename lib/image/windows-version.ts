/** Builds of Windows Server's long-term releases with a stable interface to containers, oldest first. */
const stableBuilds: readonly number[] = [20_348, 26_100];

/** Windows Server 2022: hosts before it run only containers of their own build. */
const firstStableBuild = 20_348;

/**
 * Tells whether a Windows of version `host` runs a container of version `offered`, and returns the container's build
 * (0 where it has no version), or null when it does not run. A version that is not known excludes nothing.
 *
 * @see https://learn.microsoft.com/en-us/virtualization/windowscontainers/deploy-containers/version-compatibility
 * @see https://github.com/containerd/platforms/blob/09756f59cb1d6b3fb368f371043d36e634789537/platform_windows_compat.go#L69-L105
 */
export function runsOnWindows(host: string, offered: string): number | null {
  const machine = parseVersion(host);
  const container = parseVersion(offered);
  if (offered === '') return 0;
  if (machine === null) return 0;
  if (container === null || container.release !== machine.release) return null;
  return oldestBuild(machine.build) <= container.build && container.build <= machine.build ? container.build : null;
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
}

/** Only the build counts: revisions (`10.0.20348.2227`) are updates of one build. */
function parseVersion(text: string): WindowsVersion | null {
  const groups = /^(?<major>\d{1,3})\.(?<minor>\d{1,3})\.(?<build>\d{1,5})(?:\.|$)/.exec(text)?.groups;
  if (groups === undefined) return null;
  return { release: `${Number(groups['major'])}.${Number(groups['minor'])}`, build: Number(groups['build']) };
}
