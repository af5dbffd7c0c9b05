/**
 * The process whose memory and whose end `process.spec.ts` looks at: serves one blob through a relay, says where, and
 * on a line from its parent how much memory it took. It ends by itself when nothing but the relay is left.
 */
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { SharedFetches } from '../../../lib/failover/shared/shared-fetch.js';
import type { ImageTree, TreeDocument } from '../../../lib/failover/manifest/image-tree.js';
import { parseDigest } from '../../../lib/image/digest.js';
import { startRelay } from '../../../lib/relay/start-relay.js';
import { closeHeartRigs, openHeartRig } from '../../failover/support/heart-rig.js';

/** Which registry, and which of its blobs. */
export interface RelayOrder {
  readonly host: string;
  readonly digest: string;
  readonly size: number;
}

/** What the process says first. */
export interface RelayPlace {
  readonly address: string;
  readonly authorization: string;
  readonly path: string;
}

/** What it says on each line it is sent: how much it has grown since it began to serve, in megabytes. */
export interface RelayCost {
  readonly grownMb: number;
}

const say = (what: RelayPlace | RelayCost): void => void process.stdout.write(`${JSON.stringify(what)}\n`);
const megabytes = (): number => process.memoryUsage.rss() / 2 ** 20;

async function main(): Promise<void> {
  const order = JSON.parse(process.argv[2] ?? '') as RelayOrder;
  const digest = parseDigest(order.digest);
  if (digest === null) throw new Error('not a digest');
  const rig = await openHeartRig({ registries: [{ host: order.host }], timeouts: {} });
  const relay = await startRelay({ listen: { host: '127.0.0.1', port: 0 }, advertise: null });
  const manifest: TreeDocument = { digest, mediaType: '', bytes: new Uint8Array(0) };
  const config = { mediaType: 'application/octet-stream', digest, size: order.size };
  const tree: ImageTree = { root: manifest, documents: [manifest], manifest, config, layers: [] };
  const { context } = rig.openPull();
  const serving = relay.serve({
    ...{ repository: 'pull-failover/x/y', tag: '1', context, tree, shareKey: 'key' },
    shared: new SharedFetches(),
    onBlob: () => {},
  });
  const { username, password } = relay.credentials;
  globalThis.gc?.();
  const beforeMb = megabytes();
  let peakMb = beforeMb;
  const timer = setInterval(() => {
    peakMb = Math.max(peakMb, megabytes());
  }, 20);
  say({
    address: relay.address,
    authorization: `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`,
    path: `/v2/pull-failover/x/y/blobs/${digest}`,
  });
  const lines = createInterface({ input: process.stdin });
  lines.on('line', () => {
    say({ grownMb: Math.max(peakMb, megabytes()) - beforeMb });
  });
  await once(lines, 'close');
  clearInterval(timer);
  await serving.stop();
  await closeHeartRigs();
  // The relay is left open, with the connections of whoever has not gone.
}

void main();
