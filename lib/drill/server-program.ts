import { execFile } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

/** A server of this host that runs anywhere with its files alone, and how to see that it serves. */
export interface ServerProgram {
  /** What people call it. */
  readonly name: string;
  /** Every file it needs, by the path at which it looks for it. */
  readonly files: readonly string[];
  /** Starts it, in the foreground. */
  readonly start: readonly string[];
  /** Asks it, from beside it, and prints `PONG`. */
  readonly ping: readonly string[];
  /** Why it is not the one that was wanted, and how to get that; null where it is. */
  readonly remark: string | null;
}

const run = promisify(execFile);

/** Where servers are that are for administrators. */
const serverFolders: readonly string[] = ['/usr/local/sbin', '/usr/sbin', '/sbin'];
const lookUpLimitMs = 10_000;

const quietly: readonly string[] = ['--save', '', '--appendonly', 'no', '--dir', '/'];

/** A server in ten lines, for the runtime that is always here. */
const tinyServer = `require('node:net').createServer((socket) => socket.on('error', () => {}).end('+PONG\\r\\n')).listen(6379, '127.0.0.1')`;
const tinyPing = `require('node:net').connect(6379, '127.0.0.1').on('error', () => process.exit(1)).pipe(process.stdout)`;

/** Finds Redis on this host, else makes do with the runtime of this very process. */
export async function findServerProgram(): Promise<ServerProgram> {
  for (const [name, server, client] of [
    ['Redis', 'redis-server', 'redis-cli'],
    ['Valkey', 'valkey-server', 'valkey-cli'],
  ] as const) {
    const [serverPath, clientPath] = [await findProgram(server), await findProgram(client)];
    if (serverPath === null || clientPath === null) continue;
    return {
      name,
      files: await filesOf([serverPath, clientPath]),
      start: [serverPath, ...quietly],
      ping: [clientPath, 'ping'],
      remark: null,
    };
  }
  const node = process.execPath;
  return {
    name: 'Node.js',
    files: await filesOf([node]),
    start: [node, '-e', tinyServer],
    ping: [node, '-e', tinyPing],
    remark: 'there is no Redis here, so a server on Node.js stands for it: apt-get install redis-server',
  };
}

async function findProgram(name: string): Promise<string | null> {
  for (const folder of [...(process.env['PATH'] ?? '').split(delimiter), ...serverFolders]) {
    const path = join(folder, name);
    if (!path.startsWith('/')) continue;
    const isThere = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isThere) return path;
  }
  return null;
}

/** The programs, their libraries and the loader. */
async function filesOf(programs: readonly string[]): Promise<readonly string[]> {
  const files = new Set(programs);
  for (const program of programs) {
    for (const library of await librariesOf(program)) files.add(library);
  }
  return [...files];
}

/** As the loader itself finds them; none for a program that is linked statically. */
async function librariesOf(program: string): Promise<readonly string[]> {
  const { stdout } = await run('ldd', [program], { timeout: lookUpLimitMs }).catch((error: unknown) => {
    if (isStaticallyLinked(error)) return { stdout: '' };
    throw error;
  });
  return stdout.split('\n').flatMap((line) => /(?:=> |^\s*)(\/\S+) \(0x/.exec(line)?.[1] ?? []);
}

/** `ldd` says it on either stream, and fails. */
function isStaticallyLinked(error: unknown): boolean {
  const { stdout = '', stderr = '' } = error as { readonly stdout?: string; readonly stderr?: string };
  return /not a dynamic executable|statically linked|Not a valid dynamic program/i.test(stdout + stderr);
}
