import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { deriveAbort } from '../lib/policy/deadline.js';
import type { LinkAnswer, LinkOrder, LinkShape, Requests, Traffic } from './link-process.js';

/** What a registry is reached by. */
export interface OpenLink {
  /** `127.0.0.1:40001` */
  readonly host: string;
  /** What was asked so far. */
  read(): Promise<Requests>;
  /** Takes the link away, and tells what went over it. */
  close(): Promise<Traffic>;
}

/** Links before registries, one at a time, in a process of their own: their CPU time is nobody else's. */
export interface LinkProcess extends AsyncDisposable {
  open(upstream: string, shape: LinkShape): Promise<OpenLink>;
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
    open: async (upstream, shape) => {
      const { host } = await ask({ kind: 'open', upstream, ...shape }, 'opened');
      return { host, read: () => ask({ kind: 'read' }, 'read'), close: () => ask({ kind: 'close' }, 'closed') };
    },
    [Symbol.asyncDispose]: async () => {
      const exited = once(child, 'exit');
      child.disconnect();
      await exited;
    },
  };
}
