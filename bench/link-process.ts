import { type Bandwidth, type Fault, type FaultProxy, startFaultProxy } from '../lib/testing/index.js';
import { type Redirecting, type RequestLimiter, startRequestLimiter } from './request-limiter.js';

/** What is between clients and a registry. */
export interface LinkShape {
  readonly bandwidth: Bandwidth;
  readonly faults: readonly Fault[];
  readonly redirecting: Redirecting | null;
}

/** What a link process is told. Each message is answered before the next one is sent. */
export type LinkOrder =
  | ({ readonly kind: 'open'; readonly upstream: string } & LinkShape)
  | { readonly kind: 'read' }
  | { readonly kind: 'close' };

/** What it answers. */
export type LinkAnswer =
  | { readonly kind: 'opened'; readonly host: string }
  | ({ readonly kind: 'read' } & Requests)
  | ({ readonly kind: 'closed' } & Traffic);

/** What was asked over a link so far. */
export interface Requests {
  /** `GET /v2/…`, in the order of arrival. */
  readonly lines: readonly string[];
  readonly connections: number;
}

/** What went over a link. */
export interface Traffic {
  /** Bytes of layers and configs that were sent, by the log of the proxy. */
  readonly blobBytes: number;
  /** Requests that were too many. */
  readonly refusals: number;
}

let proxy: FaultProxy | null = null;
let limiter: RequestLimiter | null = null;

async function obey(order: LinkOrder): Promise<LinkAnswer> {
  switch (order.kind) {
    case 'open': {
      const { upstream, bandwidth, faults, redirecting } = order;
      proxy = await startFaultProxy(upstream, {
        bandwidth,
        faults,
        ...(redirecting === null ? {} : { tls: redirecting, redirects: true }),
      });
      if (redirecting === null) return { kind: 'opened', host: proxy.host };
      limiter = await startRequestLimiter(proxy.url, redirecting);
      return { kind: 'opened', host: limiter.host };
    }
    case 'read': {
      const lines = (proxy?.requests ?? []).map(({ method, path }) => `${method} ${path}`);
      return { kind: 'read', lines, connections: proxy?.connections ?? 0 };
    }
    case 'close': {
      const requests = proxy?.requests ?? [];
      const refusals = limiter?.refusals ?? 0;
      await limiter?.close();
      await proxy?.close();
      limiter = null;
      proxy = null;
      const sent = requests.filter(
        ({ kind, status }) => (kind === 'blob' || kind === 'storage') && status !== null && status < 300,
      );
      return { kind: 'closed', blobBytes: sent.reduce((sum, { bytesSent }) => sum + bytesSent, 0), refusals };
    }
  }
}

process.on('message', (order: LinkOrder) => {
  void obey(order).then((answer) => process.send?.(answer));
});
