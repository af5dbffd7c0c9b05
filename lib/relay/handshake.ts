import type { IncomingMessage } from 'node:http';
import { abortable } from '../policy/deadline.js';
import { startLoopTimer } from '../policy/loop-timer.js';

/** A word in the path of a request or in the name of the client tells that a daemon reaches this relay. */
export interface Handshakes {
  /** Whether a request is one; it needs no secret, and gets nothing. */
  isHandshake(request: IncomingMessage): boolean;
  heardOf(word: string, withinMs: number, signal: AbortSignal): Promise<boolean>;
  /** Whoever still waits has heard nothing. */
  close(): void;
}

const path = /^\/v2\/pull-failover\/handshake\/([A-Za-z0-9-]{1,64})(?=[/?]|$)/;
/** Docker repeats the name of its client to the registry: `docker/20.10.24 … UpstreamClient(…)`. */
const agent = /pull-failover-handshake\/([A-Za-z0-9-]{1,64})/;

/** Anybody on this machine may say words. */
const maxRemembered = 64;

export function createHandshakes(): Handshakes {
  const heard = new Set<string>();
  const waiting = new Map<string, Set<(isHeard: boolean) => void>>();
  let isClosed = false;

  function hear(word: string): void {
    // Forgotten in the order in which they were heard, so the newest is always there.
    heard.delete(word);
    heard.add(word);
    const [oldest] = heard;
    if (heard.size > maxRemembered && oldest !== undefined) heard.delete(oldest);
    for (const tell of waiting.get(word) ?? []) tell(true);
  }

  async function waitFor(word: string, withinMs: number, signal: AbortSignal): Promise<boolean> {
    const tellers = waiting.get(word) ?? new Set();
    waiting.set(word, tellers);
    let tell: (isHeard: boolean) => void = () => {};
    const told = new Promise<boolean>((resolve) => {
      tell = resolve;
    });
    tellers.add(tell);
    const timer = startLoopTimer(withinMs, () => tell(false));
    try {
      return await abortable(told, signal);
    } finally {
      timer.cancel();
      tellers.delete(tell);
      if (tellers.size === 0 && waiting.get(word) === tellers) waiting.delete(word);
    }
  }

  return {
    isHandshake: ({ url, headers }) => {
      const words = [path.exec(url ?? '')?.[1], agent.exec(headers['user-agent'] ?? '')?.[1]];
      for (const word of words) if (word !== undefined) hear(word);
      return words.some((word) => word !== undefined);
    },
    heardOf: async (word, withinMs, signal) => {
      signal.throwIfAborted();
      if (heard.has(word)) return true;
      return isClosed ? false : waitFor(word, withinMs, signal);
    },
    close: () => {
      isClosed = true;
      for (const tellers of waiting.values()) for (const tell of tellers) tell(false);
    },
  };
}
