import net from 'node:net';
import { withoutBrackets } from '../image/registry-host.js';
import { createLog } from '../log/log.js';
import { withDeadline } from '../policy/deadline.js';
import { createKeptAnswers } from '../policy/kept-answers.js';
import { settledBy } from './open-socket.js';
import { defaultPort, readProxies, type Proxy, type ProxyEnvironment } from './proxies.js';
import type { Transport } from './transport.js';

const log = createLog('registry');

/** A proxy on the same network takes a connection in milliseconds. */
const reachLimitMs = 2_000;

/** Asked again after this, in milliseconds: whether a proxy is reached changes with networks, not with pulls. */
const reachedForMs = 600_000;
const unreachedForMs = 60_000;

/** One for http, one for https. */
const maxKept = 4;

/**
 * The same transport, through the proxies that an engine uses. They are somebody else's: one that this process does not
 * reach, since it is on another machine's loopback or known there alone, is gone without.
 */
export function throughEngineProxies(transport: Transport, environment: ProxyEnvironment): Transport {
  const proxyFor = readProxies(environment);
  const reached = createKeptAnswers<boolean>({
    keptMs: (isReached) => (isReached ? reachedForMs : unreachedForMs),
    maxKept,
  });

  async function usable(proxy: Proxy | null, signal: AbortSignal): Promise<Proxy | null> {
    const url = proxy?.url ?? null;
    if (url === null) return null;
    return (await reached.of(url.origin, (asking) => isReached(url, asking), signal)) ? proxy : null;
  }

  return {
    send: async (request) => transport.send({ ...request, proxy: await usable(proxyFor(request.url), request.signal) }),
    warm: async (target, signal) => {
      const proxy = await usable(proxyFor(target.url), signal);
      await transport.warm({ ...target, proxy }, signal);
    },
    addressesOf: (url, signal) => transport.addressesOf(url, signal),
    get openSockets() {
      return transport.openSockets;
    },
    close: () => transport.close(),
    [Symbol.asyncDispose]: () => transport.close(),
  };
}

async function isReached(url: URL, signal: AbortSignal): Promise<boolean> {
  const port = Number(url.port === '' ? defaultPort(url) : url.port);
  const socket = net.connect({ host: withoutBrackets(url.hostname), port, autoSelectFamily: true });
  // It may fail once more while it is being destroyed.
  socket.on('error', () => undefined);
  const expired = (): Error => new Error(`it takes no connection within ${reachLimitMs} ms`);
  try {
    await withDeadline({ ms: reachLimitMs, signal, expired }, (limited) => settledBy(socket, 'connect', limited));
    return true;
  } catch (error) {
    signal.throwIfAborted();
    log(null, "the engine's proxy is not reached from here and gone without", {
      proxy: url.origin,
      why: error instanceof Error ? error.message : String(error),
    });
    return false;
  } finally {
    socket.destroy();
  }
}
