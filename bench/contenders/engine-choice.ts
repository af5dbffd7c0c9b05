import { canRunDockerd, hasNextRelease, startDockerd } from '../../spec/support/docker-engine.js';
import { startPodman } from '../../spec/support/podman-engine.js';
import { canIsolate } from '../../spec/support/private-daemon.js';
import type { RealEngine } from '../../spec/support/real-engine.js';
import { isInstalled } from '../../spec/support/real-parts.js';

/** The engines that are measured. */
export type EngineChoice = 'docker' | 'containerd' | 'podman';

/** What an engine knows of registries. */
export interface EngineConfig {
  /** A registries.conf, for the engine that has one. */
  readonly registries: string | null;
  /** The authorities of registries with TLS, PEM, by host. */
  readonly authorities: Readonly<Record<string, string>>;
}

/** An engine that can be started as often as it is needed. */
export interface StartableEngine {
  readonly title: string;
  /** What is not there, and how to get it. */
  missing(): string | null;
  start(config: EngineConfig): Promise<RealEngine>;
}

/**
 * A data root in memory, large enough for what an engine keeps meanwhile: a disk would write the pages of one trial
 * during the next.
 */
const dataRootBytes: number = 8 * 2 ** 30;

/** Docker takes plain HTTP from loopback as it is; Podman has to be told. */
const plainLoopback = `[[registry]]
location = "127.0.0.1"
insecure = true
`;

export const engines: Readonly<Record<EngineChoice, StartableEngine>> = {
  docker: {
    title: 'Docker',
    missing: () => (canRunDockerd() ? null : 'dockerd (apt-get install docker.io, and root)'),
    start: (config) => startDockerd({ dataRootBytes, certificates: certificatesOf(config) }),
  },
  containerd: {
    title: 'Docker, containerd store',
    missing: () =>
      hasNextRelease() ? null : "Docker with the containerd store (PULL_FAILOVER_NEXT_RELEASE, Debian's next release)",
    start: (config) => startDockerd({ store: 'containerd', dataRootBytes, certificates: certificatesOf(config) }),
  },
  podman: {
    title: 'Podman',
    missing: () => (isInstalled('podman') && canIsolate() ? null : 'podman (apt-get install podman, and root)'),
    start: ({ registries }) => startPodman({ dataRootBytes, registryConfig: `${plainLoopback}${registries ?? ''}` }),
  },
};

function certificatesOf({ authorities }: EngineConfig): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(authorities).map(([host, ca]) => [`${host}/ca.crt`, ca]));
}
