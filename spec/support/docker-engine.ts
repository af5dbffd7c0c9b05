import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { canIsolate, startPrivateDaemon } from './private-daemon.js';
import { realEngine, type RealEngine } from './real-engine.js';
import { leaveOut } from './left-out.js';
import { isInstalled, requireReal } from './real-parts.js';

export type { RealEngine } from './real-engine.js';

/** Skips the suite around it where no daemon of ours can run. */
export function requireDockerd(): void {
  requireReal('dockerd', 'apt-get install docker.io, and run the specs as root', canRunDockerd);
}

/** Whether a daemon of ours can run here. */
export function canRunDockerd(): boolean {
  return isInstalled('dockerd') && canIsolate();
}

/**
 * Skips the suite around it where Debian's next release is not unpacked, also in CI: it cannot be had everywhere. Its
 * Docker is the one with a containerd store.
 */
export function requireNextRelease(): void {
  before('needs the next release', function () {
    if (hasNextRelease()) return;
    leaveOut(
      "Debian's next release",
      'debootstrap --variant=minbase --include=docker.io trixie FOLDER, and PULL_FAILOVER_NEXT_RELEASE=FOLDER',
    );
    this.skip();
  });
}

/** Whether Debian's next release is unpacked in the folder that `PULL_FAILOVER_NEXT_RELEASE` names. */
export function hasNextRelease(): boolean {
  const folder = process.env['PULL_FAILOVER_NEXT_RELEASE'] ?? '';
  return folder !== '' && existsSync(join(folder, 'usr/sbin/dockerd')) && canIsolate();
}

export interface DockerdOptions {
  /** Default `graph`. */
  readonly store?: 'graph' | 'containerd';
  /** Default `next` for a containerd store, which the installed one does not have, else `installed`. */
  readonly release?: 'installed' | 'next';
  /** Containers go on while the daemon is away. */
  readonly liveRestore?: boolean;
  /** Images are kept on a file system of this size. */
  readonly dataRootBytes?: number;
  /** Merged into its configuration: `insecure-registries`, `registry-mirrors`, `max-download-attempts`. */
  readonly registryConfig?: Readonly<Record<string, unknown>>;
  /** What is in `/etc/docker/certs.d`, by path: `{ '127.0.0.1:5000/ca.crt': pem }`. */
  readonly certificates?: Readonly<Record<string, string>>;
  /** The only names it knows beside `localhost` and what its resolver says, with their addresses. */
  readonly hosts?: Readonly<Record<string, string>>;
  /** A loopback of its own: it reaches nothing of this process, nor anything else. */
  readonly networkNamespace?: boolean;
  /** Such as `HTTP_PROXY`. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** Short paths: the sockets of its containerd and of its shims lie below. */
const dockerdArguments: readonly string[] = [
  ...['--data-root', '/mnt/root', '--exec-root', '/run/docker', '--pidfile', '/run/docker.pid'],
  ...['--host', 'unix:///mnt/daemon.sock'],
  ...['--bridge', 'none', '--iptables=false', '--ip6tables=false'],
];

/** Starts a `dockerd` of our own, without a network for containers. */
export async function startDockerd(options: DockerdOptions = {}): Promise<RealEngine> {
  const { store = 'graph', release = store === 'containerd' ? 'next' : 'installed' } = options;
  if (release === 'next' && !hasNextRelease()) throw new Error('PULL_FAILOVER_NEXT_RELEASE names no unpacked release');
  const daemon = await startPrivateDaemon({
    name: 'dockerd',
    release: release === 'next' ? (process.env['PULL_FAILOVER_NEXT_RELEASE'] ?? '') : '/',
    command: (name) => ['dockerd', ...dockerdArguments, '--cgroup-parent', `/${name}`],
    etc: {
      'docker/daemon.json': JSON.stringify({
        'live-restore': options.liveRestore ?? false,
        ...(store === 'containerd' ? { features: { 'containerd-snapshotter': true } } : {}),
        ...options.registryConfig,
      }),
      ...(options.hosts === undefined ? {} : { hosts: hostsFile(options.hosts) }),
      ...Object.fromEntries(
        Object.entries(options.certificates ?? {}).map(([path, text]) => [`docker/certs.d/${path}`, text]),
      ),
    },
    dataRootBytes: options.dataRootBytes,
    network: options.networkNamespace === true ? 'own' : 'shared',
    environment: options.environment,
  });
  return realEngine(daemon, store);
}

function hostsFile(hosts: Readonly<Record<string, string>>): string {
  const lines = Object.entries({ localhost: '127.0.0.1', ...hosts }).map(([name, address]) => `${address} ${name}\n`);
  return lines.join('');
}
