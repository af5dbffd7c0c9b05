import { readFileSync } from 'node:fs';
import { Agent } from 'node:https';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { InvalidOptionError } from '../../errors/invalid-option-error.js';
import { readDockerContext, type DockerContext } from './docker-context.js';

/** What `new Docker(…)` of dockerode takes to reach a daemon. Every key is there: an absent one would be filled from the environment. */
export interface DockerHostOptions {
  readonly socketPath: string | undefined;
  readonly protocol: 'http' | 'https' | 'ssh' | undefined;
  readonly host: string | undefined;
  readonly port: string | undefined;
  readonly username: string | undefined;
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
  readonly agent: Agent | undefined;
  readonly sshOptions: { readonly agent: string | undefined };
  readonly timeout: undefined;
  readonly pathPrefix: '/';
}

/** Where a daemon is. */
export interface DockerHost {
  /** Without credentials. */
  readonly address: string;
  /** May hold a private key. Not enumerable. */
  readonly options: DockerHostOptions;
}

/** Where the answer is looked for. */
export interface DockerHostPlace {
  /** Holds `DOCKER_HOST` and the like; default: this process's own. */
  readonly env?: NodeJS.ProcessEnv;
  /** The folder that holds `.docker` where `DOCKER_CONFIG` is not set; default: the user's home. */
  readonly homeDirectory?: string;
  /** Default: this process's. */
  readonly isWindows?: boolean;
}

const defaultSocket = 'unix:///var/run/docker.sock';
const defaultPipe = 'npipe:////./pipe/docker_engine';

/** What a daemon is recognised by, and we; in PEM. */
export interface DockerTls {
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
  /** False: any certificate will do. */
  readonly verify: boolean;
}

/**
 * Finds the daemon as Docker's own client does: `DOCKER_HOST`, else the context that `DOCKER_CONTEXT` or Docker's
 * `config.json` names, else the socket or pipe of this machine. Reads files, asks nobody.
 *
 * @throws InvalidOptionError when what is found cannot be used; it shows no credentials
 * @see https://github.com/docker/cli/blob/v28.5.1/cli/command/cli.go#L415
 */
export function findDockerHost(place: DockerHostPlace = {}): DockerHost {
  const { env = process.env, isWindows = process.platform === 'win32' } = place;
  const configDirectory = configDirectoryOf(env, place.homeDirectory);
  const host = env['DOCKER_HOST'] ?? '';
  if (host !== '') return hostOf('DOCKER_HOST', host, tlsOfEnvironment(env, configDirectory), env);
  const context = configDirectory === null ? null : readDockerContext(env, configDirectory);
  if (context === null) return hostOf('DOCKER_HOST', isWindows ? defaultPipe : defaultSocket, null, env);
  return hostOf(`docker context ${context.name}`, context.host, tlsOfContext(context), env);
}

function configDirectoryOf(env: NodeJS.ProcessEnv, homeDirectory: string | undefined): string | null {
  const directory = env['DOCKER_CONFIG'] ?? '';
  if (directory !== '') return directory;
  try {
    return join(homeDirectory ?? homedir(), '.docker');
  } catch {
    // A container's user may have no home at all; then it has no contexts either.
    return null;
  }
}

/** Set to whatever, these switch TLS on: `DOCKER_TLS_VERIFY=0` too, as in Docker's client. */
function tlsOfEnvironment(env: NodeJS.ProcessEnv, configDirectory: string | null): DockerTls | null {
  const verify = (env['DOCKER_TLS_VERIFY'] ?? '') !== '';
  if (!verify && (env['DOCKER_TLS'] ?? '') === '') return null;
  const given = env['DOCKER_CERT_PATH'] ?? '';
  const directory = given === '' ? configDirectory : given;
  const read = (name: string): string | undefined => {
    if (directory === null) return undefined;
    return readPem(join(directory, name), 'DOCKER_CERT_PATH');
  };
  const ca = read('ca.pem');
  if (verify && ca === undefined) {
    throw new InvalidOptionError('DOCKER_CERT_PATH', 'must hold ca.pem, for DOCKER_TLS_VERIFY is set');
  }
  return { ca, cert: read('cert.pem'), key: read('key.pem'), verify };
}

