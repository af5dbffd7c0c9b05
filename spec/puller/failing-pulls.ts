/** The process that `secrets.spec.ts` starts: pulls that fail in many ways, and everything that anybody could print of them. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { createPuller, explainFailure, ociLayout, type CredentialsOption } from '../../lib/index.js';
import { type Indiscretion, indiscretions, secrets, startIndiscreetRegistry, user } from './indiscreet-registry.js';

const print = (what: string, value: unknown): void => {
  process.stdout.write(
    `${what} ${inspect(value, { depth: Infinity, showHidden: true, maxArrayLength: null, maxStringLength: null })}\n`,
  );
};

const kinds: readonly (readonly ['bearer' | 'basic', string, CredentialsOption])[] = [
  ['bearer', 'password', { username: user, password: secrets.password }],
  ['bearer', 'identity token', { identityToken: secrets.identityToken }],
  ['bearer', 'registry token', { registryToken: secrets.registryToken }],
  ['basic', 'callback', async () => ({ username: user, password: secrets.password })],
];

/** Pulls that only wait for each other's limits: a few at a time. */
const atOnce = 8;

async function pullTwice(
  directory: string,
  how: Indiscretion,
  [auth, what, credentials]: (typeof kinds)[number],
): Promise<void> {
  const server = await startIndiscreetRegistry(how, auth);
  const puller = createPuller({
    engine: ociLayout(join(directory, `${how} ${what}`)),
    registries: [{ prefix: `${server.authority}/team`, credentials }],
    timeouts: {
      metadata: { requestMs: 150, totalMs: 200 },
      layers: { firstByteMs: 150, stallMs: 150 },
    },
    health: { consecutiveFailures: 1 },
  });
  puller.events.on('*', (event) => {
    process.stdout.write(`${JSON.stringify(event)}\n`);
    print('event', event);
  });
  for (const own of [{}, { credentials }]) {
    try {
      print('report', await puller.pullWithFailover(`${server.authority}/team/app:1`, { ...own, deadlineMs: 20_000 }));
    } catch (error) {
      print(`${how} ${what} error`, error);
      process.stdout.write(`${String(error)}\n${JSON.stringify(error)}\n${explainFailure(error)}\n`);
      if (error instanceof Error) process.stdout.write(`${error.stack}\n`);
    }
    process.stdout.write('pulled\n');
  }
  print('puller', puller);
  print('health', puller.health());
  print('plan', await puller.explain(`${server.authority}/team/app:1`));
  await puller.close();
  await server.close();
}

async function main(): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'pull-failover-secrets-'));
  process.env['DOCKER_CONFIG'] = directory;
  const waiting = indiscretions.flatMap((how) => kinds.map((kind) => () => pullTwice(directory, how, kind)));
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) await next();
    }),
  );
  rmSync(directory, { recursive: true, force: true });
}

void main();
