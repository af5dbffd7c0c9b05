import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { isObject } from '../../image/json-object.js';
import { abortable, deriveAbort, onAbort } from '../../policy/deadline.js';
import type { DialOptions, DockerLike } from './docker-like.js';
import { socketFailure } from './docker-socket-failure.js';
import { EngineFailure, engineFailure } from './engine-failure.js';

/** One request to an engine's API. */
export interface DockerRequest {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** Without version and query. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Readable;
  /** The path has a version of its own: Podman's endpoints do. */
  readonly isVersioned?: boolean;
  /** Whether it may be silent for as long as it likes: it is watched by what it does, not by its socket. */
  readonly isLong?: boolean;
}

/** An answer that came well; its body is not read yet. */
export type DockerAnswer = IncomingMessage;

/** The largest document that is read: a list of ten thousand images takes a tenth of it. */
const maxDocumentBytes = 64 * 1024 * 1024;

/** Of an error's text; what a person would read is at its beginning. */
const maxErrorBytes = 64 * 1024;

/** An answer with any status is handed over: docker-modem's own errors lose what was said, and may never come. */
const everyStatus: Readonly<Record<number, true>> = Object.fromEntries(
  Array.from({ length: 500 }, (_status, index) => [100 + index, true] as const),
);

/**
 * Sends a request and runs `read` on its answer, unless that is an error. When `read` is over, or the signal is aborted,
 * nothing of the request is left: no socket, no listener.
 *
 * @throws EngineFailure, or the signal's own reason
 */
export async function exchange<T>(
  docker: DockerLike,
  request: DockerRequest,
  signal: AbortSignal,
  read: (answer: DockerAnswer) => Promise<T>,
): Promise<T> {
  await using opened = await openAnswer(docker, request, signal);
  try {
    return await abortable(read(opened.answer), signal);
  } catch (error) {
    throw signal.aborted ? signal.reason : socketFailure(error, true);
  }
}

/** An answer under way; disposing of it ends its connection. */
export interface OpenedAnswer extends AsyncDisposable {
  readonly answer: DockerAnswer;
}

/**
 * Sends a request; resolves when its answer begins well.
 *
 * @throws EngineFailure, or the signal's own reason
 */
export async function openAnswer(
  docker: DockerLike,
  request: DockerRequest,
  signal: AbortSignal,
): Promise<OpenedAnswer> {
  signal.throwIfAborted();
  const own = deriveAbort(signal);
  const end = (): void => {
    own.abort(new Error('the request is over'));
  };
  try {
    const answer = await abortable(dial(docker, request, own.signal), own.signal);
    if (!isGood(answer)) throw await abortable(failureOf(answer), own.signal);
    return {
      answer,
      [Symbol.asyncDispose]: async () => {
        end();
        // Where the signal does not reach the socket, as in old versions of docker-modem.
        answer.destroy();
      },
    };
  } catch (error) {
    const reason: unknown = signal.aborted ? signal.reason : socketFailure(error, false);
    end();
    throw reason;
  }
}

function isGood({ statusCode = 0 }: DockerAnswer): boolean {
  return statusCode >= 200 && statusCode < 300;
}

function dial(docker: DockerLike, request: DockerRequest, signal: AbortSignal): Promise<DockerAnswer> {
  return new Promise((resolve, reject) => {
    modemFor(docker, request, signal).dial(dialOptions(docker, request, signal), (error, answer) => {
      if (error !== null && error !== undefined) {
        reject(error);
        return;
      }
      if (!isAnswer(answer)) {
        reject(new Error('the dockerode that was given does not hand over the answers of the engine'));
        return;
      }
      // Whoever reads it learns of its errors by reading; before and after that they reach nobody.
      answer.on('error', ignore);
      if (signal.aborted) answer.destroy();
      else
        answer.once(
          'close',
          onAbort(signal, () => answer.destroy()),
        );
      resolve(answer);
    });
  });
}

type Modem = DockerLike['modem'];

/**
 * The host's modem, without what would end a long answer or spoil a path: a limit of silence of the host's is meant for
 * its short requests, and an engine that unpacks is silent.
 */
