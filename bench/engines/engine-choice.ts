import { canRunDockerd, hasNextRelease, startDockerd } from '../../spec/support/docker-engine.js';
import { startPodman } from '../../spec/support/podman-engine.js';
import { canIsolate } from '../../spec/support/private-daemon.js';
import type { RealEngine } from '../../spec/support/real-engine.js';
import { isInstalled } from '../../spec/support/real-parts.js';

/** The engines that are measured. */
export type EngineChoice = 'docker' | 'containerd' | 'podman';

/** An engine that can be started as often as it is needed. */
export interface StartableEngine {
  readonly title: string;
  /** What is not there, and how to get it. */
  missing(): string | null;
  /** With a configuration of registries, in the engine's own words, where it has one. */
  start(registryConfig: string | null): Promise<RealEngine>;
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
    start: () => startDockerd({ dataRootBytes }),
  },
  containerd: {
    title: 'Docker, containerd store',
    missing: () =>
      hasNextRelease() ? null : "Docker with the containerd store (PULL_FAILOVER_NEXT_RELEASE, Debian's next release)",
    start: () => startDockerd({ store: 'containerd', dataRootBytes }),
  },
  podman: {
    title: 'Podman',
    missing: () => (isInstalled('podman') && canIsolate() ? null : 'podman (apt-get install podman, and root)'),
    start: (registryConfig) =>
      startPodman({ dataRootBytes, registryConfig: `${plainLoopback}${registryConfig ?? ''}` }),
  },
};
