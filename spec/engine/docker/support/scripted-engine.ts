import { once } from 'node:events';
import http from 'node:http';
import { rm } from 'node:fs/promises';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Socket } from 'node:net';
import Dockerode from 'dockerode';

/** One request as a scripted engine saw it; its body is still to be read. */
export interface EngineRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: http.IncomingHttpHeaders;
  readonly incoming: http.IncomingMessage;
}

export type EngineAnswer = (request: EngineRequest, response: http.ServerResponse) => unknown;

/** A daemon that answers as it is told, on a unix socket of its own. */
export interface ScriptedEngine extends AsyncDisposable {
  readonly socketPath: string;
  readonly seen: readonly EngineRequest[];
  /** Connections that are open. */
  readonly connections: number;
  docker(options?: Dockerode.DockerOptions): Dockerode;
  /** Answers otherwise from now on. */
  answer: EngineAnswer;
  /** Ends every connection and listens no more, as a daemon that died; until `revive`. */
  die(): Promise<void>;
  revive(): Promise<void>;
}

export const dockerVersion: Readonly<Record<string, unknown>> = {
  Version: '20.10.24',
  Components: [{ Name: 'Engine' }],
};
export const podmanVersion: Readonly<Record<string, unknown>> = {
  Version: '4.3.1',
  Components: [{ Name: 'Podman Engine' }, { Name: 'Conmon' }],
};
const dockerInfo = {
  ID: 'ABCD:EFGH',
  OSType: 'linux',
  Architecture: 'x86_64',
  DriverStatus: [['Backing Filesystem', 'extfs']],
};

/** Answers what an engine is, and leaves the rest to `answer`. */
export function being(version: unknown, answer: EngineAnswer, info: unknown = dockerInfo): EngineAnswer {
  return (request, response) => {
    if (request.path === '/version') return sendJson(response, version);
    if (request.path === '/info') return sendJson(response, info);
    return answer(request, response);
  };
}

export function sendJson(response: http.ServerResponse, document: unknown, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(document));
}

/** Starts one; without an answer it answers 404 as Docker does. */
export async function startScriptedEngine(answer: EngineAnswer = notFound): Promise<ScriptedEngine> {
  const directory = mkdtempSync(join(tmpdir(), 'scripted-engine-'));
  const socketPath = join(directory, 'docker.sock');
  const seen: EngineRequest[] = [];
  const sockets = new Set<Socket>();
  let server = http.createServer();

  const listen = async (): Promise<void> => {
    server = http.createServer((incoming, response) => {
      incoming.on('error', () => undefined);
      response.on('error', () => undefined);
      const url = new URL(incoming.url ?? '', 'http://engine');
      const { method = '', headers } = incoming;
      const request = { method, path: url.pathname, query: url.searchParams, headers, incoming };
      seen.push(request);
      void engine.answer(request, response);
    });
    server.on('connection', (socket) => {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
    });
    server.listen(socketPath);
    await once(server, 'listening');
  };
  const die = async (): Promise<void> => {
    if (!server.listening) return;
    const closed = once(server, 'close');
    server.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  const engine: ScriptedEngine = {
    socketPath,
    seen,
    get connections() {
      return sockets.size;
    },
    docker: (options = {}) => new Dockerode({ ...options, socketPath }),
    answer,
    die,
    revive: listen,
    [Symbol.asyncDispose]: async () => {
      await die();
      await rm(directory, { recursive: true, force: true });
    },
  };
  await listen();
  return engine;
}

function notFound({ path }: EngineRequest, response: http.ServerResponse): void {
  sendJson(response, { message: `page not found: ${path}` }, 404);
}
