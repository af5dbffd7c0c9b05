import net from 'node:net';
import Dockerode from 'dockerode';
import { expect } from 'chai';
import { dockerEngine, type DockerEngine } from '../../../lib/engine/docker/docker-engine.js';
import { SharedFetches } from '../../../lib/failover/shared/shared-fetch.js';
import { BlobFeed } from '../../../lib/routes/load/blob-feed.js';
import { BlobSpool } from '../../../lib/routes/load/blob-spool.js';
import { seededImage } from '../../../lib/testing/index.js';
import { canMount, mountSmallDisk } from '../../support/small-disk.js';
import { closeHeartRigs, openHeartRig } from '../../failover/support/heart-rig.js';
import type { RealEngine } from '../../support/real-engine.js';
import { requireReal } from '../../support/real-parts.js';
import { engineKinds, startLoad, treeOf, usualReference } from './support/load-rig.js';

/** A way to a daemon over TCP that sees how many bytes go there, and when. */
interface CountedWay extends AsyncDisposable {
  readonly port: number;
  readonly sent: readonly { readonly atMs: number; readonly bytes: number }[];
}

async function startCountedWay(socketPath: string): Promise<CountedWay> {
  const sent: { atMs: number; bytes: number }[] = [];
  const sockets = new Set<net.Socket>();
  const server = net.createServer((client) => {
    const daemon = net.connect(socketPath);
    for (const socket of [client, daemon]) {
      sockets.add(socket);
      socket.on('error', () => undefined).on('close', () => sockets.delete(socket));
    }
    client.on('data', (chunk: Buffer) => sent.push({ atMs: performance.now(), bytes: chunk.length }));
    client.pipe(daemon).pipe(client);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as net.AddressInfo).port,
    sent,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

describe('a load with a cap on its bytes', function () {
  this.timeout(60_000);
  engineKinds.installed.require();
  let real: RealEngine;
  before(async () => {
    real = await engineKinds.installed.start();
  });
  after(() => real?.close());
  afterEach(closeHeartRigs);

  const bytesPerSecond = 2_000_000;

  async function cappedEngine(way: CountedWay): Promise<DockerEngine> {
    const docker = new Dockerode({ host: '127.0.0.1', port: way.port });
    return dockerEngine(docker, { load: { maxBytesPerSecond: bytesPerSecond } });
  }

  it('sends no faster, also with another load into the same engine beside it', async () => {
    await using way = await startCountedWay(real.socketPath);
    await using engine = await cappedEngine(way);
    const load = async (name: string): Promise<void> => {
      const image = seededImage({ layers: 3, bytes: 1_000_000, seed: `capped ${name}` });
      const rig = await openHeartRig({ image, registries: [[]] });
      await (await startLoad(engine, rig.openPull(), { reference: `registry.example/team/${name}:1` })).whole();
    };
    await Promise.all([load('one'), load('other')]);
    const total = way.sent.reduce((sum, { bytes }) => sum + bytes, 0);
    expect(total).to.be.above(6_000_000);
    const [first, last] = [way.sent[0]!.atMs, way.sent.at(-1)!.atMs];
    expect(last - first).to.be.within((total / bytesPerSecond) * 1_000 * 0.8, (total / bytesPerSecond) * 1_000 * 4);
    // Over any second, with room for what a busy machine hands over late.
    for (const { atMs } of way.sent) {
      const within = way.sent.filter((each) => each.atMs >= atMs && each.atMs < atMs + 1_000);
      expect(within.reduce((sum, { bytes }) => sum + bytes, 0)).to.be.below(2 * bytesPerSecond);
    }
  });

  it('fetches no more ahead than waits on disk', async () => {
    await using way = await startCountedWay(real.socketPath);
    await using engine = await cappedEngine(way);
    const image = seededImage({ layers: 8, bytes: 500_000, seed: 'capped ahead' });
    const rig = await openHeartRig({ image, registries: [[]] });
    const load = await startLoad(engine, rig.openPull());
    let over = false;
    const whole = load.whole().finally(() => {
      over = true;
    });
    let ahead = 0;
    while (!over) {
      const sent = way.sent.reduce((sum, { bytes }) => sum + bytes, 0);
      ahead = Math.max(ahead, rig.double('A').bytesSent - sent);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await whole;
    // Three layers on disk, and what sockets and the request hold.
    expect(ahead).to.be.within(1_000_000, 3 * 500_000 + 700_000);
  });
});

describe('a load where room is scarce', function () {
  this.timeout(60_000);
  requireReal('mount', 'run the specs with the right to mount a tmpfs', canMount);
  afterEach(closeHeartRigs);

  it('fetches one blob after the other, though all of them would not fit', async () => {
    const disk = mountSmallDisk(5_000_000);
    const spool = new BlobSpool(disk.path);
    try {
      const image = seededImage({ layers: 4, bytes: 3_000_000, seed: 'scarce' });
      const rig = await openHeartRig({ image, registries: [[]] });
      const { context } = rig.openPull();
      const tree = await treeOf(rig.openPull());
      const shared = new SharedFetches();
      await using feed = new BlobFeed({
        image: usualReference,
        blobs: tree.layers,
        signal: context.signal,
        spool,
        fetch: (blob, store, signal) => shared.fetch({ ...context, signal }, { blob, key: 'key', store }),
        onRead: () => {
          expect(spool.files).to.equal(0);
        },
      });
      feed.start();
      for (const layer of tree.layers) {
        let bytes = 0;
        for await (const chunk of feed.archived(layer).read()) {
          bytes += chunk.length;
          expect(spool.files).to.equal(1);
        }
        expect(bytes).to.equal(3_000_000);
      }
    } finally {
      await spool[Symbol.asyncDispose]();
      disk.remove();
    }
  });
});