function modemFor({ modem }: DockerLike, request: DockerRequest, signal: AbortSignal): Modem {
  const { isVersioned = false, isLong = false } = request;
  const settings: Readonly<Record<string, unknown>> = { ...modem };
  const left = [...(isVersioned ? ['version'] : []), ...(isLong ? ['timeout', 'connectionTimeout'] : [])];
  const overrides: [string, PropertyDescriptor][] = left
    .filter((name) => settings[name] !== undefined)
    .map((name) => [name, { value: undefined }]);
  const build: unknown = 'buildRequest' in modem ? modem.buildRequest : undefined;
  if (typeof build === 'function') {
    // Until its version 3 docker-modem knew no signal, and could not end a request that is not answered.
    const buildRequest = function (this: unknown, options: object, ...rest: readonly unknown[]): unknown {
      return build.call(this, { ...options, signal }, ...rest);
    };
    overrides.push(['buildRequest', { value: buildRequest }]);
  }
  return overrides.length === 0 ? modem : (Object.create(modem, Object.fromEntries(overrides)) as Modem);
}

function dialOptions(docker: DockerLike, request: DockerRequest, signal: AbortSignal): DialOptions {
  const { method, path, query, headers, body } = request;
  return {
    method,
    // The question mark is what makes docker-modem add the query.
    path: query === undefined ? path : `${path}?`,
    ...(query === undefined ? {} : { options: { _query: { ...query }, _body: {} } }),
    headers: { ...inheritedHeaders(docker), Connection: 'close', ...headers },
    ...(body === undefined ? {} : { file: body }),
    statusCodes: everyStatus,
    isStream: true,
    abortSignal: signal,
  };
}

/** What the host wants sent with everything, to a proxy before its engine; never credentials for a registry. */
function inheritedHeaders({ modem }: DockerLike): Readonly<Record<string, string>> {
  const headers: unknown = 'headers' in modem ? modem.headers : undefined;
  if (!isObject(headers)) return {};
  return Object.fromEntries(
    Object.entries(headers).filter(
      (header): header is [string, string] =>
        typeof header[1] === 'string' && !/^(?:x-registry-(?:auth|config)|connection)$/i.test(header[0]),
    ),
  );
}

function isAnswer(value: unknown): value is DockerAnswer {
  return (
    typeof value === 'object' &&
    value !== null &&
    Symbol.asyncIterator in value &&
    'statusCode' in value &&
    typeof value.statusCode === 'number' &&
    'destroy' in value &&
    typeof value.destroy === 'function'
  );
}

/** What a bad answer says. */
async function failureOf(answer: DockerAnswer): Promise<EngineFailure> {
  const statusCode = answer.statusCode ?? 0;
  const bytes = await readAtMost(answer, maxErrorBytes);
  const text = bytes.toString('utf8');
  const message = messageOf(text);
  if (message !== null) return engineFailure({ text: message, statusCode });
  const shown = text.trim() === '' ? `it answered ${statusCode}` : `it answered ${statusCode}: ${text.trim()}`;
  // An engine's errors are JSON: this is somebody between it and us, and no registry either.
  return statusCode >= 502 && statusCode <= 504
    ? new EngineFailure('unreachable', { text: shown, statusCode })
    : engineFailure({ text: shown, statusCode });
}

function messageOf(text: string): string | null {
  try {
    const document: unknown = JSON.parse(text);
    if (!isObject(document)) return null;
    const { message, error } = document;
    if (typeof message === 'string') return message;
    return typeof error === 'string' ? error : null;
  } catch {
    return null;
  }
}

/** Reads an answer's JSON. @throws EngineFailure */
export async function readJson(answer: DockerAnswer): Promise<unknown> {
  const bytes = await readAtMost(answer, maxDocumentBytes + 1);
  if (bytes.length > maxDocumentBytes) {
    throw engineFailure({ text: `the engine answered with more than ${maxDocumentBytes} bytes` });
  }
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    throw engineFailure({ text: `the engine answered with ${bytes.length} bytes that are not JSON` });
  }
}

/** Reads to the end what nobody wants to know. */
export async function readNothing(answer: DockerAnswer): Promise<void> {
  await readAtMost(answer, maxErrorBytes);
}

async function readAtMost(answer: DockerAnswer, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    chunks.push(chunk.subarray(0, maxBytes - length));
    length += Math.min(chunk.length, maxBytes - length);
    if (length === maxBytes) break;
  }
  return Buffer.concat(chunks);
}

function ignore(): void {}
