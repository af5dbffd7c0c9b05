import { type Bandwidth, type Fault, type FaultProxy, startFaultProxy } from '../lib/testing/index.js';

/** What a link process is told. Each message is answered before the next one is sent. */
export type LinkOrder =
  | {
      readonly kind: 'open';
      readonly upstream: string;
      readonly bandwidth: Bandwidth;
      readonly faults: readonly Fault[];
    }
  | { readonly kind: 'close' };

/** What it answers. */
export type LinkAnswer = { readonly kind: 'opened'; readonly host: string } | ({ readonly kind: 'closed' } & Traffic);

/** What went over a link. */
export interface Traffic {
  readonly requests: number;
  /** Bytes of layers and configs that were sent, by the log of the proxy. */
  readonly blobBytes: number;
}

let proxy: FaultProxy | null = null;

async function obey(order: LinkOrder): Promise<LinkAnswer> {
  switch (order.kind) {
    case 'open':
      proxy = await startFaultProxy(order.upstream, { bandwidth: order.bandwidth, faults: order.faults });
      return { kind: 'opened', host: proxy.host };
    case 'close': {
      const requests = proxy?.requests ?? [];
      await proxy?.close();
      proxy = null;
      const sent = requests.filter(({ kind, status }) => kind === 'blob' && status !== null && status < 300);
      return {
        kind: 'closed',
        requests: requests.length,
        blobBytes: sent.reduce((sum, { bytesSent }) => sum + bytesSent, 0),
      };
    }
  }
}

process.on('message', (order: LinkOrder) => {
  void obey(order).then((answer) => process.send?.(answer));
});
