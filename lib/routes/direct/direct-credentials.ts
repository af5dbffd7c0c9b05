import type { DaemonCredentials } from '../../engine/docker/docker-daemon.js';
import type { EngineStore } from '../../engine/docker/engine-traits.js';
import type { Credentials } from '../../registries/credentials.js';

/**
 * What a daemon is told to show the registry at `host`; null where it would not pass it on, and ask as nobody instead:
 * Podman drops an access token (pkg/auth/auth.go of 4.3.1, `dockerAuthToImageAuth`).
 */
export function daemonCredentials(
  credentials: Credentials,
  host: string,
  store: EngineStore,
): DaemonCredentials | null {
  if ('username' in credentials) return { ...credentials, serveraddress: host };
  if ('identityToken' in credentials) return { identitytoken: credentials.identityToken, serveraddress: host };
  return store === 'podman' ? null : { registrytoken: credentials.registryToken, serveraddress: host };
}
