import { readFileSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import Dockerode from 'dockerode';

/** Who pulls in this process: the built library, or nobody but the engine itself, asked as `docker pull` asks it. */
export type Puller = 'pull-failover' | 'engine';

/** What an embedding process is told. Each message is answered before the next one is sent. */
export type EmbeddedOrder =
  | {
      readonly kind: 'open';
      readonly puller: Puller;
      readonly socketPath: string;
      /** What the library is given; an engine has only the name of the image. */
      readonly registries: readonly string[];
      /** An image that has nothing to do with the others: after it, this process and the engine are warm. */
      readonly warmUp: string;
    }
  | { readonly kind: 'pull'; readonly images: readonly string[] };

/** What it answers. */
export type EmbeddedAnswer =
  | { readonly kind: 'opened' }
  | ({ readonly kind: 'pulled' } & EmbeddedRun)
  | { readonly kind: 'broken'; readonly complaint: string };

/** Pulls that were begun at once, until the last of them had ended. */
export interface EmbeddedRun {
  readonly seconds: number;
  /** Of this process alone, all its threads. */
  readonly cpuSeconds: number;
  /** From what this process held before to the most it held meanwhile. */
  readonly rssGrowthBytes: number;
  /** Why pulls failed. */
  readonly complaints: readonly string[];
}

type Library = typeof import('../../lib/index.js');
type Pull = (image: string) => Promise<void>;

/** The package as users get it, not its sources. */
const builtLibrary: string = new URL('../../dist/index.js', import.meta.url).href;

let pull: Pull | null = null;

async function open(order: Extract<EmbeddedOrder, { readonly kind: 'open' }>): Promise<Pull> {
  const docker = new Dockerode({ socketPath: order.socketPath });
  if (order.puller === 'engine') return (image) => pullByEngine(docker, image);
  const { createPuller, dockerEngine } = (await import(builtLibrary)) as Library;
  const puller = createPuller({
    engine: dockerEngine(docker, { route: 'relay' }),
    registries: order.registries,
    platform: 'linux/amd64',
  });
  return async (image) => {
    const { route } = await puller.pullWithFailover(image);
    if (route !== 'relay') throw new Error(`${image} went by ${route}`);
  };
}

/** `POST /images/create`, read to its end: all that the `docker` command does for a pull, without its start. */
async function pullByEngine(docker: Dockerode, image: string): Promise<void> {
  const stream = await docker.pull(image, { platform: 'linux/amd64' });
  for await (const line of createInterface({ input: stream })) {
    if (line.includes('"errorDetail"') || line.startsWith('{"error"')) throw new Error(line);
  }
}

async function run(pullOne: Pull, images: readonly string[]): Promise<EmbeddedRun> {
  const residentBytes = startPeak();
  const cpuBefore = process.cpuUsage();
  const startedAtMs = performance.now();
  const ended = await Promise.allSettled(images.map((image) => pullOne(image)));
  const seconds = (performance.now() - startedAtMs) / 1_000;
  const { user, system } = process.cpuUsage(cpuBefore);
  return {
    seconds,
    cpuSeconds: (user + system) / 1e6,
    rssGrowthBytes: readMemory('VmHWM') - residentBytes,
    complaints: ended.flatMap((one) => (one.status === 'rejected' ? [String(one.reason)] : [])),
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
      pull = await open(order);
      await pull(order.warmUp);
      return { kind: 'opened' };
    case 'pull':
      if (pull === null) throw new Error('nothing was opened');
      return { kind: 'pulled', ...(await run(pull, order.images)) };
  }
}

process.on('message', (order: EmbeddedOrder) => {
  void obey(order)
    .catch((error: unknown): EmbeddedAnswer => ({ kind: 'broken', complaint: String(error) }))
    .then((answer) => process.send?.(answer));
});
process.once('disconnect', () => process.exit());
