import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { requireReal } from './real-parts.js';

/** Skips the suite around it where Debian's registry is not installed. */
export function requireDockerRegistry(): void {
  requireReal('docker-registry', 'apt-get install docker-registry');
}

/** The one user of a registry with passwords. */
export const registryUser: { readonly name: string; readonly password: string } = {
  name: 'tester',
  password: 'a-password-of-the-specs',
};

/** bcrypt of the password above, at the lowest cost: nothing is protected by it. */
const passwordHash = '$2y$04$abcdefghijklmnopqrstuuzZsCa/THGANm7LonEiIa/46sAqxcOqO';

/** The token service that a registry trusts. */
export interface TokenTrust {
  readonly realm: string;
  readonly service: string;
  readonly issuer: string;
  /** The certificate that its tokens are signed with, or its authority's, in PEM. */
  readonly certificate: string;
}

export interface DockerRegistryOptions {
  /** Default `none`. `htpasswd` knows one user alone. */
  readonly auth?: 'none' | 'htpasswd' | TokenTrust;
  /** Of that user, with the password of `registryUser`; default its name. */
  readonly userName?: string;
}

/** A `docker-registry` process with a storage of its own. */
export interface DockerRegistry {
  readonly host: string;
  readonly url: string;
  /** Ends the process and removes its storage. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

const startLimitMs = 15_000;
const endLimitMs = 3_000;
/** Ends the registry with the process that started it, however that ends. */
const endsWithParent: readonly string[] = ['setpriv', '--pdeathsig', 'KILL'];

/** Starts Debian's registry on a free port of 127.0.0.1. */
export async function startDockerRegistry(options: DockerRegistryOptions = {}): Promise<DockerRegistry> {
  const directory = mkdtempSync(join(tmpdir(), 'docker-registry-'));
  const config = join(directory, 'config.yml');
  writeFileSync(config, configOf(directory, options));
  const command = ['docker-registry', 'serve', config];
  const [program = '', ...args] = existsSync('/usr/bin/setpriv') ? [...endsWithParent, ...command] : command;
  const child = spawn(program, args, {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, OTEL_TRACES_EXPORTER: 'none' },
  });
  const removeDirectory = (): void => {
    rmSync(directory, { recursive: true, force: true });
  };
  const endAtExit = (): void => {
    child.kill('SIGKILL');
    removeDirectory();
  };
  process.once('exit', endAtExit);

  const close = async (): Promise<void> => {
    process.off('exit', endAtExit);
    await end(child);
    removeDirectory();
  };
  try {
    const host = await listeningOn(child);
    return { host, url: `http://${host}`, close, [Symbol.asyncDispose]: close };
  } catch (error) {
    await close();
    throw error;
  }
}

function configOf(directory: string, options: DockerRegistryOptions): string {
  const { auth = 'none', userName = registryUser.name } = options;
  const lines = [
    'version: 0.1',
    'log: { level: info, accesslog: { disabled: true } }',
    'storage:',
    `  filesystem: { rootdirectory: ${JSON.stringify(join(directory, 'storage'))} }`,
    '  delete: { enabled: true }',
    'http: { addr: "127.0.0.1:0" }',
  ];
  if (auth === 'htpasswd') {
    const path = join(directory, 'htpasswd');
    writeFileSync(path, `${userName}:${passwordHash}\n`);
    lines.push('auth:', `  htpasswd: { realm: specs, path: ${JSON.stringify(path)} }`);
  } else if (auth !== 'none') {
    const path = join(directory, 'token.pem');
    writeFileSync(path, auth.certificate);
    lines.push(
      'auth:',
      '  token:',
      `    realm: ${JSON.stringify(auth.realm)}`,
      `    service: ${JSON.stringify(auth.service)}`,
      `    issuer: ${JSON.stringify(auth.issuer)}`,
      `    rootcertbundle: ${JSON.stringify(path)}`,
    );
  }
  return `${lines.join('\n')}\n`;
}

/** The address in the registry's log, which it chose by itself. */
async function listeningOn(child: ChildProcess): Promise<string> {
  const { stderr } = child;
  if (stderr === null) throw new Error('docker-registry has no stderr');
  return new Promise((resolve, reject) => {
    let text = '';
    const timer = setTimeout(() => {
      finish();
      reject(new Error(`docker-registry did not listen within ${startLimitMs} ms: ${text.slice(-2_000)}`));
    }, startLimitMs);
    const finish = (): void => {
      clearTimeout(timer);
      stderr.off('data', read);
      child.off('error', fail);
      child.off('exit', exited);
      // Its log must be read on, or the registry stops when the pipe is full.
      stderr.resume();
    };
    const read = (chunk: Buffer): void => {
      text += chunk.toString('utf8');
      const host = /listening on (127\.0\.0\.1:\d+)/.exec(text)?.[1];
      if (host === undefined) return;
      finish();
      resolve(host);
    };
    const fail = (error: Error): void => {
      finish();
      reject(error);
    };
    const exited = (code: number | null): void => {
      fail(new Error(`docker-registry ended with ${code ?? 'a signal'}: ${text.slice(-2_000)}`));
    };
    stderr.on('data', read);
    child.once('error', fail);
    child.once('exit', exited);
  });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const exited = once(child, 'exit');
  const timer = setTimeout(() => child.kill('SIGKILL'), endLimitMs);
  child.kill('SIGTERM');
  await exited;
  clearTimeout(timer);
}
