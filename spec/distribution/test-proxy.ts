import http from 'node:http';
import net from 'node:net';
import { TLSSocket } from 'node:tls';
import { startRawServer, type TestServer } from '../support/servers.js';
import type { TestCertificate } from '../support/tls.js';

/** A real proxy: forwards plain requests, and tunnels. Every name leads to a port of loopback. */
export interface TestProxy extends TestServer {
  readonly targets: readonly string[];
  readonly authorizations: readonly (string | undefined)[];
}

export interface ProxyOptions {
  /** Answers every request with this status. */
  readonly refuse?: number;
  /** Speaks TLS with it. */
  readonly tls?: TestCertificate;
}

/** @param connectTo tells the port for `host:port` */
export async function startProxy(
  connectTo: (authority: string) => number,
  { refuse, tls }: ProxyOptions = {},
): Promise<TestProxy> {
  const targets: string[] = [];
  const authorizations: (string | undefined)[] = [];
  const inner = http.createServer((request, response) => {
    targets.push(request.url ?? '');
    authorizations.push(request.headers['proxy-authorization']);
    if (refuse !== undefined) {
      response.statusCode = refuse;
      response.end('go away');
      return;
    }
    const url = new URL(request.url ?? '');
    const { 'proxy-authorization': _ours, ...headers } = request.headers;
    http
      .request({ host: '127.0.0.1', port: connectTo(url.host), path: url.pathname + url.search, headers }, (answer) => {
        response.writeHead(answer.statusCode ?? 0, answer.headers);
        answer.pipe(response);
      })
      .end();
  });
  inner.on('connect', (request: http.IncomingMessage, socket: net.Socket, head: Buffer) => {
    targets.push(request.url ?? '');
    authorizations.push(request.headers['proxy-authorization']);
    socket.on('error', () => undefined);
    if (refuse !== undefined) {
      socket.end(`HTTP/1.1 ${refuse} No\r\ncontent-length: 7\r\n\r\ngo away`);
      return;
    }
    const upstream = net.connect(connectTo(request.url ?? ''), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      upstream.write(head);
      upstream.pipe(socket).pipe(upstream);
    });
    upstream.on('error', () => socket.destroy());
    socket.on('close', () => upstream.destroy());
  });
  const outer = await startRawServer((socket) => {
    if (tls === undefined) {
      inner.emit('connection', socket);
      return;
    }
    const secure = new TLSSocket(socket, { isServer: true, ...tls });
    secure.on('error', () => undefined);
    inner.emit('connection', secure);
  });
  return Object.defineProperties(Object.create(outer) as TestProxy, {
    targets: { value: targets },
    authorizations: { value: authorizations },
  });
}
