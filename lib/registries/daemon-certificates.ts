import { homedir } from 'node:os';
import { join } from 'node:path';
import { readCertificateFolder, type CertificateFolder } from './certificate-folder.js';
import { recentlyUsed } from './recently-used.js';
import { spokenTo, type Registry } from './registry.js';
import type { RegistryTls } from './tls-options.js';

/** The certificates by which a Docker daemon on this host recognises registries, and they it. */
export interface DaemonCertificates {
  /**
   * What there is for `host[:port]`, `docker.io` for Docker Hub; null where there is nothing. It is the same object while
   * nothing changes on disk. Never throws: this process is warned, once per change, of what cannot be used.
   */
  of(host: string): RegistryTls | null;
}

/** Where the daemon's certificates are looked for. */
export interface DaemonCertificatesPlace {
  /**
   * Folders that hold one folder per `host[:port]`; the first that does counts. Default: `/etc/docker/certs.d`, before it
   * for other users than root `docker/certs.d` in `$XDG_CONFIG_HOME` or `~/.config`, where their own daemon looks.
   */
  readonly folders?: readonly string[];
}

/**
 * Opens the daemon's certificates. They are read when they are asked for, and again when they have changed, as a daemon
 * reads them at each pull.
 *
 * @see https://docs.docker.com/engine/security/certificates/
 */
export function createDaemonCertificates(place: DaemonCertificatesPlace = {}): DaemonCertificates {
  const folders = place.folders ?? usualFolders(process.env, process.getuid?.() === 0);
  const readings = recentlyUsed((host) => lookIn(folders.map((folder) => join(folder, host))));
  return Object.freeze({ of: (host: string) => readings.of(host)() });
}

/** One reading after the other of the same folders. */
function lookIn(paths: readonly string[]): () => RegistryTls | null {
  const known = new Map<string, CertificateFolder>();
  return () => {
    for (const path of paths) {
      const before = known.get(path) ?? null;
      const found = readCertificateFolder(path, before);
      if (found === null) {
        known.delete(path);
        continue;
      }
      known.set(path, found);
      if (found !== before) for (const problem of found.problems) warn(problem);
      return found.tls;
    }
    return null;
  };
}

function warn(problem: string): void {
  process.emitWarning(`Docker's certificates: ${problem}`, {
    type: 'PullFailoverWarning',
    code: 'PULL_FAILOVER_CERTIFICATES',
  });
}

/** Where a daemon of this host keeps its certificates, and one that this user runs before it. */
export function usualFolders(env: NodeJS.ProcessEnv, isRoot: boolean): readonly string[] {
  const ofSystem = '/etc/docker/certs.d';
  if (isRoot) return [ofSystem];
  const configHome = env['XDG_CONFIG_HOME'] ?? '';
  try {
    return [join(configHome === '' ? join(homedir(), '.config') : configHome, 'docker', 'certs.d'), ofSystem];
  } catch {
    // A container's user may have no home at all.
    return [ofSystem];
  }
}

/** What became of registries, so that each stays one object while its certificates do. */
const known = new WeakMap<Registry, { readonly tls: RegistryTls; readonly registry: Registry }>();

/**
 * The registry with the daemon's certificates, unless its own options say how it is recognised. One that has some speaks
 * TLS, also on loopback.
 */
export function withDaemonCertificates(registry: Registry, certificates: DaemonCertificates): Registry {
  const isPlainAsked = registry.given === 'scheme' && registry.baseUrl.startsWith('http:');
  if (registry.given === 'certificates' || isPlainAsked || !registry.contact) return registry;
  const tls = certificates.of(registry.host);
  if (tls === null) return registry;
  const before = known.get(registry);
  if (before?.tls === tls) return before.registry;
  const changed = spokenTo(registry, 'https', tls);
  known.set(registry, { tls, registry: changed });
  return changed;
}
