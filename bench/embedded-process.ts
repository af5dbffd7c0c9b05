import { readFileSync, writeFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import Dockerode from 'dockerode';
import { Pool } from 'undici';
import type { RegistryOptions, TransferOptions } from '../lib/index.js';
import { manifestMediaTypes } from '../lib/image/manifest.js';

/** Who pulls in an embedding process. */
export type Puller =
  | {
      /** The built library, with everything else at its default. */
      readonly kind: 'library';
      readonly into: { readonly socketPath: string } | { readonly layout: string };
      readonly registries: readonly RegistryOptions[];
      readonly transfer: TransferOptions;
    }
  | {
      /** Nobody but the engine itself, asked as `docker pull` asks it. */
      readonly kind: 'engine';
      readonly socketPath: string;
    }
  | {
      /** Nobody: instead of images it is given requests, `GET /v2/…`, and sends them. */
      readonly kind: 'requests';
      readonly origin: string;
      readonly connections: number;
    };

/** What an embedding process is told. Each message is answered before the next one is sent. */
export type EmbeddedOrder =
  | {
      readonly kind: 'open';
      readonly puller: Puller;
      /** An image that has nothing to do with the others: after it, this process and the engine are warm. */
      readonly warmUp: string;
    }
  | { readonly kind: 'pull'; readonly images: readonly string[]; readonly atOnce: number };

/** What it answers. */
export type EmbeddedAnswer =
  | { readonly kind: 'opened' }
  | ({ readonly kind: 'pulled' } & EmbeddedRun)
  | { readonly kind: 'broken'; readonly complaint: string };

/** Pulls, from when the first was begun until the last had ended. */
export interface EmbeddedRun {
  readonly seconds: number;
  readonly slowestSeconds: number;
  /** Of this process alone, all its threads. */
  readonly cpuSeconds: number;
  /** From what this process held before to the most it held meanwhile. */
  readonly rssGrowthBytes: number;
  readonly loopDelayMs: number;
  /** Why pulls failed. */
  readonly complaints: readonly string[];
}

type Library = typeof import('../lib/index.js');
type Pull = (image: string) => Promise<void>;

/** The package as users get it, not its sources. */
const builtLibrary: string = new URL('../dist/index.js', import.meta.url).href;

/** How often it is looked whether the event loop turns; the delays that are told include it. */
const loopResolutionMs = 5;

let pull: Pull | null = null;

async function open(puller: Puller): Promise<Pull> {
  switch (puller.kind) {
    case 'library':
      return openLibrary(puller);
    case 'engine': {
      const docker = new Dockerode({ socketPath: puller.socketPath });
      return (image) => pullByEngine(docker, image);
    }
    case 'requests': {
      const pool = new Pool(puller.origin, { connections: puller.connections });
      return (request) => send(pool, request);
    }
  }
}

async function openLibrary({
  into,
  registries,
  transfer,
}: Extract<Puller, { readonly kind: 'library' }>): Promise<Pull> {
  const { createPuller, dockerEngine, ociLayout } = (await import(builtLibrary)) as Library;
  const engine =
    'layout' in into
      ? ociLayout(into.layout)
      : dockerEngine(new Dockerode({ socketPath: into.socketPath }), { route: 'relay' });
  const puller = createPuller({ engine, registries, platform: 'linux/amd64', transfer });
  const wanted = 'layout' in into ? 'layout' : 'relay';
  return async (image) => {
    const { route, source } = await puller.pullWithFailover(image);
    if (route !== wanted || source !== 'registry') throw new Error(`${image} came from ${source} by ${route}`);
  };
}

/** `POST /images/create`, read to its end: all that the `docker` command does for a pull, without its start. */
async function pullByEngine(docker: Dockerode, image: string): Promise<void> {
  const stream = await docker.pull(image, { platform: 'linux/amd64' });
  for await (const line of createInterface({ input: stream })) {
    if (line.includes('"errorDetail"') || line.startsWith('{"error"')) throw new Error(line);
  }
}

async function send(pool: Pool, request: string): Promise<void> {
  const [method = '', path = ''] = request.split(' ');
  const answer = await pool.request({
    method,
    path,
    headers: { accept: manifestMediaTypes.join(', ') },
  });
  await answer.body.dump({ limit: Infinity });
  if (answer.statusCode !== 200) throw new Error(`${request}: ${answer.statusCode}`);
}

async function run(pullOne: Pull, images: readonly string[], atOnce: number): Promise<EmbeddedRun> {
  const complaints: string[] = [];
  let slowestSeconds = 0;
  const left = [...images];
  const inTurn = async (): Promise<void> => {
    for (let image = left.shift(); image !== undefined; image = left.shift()) {
      const startedAtMs = performance.now();
      await pullOne(image).catch((error: unknown) => complaints.push(String(error)));
      slowestSeconds = Math.max(slowestSeconds, (performance.now() - startedAtMs) / 1_000);
    }
  };

  const loopDelay = monitorEventLoopDelay({ resolution: loopResolutionMs });
  loopDelay.enable();
  const residentBytes = startPeak();
  const cpuBefore = process.cpuUsage();
  const startedAtMs = performance.now();
  await Promise.all(Array.from({ length: Math.min(atOnce, images.length) }, inTurn));
  const seconds = (performance.now() - startedAtMs) / 1_000;
  const { user, system } = process.cpuUsage(cpuBefore);
  loopDelay.disable();
  return {
    seconds,
    slowestSeconds,
    cpuSeconds: (user + system) / 1e6,
    rssGrowthBytes: readMemory('VmHWM') - residentBytes,
    loopDelayMs: loopDelay.percentile(99) / 1e6,
    complaints,
  };
}

/** Forgets the peak so far (proc(5), `clear_refs`); returns what is resident now. */
function startPeak(): number {
  writeFileSync('/proc/self/clear_refs', '5');
  return readMemory('VmRSS');
}

function readMemory(field: 'VmHWM' | 'VmRSS'): number {
  const kilobytes = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
  if (kilobytes === undefined) throw new Error(`/proc/self/status has no ${field}`);
  return Number(kilobytes) * 1_024;
}

async function obey(order: EmbeddedOrder): Promise<EmbeddedAnswer> {
  switch (order.kind) {
    case 'open':
      pull = await open(order.puller);
      await pull(order.warmUp);
      return { kind: 'opened' };
    case 'pull':
      if (pull === null) throw new Error('nothing was opened');
      return { kind: 'pulled', ...(await run(pull, order.images, order.atOnce)) };
  }
}

process.on('message', (order: EmbeddedOrder) => {
  void obey(order)
    .catch((error: unknown): EmbeddedAnswer => ({ kind: 'broken', complaint: String(error) }))
    .then((answer) => process.send?.(answer));
});
process.once('disconnect', () => process.exit());
