import { canIsolate, startPrivateDaemon } from './private-daemon.js';
import { realEngine, type RealEngine } from './real-engine.js';
import { isInstalled, requireReal } from './real-parts.js';

/** Skips the suite around it where no Podman of ours can run. */
export function requirePodman(): void {
  requireReal(
    'podman',
    'apt-get install podman, and run the specs as root',
    () => isInstalled('podman') && canIsolate(),
  );
}

export interface PodmanOptions {
  /** Images are kept on a file system of this size. */
  readonly dataRootBytes?: number;
  /** A file of `/etc/containers/registries.conf.d`, in TOML. */
  readonly registryConfig?: string;
  /** A loopback of its own: it reaches nothing of this process, nor anything else. */
  readonly networkNamespace?: boolean;
  /** Such as `HTTP_PROXY`. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** Starts a `podman system service` of our own. */
export async function startPodman(options: PodmanOptions = {}): Promise<RealEngine> {
  const daemon = await startPrivateDaemon({
    name: 'podman',
    release: '/',
    command: () => ['podman', ...podmanArguments],
    etc:
      options.registryConfig === undefined
        ? {}
        : { 'containers/registries.conf.d/90-spec.conf': options.registryConfig },
    dataRootBytes: options.dataRootBytes,
    network: options.networkNamespace === true ? 'own' : 'shared',
    environment: options.environment,
  });
  return realEngine(daemon, 'podman');
}

const podmanArguments: readonly string[] = [
  ...['--root', '/mnt/root', '--runroot', '/run/podman', '--cgroup-manager', 'cgroupfs'],
  ...['system', 'service', '--time=0', 'unix:///mnt/daemon.sock'],
];
