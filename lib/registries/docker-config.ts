import { homedir } from 'node:os';
import { join } from 'node:path';
import { helperLimitMs, runCredentialHelper } from './credential-helper.js';
import { credentialReuseMs } from './credential-source.js';
import { CredentialsUnavailableError } from './credentials-unavailable.js';
import type { Credentials, CredentialsQuery, CredentialSource } from './credentials.js';
import { readDockerConfigFile, type DockerConfigFile, type HelperForRegistry } from './docker-config-file.js';
import { canonicalHost } from './prefix.js';
import { recentlyUsed } from './recently-used.js';
import { shareLookup, type SharedLookup } from './shared-lookup.js';

/** Docker's own configuration of credentials, read when it is asked for. */
export interface DockerConfig {
  /** Where the credentials for `host[:port]` come from; `docker.io` for Docker Hub. Reads nothing yet. */
  credentials(host: string): CredentialSource;
}

/** Where Docker's configuration is looked for. */
export interface DockerConfigPlace {
  /** Holds `DOCKER_CONFIG`, and is what credential helpers run with; default: this process's own. */
  readonly env?: NodeJS.ProcessEnv;
  /** The folder that holds `.docker` where `DOCKER_CONFIG` is not set; default: the user's home. */
  readonly homeDirectory?: string;
}

/** How long reading the file may take, in milliseconds: it is a local one, unless it is on a network share that died. */
const readLimitMs = 5_000;

/**
 * Docker's `config.json`: `$DOCKER_CONFIG/config.json`, else `~/.docker/config.json`. For each registry the helper in
 * `credHelpers`, else the one in `credsStore`, is asked; when that knows nothing, `auths`. No file means anonymous.
 * The file is read again when it has changed, and what a helper says is used for a minute; a `fresh` query reads the
 * file and asks the helper again.
 *
 * @see https://github.com/docker/cli/blob/v28.5.1/cli/config/configfile/file.go
 */
export function createDockerConfig(place: DockerConfigPlace = {}): DockerConfig {
  const env = place.env ?? process.env;
  let known: DockerConfigFile | null = null;

  const files = shareLookup<DockerConfigFile | null>(
    async (_signal, fresh) => {
      const path = configPath(env, place.homeDirectory);
      known = path === null ? null : await readDockerConfigFile(path, known, fresh);
      return known;
    },
    {
      reuseMs: 0,
      limitMs: readLimitMs,
      late: () =>
        new CredentialsUnavailableError(
          'config-unreadable',
          `Docker's configuration could not be read within ${readLimitMs} ms`,
        ),
    },
  );
  const lookups = recentlyUsed((host) => helperLookups(host, env));

  return Object.freeze({
    credentials: (name: string): CredentialSource => {
      const host = canonicalHost(name);
      return Object.freeze({
        get: async (query: CredentialsQuery = {}) => {
          const file = await files.get(query);
          if (file === null) return null;
          const helper = file.helperFor(host);
          const credentials = helper === null ? null : await lookups.of(host)(file, helper).get(query);
          return credentials ?? file.credentialsFor(host);
        },
      });
    },
  });
}

type HelperLookup = SharedLookup<Credentials | null>;

/** The lookup of one registry by its helper; another one when the configuration has changed. */
function helperLookups(
  host: string,
  env: NodeJS.ProcessEnv,
): (file: DockerConfigFile, asked: HelperForRegistry) => HelperLookup {
  let current: { readonly version: symbol; readonly lookup: HelperLookup } | null = null;
  return (file, { helper, serverKey }) => {
    if (current?.version !== file.version) {
      current = {
        version: file.version,
        lookup: shareLookup((signal) => runCredentialHelper({ helper, serverKey, signal, env }), {
          reuseMs: credentialReuseMs,
          limitMs: helperLimitMs,
          late: () =>
            new CredentialsUnavailableError(
              'helper-late',
              `docker-credential-${helper} did not answer for ${host} within ${helperLimitMs} ms and was killed`,
            ),
        }),
      };
    }
    return current.lookup;
  };
}

function configPath(env: NodeJS.ProcessEnv, homeDirectory: string | undefined): string | null {
  const directory = env['DOCKER_CONFIG'] ?? '';
  if (directory !== '') return join(directory, 'config.json');
  try {
    return join(homeDirectory ?? homedir(), '.docker', 'config.json');
  } catch {
    // A container's user may have no home at all; then it has no Docker configuration either.
    return null;
  }
}