function tlsOfContext({ name, tlsDirectory, skipVerify }: DockerContext): DockerTls | null {
  const read = (file: string): string | undefined => readPem(join(tlsDirectory, file), `docker context ${name}`);
  const [ca, cert, key] = [read('ca.pem'), read('cert.pem'), read('key.pem')];
  const isThere = ca !== undefined || cert !== undefined || key !== undefined;
  return isThere || skipVerify ? { ca, cert, key, verify: !skipVerify } : null;
}

function readPem(path: string, option: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new InvalidOptionError(option, `names ${path}, which cannot be read (${code ?? 'unknown error'})`, error);
  }
}

const schemes = 'unix://, npipe://, tcp://, http://, https:// or ssh://';

function hostOf(option: string, text: string, tls: DockerTls | null, env: NodeJS.ProcessEnv): DockerHost {
  const withScheme = text.includes('://') ? text : `tcp://${text}`;
  const scheme = withScheme.slice(0, withScheme.indexOf('://')).toLowerCase();
  const rest = withScheme.slice(scheme.length + '://'.length);
  switch (scheme) {
    case 'unix': {
      const path = rest === '' ? defaultSocket.slice('unix://'.length) : rest;
      return found(`unix://${path}`, { socketPath: path });
    }
    case 'npipe': {
      const path = rest === '' ? defaultPipe.slice('npipe://'.length) : rest;
      return found(`npipe://${path}`, { socketPath: path });
    }
    case 'tcp':
    case 'http':
    case 'https':
      return tcpHost(option, withScheme, scheme === 'https' && tls === null ? systemTls : tls);
    case 'ssh':
      return sshHost(option, withScheme, env);
    default:
      throw new InvalidOptionError(option, `must begin with ${schemes}`);
  }
}

/** What `https://` alone means: trust what this machine trusts. */
const systemTls: DockerTls = { ca: undefined, cert: undefined, key: undefined, verify: true };

/** Docker's own, where an address has none. */
const plainPort = '2375';
const tlsPort = '2376';

function tcpHost(option: string, text: string, tls: DockerTls | null): DockerHost {
  const url = urlOf(option, text.replace(/^(?:tcp|https?)/i, 'tcp'));
  if (url.username !== '') throw new InvalidOptionError(option, 'must not hold a user');
  const port = url.port === '' ? (tls === null ? plainPort : tlsPort) : url.port;
  const address = `tcp://${url.hostname}:${port}`;
  const host = { host: url.hostname, port };
  if (tls === null) return found(address, { ...host, protocol: 'http' });
  const { ca, cert, key, verify } = tls;
  const agent = verify ? undefined : new Agent({ rejectUnauthorized: false });
  return found(address, { ...host, protocol: 'https', ca, cert, key, agent });
}

function sshHost(option: string, text: string, env: NodeJS.ProcessEnv): DockerHost {
  const url = urlOf(option, text);
  const port = url.port === '' ? undefined : url.port;
  return found(`ssh://${url.hostname}${port === undefined ? '' : `:${port}`}`, {
    protocol: 'ssh',
    host: url.hostname,
    port,
    username: url.username === '' ? undefined : decoded(option, url.username),
    sshOptions: { agent: env['SSH_AUTH_SOCK'] },
  });
}

function decoded(option: string, user: string): string {
  try {
    return decodeURIComponent(user);
  } catch {
    throw new InvalidOptionError(option, 'has a user that is not well-formed');
  }
}

/** @throws InvalidOptionError which does not repeat the address: it may hold a password */
function urlOf(option: string, text: string): URL {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new InvalidOptionError(option, 'must be an address such as tcp://10.0.0.5:2376');
  }
  if (url.hostname === '') throw new InvalidOptionError(option, 'must name a host');
  if (url.password !== '') throw new InvalidOptionError(option, 'must not hold a password');
  if (!['', '/'].includes(url.pathname) || url.search !== '' || url.hash !== '') {
    throw new InvalidOptionError(option, 'has a path, which dockerode cannot use');
  }
  return url;
}

function found(address: string, options: Partial<DockerHostOptions>): DockerHost {
  const all: DockerHostOptions = {
    socketPath: undefined,
    protocol: undefined,
    host: undefined,
    port: undefined,
    username: undefined,
    ca: undefined,
    cert: undefined,
    key: undefined,
    agent: undefined,
    sshOptions: { agent: undefined },
    timeout: undefined,
    pathPrefix: '/',
    ...options,
  };
  return Object.freeze(Object.defineProperty({ address } as DockerHost, 'options', { value: all }));
}
