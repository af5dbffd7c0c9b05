import { once } from 'node:events';
import { Agent, createServer, request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { pipeline } from 'node:stream/promises';

/** A registry that sends clients elsewhere for blobs, speaks TLS, and has had enough after so many requests. */
export interface Redirecting {
  readonly key: string;
  readonly cert: string;
  /** The authority of that certificate, PEM. */
  readonly ca: string;
  readonly requestsPerSecond: number;
}

/** A registry's front, over TLS, that answers 429 beyond so many requests a second. */
export interface RequestLimiter {
  readonly host: string;
  /** How many it answered so. */
  readonly refusals: number;
  close(): Promise<void>;
}

/** A bucket that holds the requests of one second, and fills at that rate; asked for one each time. */
export function createAllowance(requestsPerSecond: number): (nowMs: number) => boolean {
  let left = requestsPerSecond;
  let filledAtMs = -Infinity;
  return (nowMs) => {
    left = Math.min(requestsPerSecond, left + ((nowMs - filledAtMs) / 1_000) * requestsPerSecond);
    filledAtMs = nowMs;
    if (left < 1) return false;
    left -= 1;
    return true;
  };
}

/** Passes on what is allowed. */
export async function startRequestLimiter(upstream: string, options: Redirecting): Promise<RequestLimiter> {
  const { key, cert, ca, requestsPerSecond } = options;
  const agent = new Agent({ keepAlive: true, ca });
  const isAllowed = createAllowance(requestsPerSecond);
  let refusals = 0;

  const server = createServer({ key, cert }, (asked, response) => {
    if (!isAllowed(performance.now())) {
      refusals += 1;
      response.writeHead(429, { 'retry-after': '1', 'content-type': 'application/json' });
      response.end('{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}');
      return;
    }
    const { method, headers } = asked;
    const passed = request(new URL(asked.url ?? '/', upstream), {
      method,
      agent,
      headers: { ...headers, host: new URL(upstream).host },
    });
    passed.on('response', (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      // A client that goes away is its own business.
      pipeline(answer, response).catch(() => undefined);
    });
    passed.on('error', () => response.destroy());
    passed.end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    host: `127.0.0.1:${port}`,
    get refusals() {
      return refusals;
    },
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      agent.destroy();
      await closed;
    },
  };
}
