import { existsSync } from 'node:fs';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

/** A folder with a Docker configuration and the credential helpers that it names. */
export interface DockerFolder {
  readonly path: string;
  /** An environment in which that configuration, and only those helpers beside the system's programs, are found. */
  readonly env: NodeJS.ProcessEnv;
  writeConfig(config: unknown): Promise<void>;
  writeConfigText(text: string): Promise<void>;
  /** Writes `docker-credential-<name>` as a shell script that notes each run before `body`. */
  writeHelper(name: string, body: string): Promise<void>;
  /** Writes `docker-credential-<name>` as a Node.js script. */
  writeNodeHelper(name: string, body: string): Promise<void>;
  /** What each run of the shell helpers was asked: its argument and its input. */
  runs(): Promise<readonly string[]>;
  remove(): Promise<void>;
}

/** A shell line that answers as a helper does. */
export function answering(username: string, secret: string): string {
  return `printf '%s' '${JSON.stringify({ ServerURL: 'x', Username: username, Secret: secret })}'`;
}

export async function createDockerFolder(): Promise<DockerFolder> {
  const path = await mkdtemp(join(tmpdir(), 'pull-failover-helpers-'));
  const runsFile = join(path, 'runs');
  const write = async (name: string, text: string): Promise<void> => {
    const file = join(path, `docker-credential-${name}`);
    await writeFile(file, text);
    await chmod(file, 0o755);
  };
  return {
    path,
    env: { ...process.env, DOCKER_CONFIG: path, PATH: [path, '/usr/bin', '/bin'].join(delimiter) },
    writeConfig: (config) => writeFile(join(path, 'config.json'), JSON.stringify(config)),
    writeConfigText: (text) => writeFile(join(path, 'config.json'), text),
    writeHelper: (name, body) =>
      write(name, `#!/bin/sh\ncd '${path}'\nserver=$(cat)\necho "$1 $server" >> runs\n${body}\n`),
    writeNodeHelper: (name, body) => write(name, `#!${process.execPath}\n${body}\n`),
    runs: async () => (existsSync(runsFile) ? (await readFile(runsFile, 'utf8')).trimEnd().split('\n') : []),
    remove: () => rm(path, { recursive: true, force: true, maxRetries: 5 }),
  };
}
