import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { InvalidOptionError } from '../../errors/invalid-option-error.js';
import { isObject } from '../../image/json-object.js';

/** A context of Docker's client: the name of a daemon. */
export interface DockerContext {
  readonly name: string;
  /** Its address, as it was written. */
  readonly host: string;
  /** Where `ca.pem`, `cert.pem` and `key.pem` are, if there are any. */
  readonly tlsDirectory: string;
  readonly skipVerify: boolean;
}

/** The context that means the daemon of this machine. */
const defaultName = 'default';

/** What Docker's client allows in a name; it is hashed before it becomes a path. */
const namePattern = /^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$/;

/**
 * Reads the context in use: `DOCKER_CONTEXT`, else `currentContext` of Docker's `config.json`. Null where there is none,
 * or where that file cannot be read: Docker's client goes on then, too.
 *
 * @throws InvalidOptionError when the context does not exist or is broken
 * @see https://github.com/docker/cli/blob/v28.5.1/cli/context/store/store.go
 */
export function readDockerContext(env: NodeJS.ProcessEnv, configDirectory: string): DockerContext | null {
  const ordered = env['DOCKER_CONTEXT'] ?? '';
  const name = ordered === '' ? currentContext(configDirectory) : ordered;
  if (name === null || name === defaultName) return null;
  const option = ordered === '' ? 'currentContext' : 'DOCKER_CONTEXT';
  if (!namePattern.test(name)) throw new InvalidOptionError(option, 'is not the name of a docker context');
  const id = createHash('sha256').update(name).digest('hex');
  const contexts = join(configDirectory, 'contexts');
  const path = join(contexts, 'meta', id, 'meta.json');
  const endpoint = dockerEndpoint(readDocument(path, option, name));
  if (endpoint === null) throw new InvalidOptionError(option, `names ${name}, whose ${path} has no docker endpoint`);
  return { ...endpoint, name, tlsDirectory: join(contexts, 'tls', id, 'docker') };
}

function currentContext(configDirectory: string): string | null {
  try {
    const config: unknown = JSON.parse(readFileSync(join(configDirectory, 'config.json'), 'utf8'));
    const name = isObject(config) ? config['currentContext'] : undefined;
    return typeof name === 'string' && name !== '' ? name : null;
  } catch {
    return null;
  }
}

function readDocument(path: string, option: string, name: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const problem =
      code === 'ENOENT' || code === 'ENOTDIR'
        ? `names ${name}, a docker context that does not exist`
        : `names ${name}, whose ${path} cannot be read (${code ?? 'it is not JSON'})`;
    throw new InvalidOptionError(option, problem, error);
  }
}

function dockerEndpoint(document: unknown): Pick<DockerContext, 'host' | 'skipVerify'> | null {
  const endpoints = isObject(document) ? document['Endpoints'] : undefined;
  const endpoint = isObject(endpoints) ? endpoints['docker'] : undefined;
  if (!isObject(endpoint)) return null;
  const { Host: host, SkipTLSVerify: skipVerify } = endpoint;
  return typeof host === 'string' && host !== '' ? { host, skipVerify: skipVerify === true } : null;
}
