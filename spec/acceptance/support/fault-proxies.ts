import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Fault, FaultProxyOptions, LoggedRequest } from '../../../lib/testing/index.js';
import { ownAddress } from './own-address.js';

/** What one of the proxies is asked for; `faults` are put in force first. */
export interface ProxyOrder {
  readonly id: number;
  /** Which one, counted from 0. */
  readonly proxy: number;
  readonly faults?: readonly Fault[];
}

/** The first reply, of id 0, comes when they listen. */
export type ProxyReply = { readonly id: 0; readonly hosts: readonly string[] } | ({ readonly id: number } & Traffic);

/** What was asked of a registry. */
export interface Traffic {
  readonly requests: readonly LoggedRequest[];
  /** Body bytes sent for manifests and blobs. */
  readonly bytes: number;
}

/** Fault proxies before one registry, in a process of their own. */
export interface FaultProxies {
  /** One per options given. */
  readonly hosts: readonly string[];
  tell(proxy: number, faults?: readonly Fault[]): Promise<Traffic>;
  close(): Promise<void>;
}

/** @param options of each proxy, without what JSON cannot say */
export async function startFaultProxies(
  upstream: string,
  options: readonly FaultProxyOptions[],
): Promise<FaultProxies> {
  const child = fork(
    fileURLToPath(new URL('./proxy-process.ts', import.meta.url)),
    [upstream, JSON.stringify(options.map((each) => ({ listen: ownAddress(), ...each })))],
    { execArgv: ['--import', 'tsx'] },
  );
  const exited = once(child, 'exit');
  const ended = exited.then(() => Promise.reject(new Error('the process of the fault proxies has ended')));
  ended.catch(() => {});
  const waiting = new Map<number, (reply: ProxyReply) => void>();
  child.on('message', (reply: ProxyReply) => {
    waiting.get(reply.id)?.(reply);
    waiting.delete(reply.id);
  });
  const reply = (id: number): Promise<ProxyReply> =>
    Promise.race([new Promise<ProxyReply>((resolve) => waiting.set(id, resolve)), ended]);

  const started = await reply(0);
  let orders = 0;
  return {
    hosts: 'hosts' in started ? started.hosts : [],
    tell: async (proxy, faults) => {
      orders += 1;
      const answered = reply(orders);
      const order: ProxyOrder = { id: orders, proxy, ...(faults === undefined ? {} : { faults }) };
      child.send(order);
      const traffic = await answered;
      if (!('requests' in traffic)) throw new Error('the proxies answered what nobody asked');
      return traffic;
    },
    close: async () => {
      if (child.connected) child.disconnect();
      await exited;
    },
  };
}
