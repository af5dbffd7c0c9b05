import { expect } from 'chai';
import type { HeartContext } from '../../../lib/failover/context.js';
import { fetchManifest } from '../../../lib/failover/manifest/fetch-manifest.js';
import { loadImageTree, type ImageTree } from '../../../lib/failover/manifest/image-tree.js';
import { SharedFetches } from '../../../lib/failover/shared/shared-fetch.js';
import { parsePlatform } from '../../../lib/image/platform.js';
import type { Relay, RelayOptions, ServedImage, Serving } from '../../../lib/relay/relay.js';
import { startRelay } from '../../../lib/relay/start-relay.js';
import type { TestImage } from '../../../lib/testing/index.js';
import type { Digest } from '../../../lib/vocabulary/digest.js';
import {
  closeHeartRigs,
  type HeartPull,
  type HeartRig,
  type HeartRigOptions,
  openHeartRig,
} from '../../failover/support/heart-rig.js';
import { until } from '../../support/until.js';
import { openRawClient, type RawClient } from './raw-client.js';
import { ask, type PlainAnswer, type PlainRequest } from '../../testing/plain-client.js';

/** The repository and tag under which the rig's image is served unless a spec says otherwise. */
export const repository = 'pull-failover/1-2-abcdef012345-3/registry.example/team/app';
export const tag = '1';

export const loopback: RelayOptions = { listen: { host: '127.0.0.1', port: 0 }, advertise: null };

/** One image being served, the pull behind it, and what was told. */
export interface ServedPull {
  readonly pull: HeartPull;
  readonly tree: ImageTree;
  readonly serving: Serving;
  /** Digests that `onBlob` was called with, in order. */
  readonly blobs: readonly Digest[];
  /** What `failed` resolved with, once it has. */
  readonly failure: () => unknown;
}

export interface ServeOptions {
  readonly repository?: string;
  readonly tag?: string;
  readonly platform?: string;
  readonly shareKey?: string;
  /** Applied to the context before it is served. */
  readonly context?: (context: HeartContext) => HeartContext;
  readonly tree?: (tree: ImageTree) => ImageTree;
}

/** A relay before registries that fail. */
export interface RelayRig {
  readonly heart: HeartRig;
  readonly relay: Relay;
  readonly shared: SharedFetches;
  readonly url: string;
  readonly authorization: string;
  /** Serves an image of the registries; by default the rig's. */
  serve(image?: TestImage, options?: ServeOptions): Promise<ServedPull>;
  /** Asks the relay, with its secret. */
  ask(path: string, options?: PlainRequest): Promise<PlainAnswer>;
  /** Asks for a blob of the default repository. */
  askBlob(digest: Digest, options?: PlainRequest): Promise<PlainAnswer>;
  /** The same on a connection that the spec can leave, or not read from. */
  openBlob(digest: Digest, headers?: readonly string[]): Promise<RawClient>;
}

export interface RelayRigOptions extends HeartRigOptions {
  readonly relay?: Partial<RelayOptions>;
}

const open: { readonly relay: Relay; readonly served: ServedPull[] }[] = [];

export async function openRelayRig(options: RelayRigOptions): Promise<RelayRig> {
  const heart = await openHeartRig(options);
  const relay = await startRelay({ ...loopback, ...options.relay });
  const shared = new SharedFetches();
  const served: ServedPull[] = [];
  open.push({ relay, served });
  const { username, password } = relay.credentials;
  const authorization = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
  const url = `http://${relay.address}`;
  const rig: RelayRig = {
    heart,
    relay,
    shared,
    url,
    authorization,
    serve: async (image = heart.image, serve = {}) => {
      const pull = heart.openPull();
      const root = await fetchManifest(pull.context, { digest: image.digest });
      const tree = await loadImageTree(
        pull.context,
        root,
        parsePlatform(serve.platform ?? 'linux/amd64'),
        async () => null,
      );
      const blobs: Digest[] = [];
      let failure: unknown;
      const wanted: ServedImage = {
        repository: serve.repository ?? repository,
        tag: serve.tag ?? tag,
        context: serve.context?.(pull.context) ?? pull.context,
        tree: serve.tree?.(tree) ?? tree,
        shared,
        shareKey: serve.shareKey ?? 'key',
        onBlob: (digest) => blobs.push(digest),
      };
      const serving = relay.serve(wanted);
      void serving.failed.then((error) => {
        failure = error;
      });
      const one: ServedPull = { pull, tree, serving, blobs, failure: () => failure };
      served.push(one);
      return one;
    },
    ask: (path, request = {}) => ask(`${url}${path}`, { ...request, headers: { authorization, ...request.headers } }),
    openBlob: async (digest, headers = []) => {
      const client = await openRawClient(relay.address);
      const lines = [`Host: ${relay.address}`, `Authorization: ${authorization}`, ...headers];
      client.say(`GET /v2/${repository}/blobs/${digest} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
      return client;
    },
    askBlob: (digest, request = {}) => rig.ask(`/v2/${repository}/blobs/${digest}`, request),
  };
  return rig;
}

/** Closes everything opened since the last call; whatever a spec was about, no request may be left open. */
export async function closeRelayRigs(): Promise<void> {
  for (const { relay, served } of open.splice(0)) {
    await Promise.all(served.map(({ serving }) => serving.stop()));
    for (const { serving } of served) await until(() => serving.activity.open === 0, 'no answer is under way');
    await relay.close();
  }
  await closeHeartRigs();
}

/** Waits until the first registry sends nothing more, since the daemon does not read: all the buffers are full. */
export async function untilHeldBack({ heart, relay }: RelayRig, client: RawClient): Promise<void> {
  await until(() => client.socket.readableLength > 0, `${relay.address} has begun to answer`);
  const { doubles } = heart;
  for (let before = -1; doubles.some(({ bytesSent }) => bytesSent > before);) {
    before = Math.max(...doubles.map(({ bytesSent }) => bytesSent));
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

export function contentOf(blob: TestImage['layers'][number]): Buffer {
  return Buffer.concat([...blob.read()]);
}

export function expectBytes(answer: PlainAnswer, bytes: Buffer): void {
  expect([answer.status, answer.end, answer.body.length]).to.deep.equal([answer.status, 'complete', bytes.length]);
  expect(answer.body.equals(bytes), 'the bytes are right').to.equal(true);
}
