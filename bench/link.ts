import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { deriveAbort } from '../lib/policy/deadline.js';
import type { Bandwidth, Fault } from '../lib/testing/index.js';
import type { LinkAnswer, LinkOrder, Traffic } from './link-process.js';

/** What a registry is reached by. */
export interface OpenLink {
  /** `127.0.0.1:40001` */
  readonly host: string;
  /** Takes the link away, and tells what went over it. */
  close(): Promise<Traffic>;
}

/** Shaped links before registries, one at a time, in a process of their own: their CPU time is nobody else's. */
export interface LinkProcess extends AsyncDisposable {
  open(upstream: string, bandwidth: Bandwidth, faults: readonly Fault[]): Promise<OpenLink>;
}

export function startLinkProcess(): LinkProcess {
  const child = fork(fileURLToPath(new URL('link-process.ts', import.meta.url)));

  async function ask<Kind extends LinkAnswer['kind']>(
    order: LinkOrder,
    kind: Kind,
  ): Promise<Extract<LinkAnswer, { readonly kind: Kind }>> {
    using settled = deriveAbort();
    const { signal } = settled;
    const ended = once(child, 'exit', { signal }).then(() => {
      throw new Error('the process of a link has ended');
    });
    const answered = once(child, 'message', { signal }) as Promise<[LinkAnswer]>;
    child.send(order);
    const [answer] = await Promise.race([answered, ended]);
    // The other one of the two would listen for ever.
    ended.catch(() => undefined);
    settled.abort(new Error('answered'));
    if (answer.kind !== kind) throw new Error(`the process of a link answered ${answer.kind} to ${order.kind}`);
    return answer as Extract<LinkAnswer, { readonly kind: Kind }>;
  }

  return {
    open: async (upstream, bandwidth, faults) => {
      const { host } = await ask({ kind: 'open', upstream, bandwidth, faults }, 'opened');
      return { host, close: () => ask({ kind: 'close' }, 'closed') };
    },
    [Symbol.asyncDispose]: async () => {
      const exited = once(child, 'exit');
      child.disconnect();
      await exited;
    },
  };
}
