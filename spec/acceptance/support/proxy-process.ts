/** The process of a fault proxy: its loop and its share of the processor are not those of the pull that it serves. */
import { type FaultProxyOptions, startFaultProxy } from '../../../lib/testing/index.js';
import type { ProxyOrder, ProxyReply } from './proxied-registry.js';

const [upstream = '', options = '{}'] = process.argv.slice(2);

function send(reply: ProxyReply): void {
  process.send?.(reply);
}

const proxy = await startFaultProxy(upstream, JSON.parse(options) as FaultProxyOptions);
process.on('message', (order: ProxyOrder) => {
  void (async () => {
    if (order.faults !== undefined) await proxy.setFaults(order.faults);
    send({ id: order.id, host: proxy.host, requests: proxy.requests, bytesSent: proxy.bytesSent });
  })();
});
// Whoever started it is gone, or has no more use for it.
process.once('disconnect', () => void proxy.close());
send({ id: 0, host: proxy.host, requests: [], bytesSent: 0 });
