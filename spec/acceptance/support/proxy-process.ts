/** The process of some fault proxies: their loop and their processor are not those of the pulls that they serve. */
import { type FaultProxyOptions, startFaultProxy } from '../../../lib/testing/index.js';
import type { ProxyOrder, ProxyReply } from './fault-proxies.js';

const [upstream = '', options = '[]'] = process.argv.slice(2);

function send(reply: ProxyReply): void {
  process.send?.(reply);
}

const proxies = await Promise.all(
  (JSON.parse(options) as FaultProxyOptions[]).map((each) => startFaultProxy(upstream, each)),
);
process.on('message', ({ id, proxy: at, faults }: ProxyOrder) => {
  void (async () => {
    const proxy = proxies[at];
    if (proxy === undefined) throw new RangeError(`there is no proxy ${at}`);
    if (faults !== undefined) await proxy.setFaults(faults);
    send({ id, requests: proxy.requests, bytes: proxy.bytesSent });
  })();
});
// Whoever started them is gone, or has no more use for them.
process.once('disconnect', () => {
  for (const proxy of proxies) void proxy.close();
});
send({ id: 0, hosts: proxies.map(({ host }) => host) });
