import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { seededImage, startRegistryDouble, type TestBlob } from '../../lib/testing/index.js';
import { until } from '../support/until.js';
import { bodyBytes, openRawClient, type RawClient } from './support/raw-client.js';
import type { RelayCost, RelayOrder, RelayPlace } from './support/relay-process.js';

const megabyte = 1_000_000;

/**
 * What a blob of any size may add to a process: half a megabyte that waits for each daemon, 4 MiB for one that lags
 * behind another, the buffers of a connection; the rest is what V8 leaves lying until it collects it.
 */
const boundMb = 90;

interface RelayProcess {
  readonly place: RelayPlace;
  cost(): Promise<RelayCost>;
  /** Tells it that nothing more is wanted; resolves with its exit code. */
  end(): Promise<number | null>;
}

const children: ChildProcess[] = [];

async function startRelayProcess(order: RelayOrder): Promise<RelayProcess> {
  const script = fileURLToPath(new URL('support/relay-process.ts', import.meta.url));
  const child = spawn(process.execPath, ['--expose-gc', '--import=tsx', script, JSON.stringify(order)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  children.push(child);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const exited = once(child, 'exit');
  const next = async <T>(): Promise<T> => JSON.parse((await lines.next()).value ?? '') as T;
  return {
    place: await next<RelayPlace>(),
    cost: async () => {
      child.stdin.write('\n');
      return next<RelayCost>();
    },
    end: async () => {
      child.stdin.end();
      await exited;
      return child.exitCode;
    },
  };
}

/** Reads the blob at most so fast, and counts. */
async function readAt({ place }: RelayProcess, bytesPerSecond: number): Promise<number> {
  const client = await askFor(place);
  const { socket } = client;
  let bytes = 0;
  const startedAtMs = performance.now();
  socket.removeAllListeners('data');
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    const aheadMs = (bytes * 1_000) / bytesPerSecond - (performance.now() - startedAtMs);
    if (aheadMs > 10) await pause(aheadMs);
  }
  return bytes;
}

async function askFor(place: RelayPlace): Promise<RawClient> {
  const client = await openRawClient(place.address);
  const lines = [`Host: ${place.address}`, `Authorization: ${place.authorization}`, 'Connection: close'];
  client.say(`GET ${place.path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
  return client;
}

function orderOf(host: string, blob: TestBlob | undefined): RelayOrder {
  if (blob === undefined) throw new Error('the image has fewer layers');
  return { host, digest: blob.digest, size: blob.sizeBytes };
}

describe('a process with a relay', function () {
  this.timeout(120_000);
  const image = seededImage({ bytes: [300 * megabyte, 60 * megabyte, 1_000], seed: 'relay process' });
  const [large, medium, small] = image.layers;

  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
  });

  it(`grows by less than ${boundMb} MB with a blob of 300 MB`, async () => {
    await using double = await startRegistryDouble({ images: { 'team/app:1': image } });
    const relay = await startRelayProcess(orderOf(double.host, large));
    expect(await readAt(relay, Infinity)).to.be.greaterThan(300 * megabyte);
    expect((await relay.cost()).grownMb).to.be.below(boundMb);
  });

  it(`grows by less than ${boundMb} MB with a daemon that reads slowly, and one that does not read at all`, async () => {
    await using double = await startRegistryDouble({ images: { 'team/app:1': image } });
    const relay = await startRelayProcess(orderOf(double.host, medium));
    const stuck = await askFor(relay.place);
    stuck.socket.pause();
    expect(await readAt(relay, 12 * megabyte)).to.be.greaterThan(60 * megabyte);
    expect((await relay.cost()).grownMb).to.be.below(boundMb);
    stuck.leave();
  });

  it('ends by itself when its work is done, whoever is still connected', async () => {
    await using double = await startRegistryDouble({ images: { 'team/app:1': image } });
    const relay = await startRelayProcess(orderOf(double.host, small));
    const idle = await openRawClient(relay.place.address);
    idle.say(`GET /v2/ HTTP/1.1\r\nHost: ${relay.place.address}\r\n\r\n`);
    const silent = await openRawClient(relay.place.address);
    const done = await askFor(relay.place);
    await until(() => bodyBytes(done) === 1_000 && idle.heard().includes('401'));
    expect(await relay.end()).to.equal(0);
    await until(() => idle.isClosed() && silent.isClosed());
  });

  it('has a port of its own, also as a worker of a cluster', async () => {
    const script = fileURLToPath(new URL('support/relay-cluster.ts', import.meta.url));
    const child = spawn(process.execPath, ['--import=tsx', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    children.push(child);
    const exited = once(child, 'exit');
    const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
    expect(new Set(JSON.parse(line) as string[])).to.have.property('size', 2);
    await exited;
  });
});
