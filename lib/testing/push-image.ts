import { once } from 'node:events';
import { type IncomingMessage, request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { Readable } from 'node:stream';
import { splitName } from './registry-content.js';
import type { TestImage } from './test-image.js';

/** What a push may need. */
export interface PushOptions {
  /** The Authorization header to send, such as `Basic …`. */
  readonly authorization?: string;
  /** The certificate authority of the registry, in PEM. */
  readonly ca?: string | Uint8Array;
}

/** More of an unexpected answer than this is not worth showing. */
const shownBytes = 300;

/**
 * Pushes an image to a real registry, without the blobs that it already has.
 *
 * @param url the registry, `http://127.0.0.1:5000`
 * @param name `aptible/redis:3.0`
 * @throws {Error} when the registry answers otherwise than the specification demands
 * @see https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#pushing-blobs
 */
export async function pushImage(url: string, name: string, image: TestImage, options: PushOptions = {}): Promise<void> {
  const { path, reference } = splitName(name);
  const repositoryUrl = `${url.replace(/\/$/, '')}/v2/${path}`;

  for (const blob of image.blobs) {
    const has = await send('HEAD', `${repositoryUrl}/blobs/${blob.digest}`, options);
    has.resume();
    if (has.statusCode === 200) continue;
    const begun = await send('POST', `${repositoryUrl}/blobs/uploads/`, options);
    const location = await expected(begun, 202, `begin the upload of ${blob.digest}`);
    const upload = new URL(location, repositoryUrl);
    upload.searchParams.set('digest', blob.digest);
    await expected(
      await send('PUT', upload.href, options, {
        'content-type': 'application/octet-stream',
        length: blob.sizeBytes,
        body: blob.read(),
      }),
      201,
      `upload ${blob.digest}`,
    );
  }
  // What an index names has to be there before the index.
  const inOrder = [...image.documents.filter(({ digest }) => digest !== image.digest), image.top];
  for (const document of inOrder) {
    const target = document.digest === image.digest ? reference : document.digest;
    await expected(
      await send('PUT', `${repositoryUrl}/manifests/${target}`, options, {
        'content-type': document.mediaType,
        length: document.bytes.length,
        body: [document.bytes],
      }),
      201,
      `put the manifest ${target}`,
    );
  }
}

interface PushedBody {
  readonly 'content-type': string;
  readonly length: number;
  readonly body: Iterable<Uint8Array>;
}

async function send(method: string, url: string, options: PushOptions, pushed?: PushedBody): Promise<IncomingMessage> {
  const start = url.startsWith('https:') ? httpsRequest : httpRequest;
  const request = start(url, {
    method,
    headers: {
      'content-length': pushed?.length ?? 0,
      ...(pushed === undefined ? {} : { 'content-type': pushed['content-type'] }),
      ...(options.authorization === undefined ? {} : { authorization: options.authorization }),
    },
    ...(options.ca === undefined ? {} : { ca: Buffer.from(options.ca) }),
    // A connection kept alive would outlive the push.
    agent: false,
  });
  const answered = once(request, 'response') as Promise<[IncomingMessage]>;
  // The first failure is thrown below; what a broken connection says after it adds nothing.
  request.on('error', () => undefined);
  if (pushed === undefined) request.end();
  else Readable.from(pushed.body, { objectMode: false }).pipe(request);
  const [response] = await answered;
  return response;
}

/** The Location of an answer that must have this status. */
async function expected(response: IncomingMessage, status: number, what: string): Promise<string> {
  let text = '';
  for await (const chunk of response as AsyncIterable<Buffer>) {
    if (text.length < shownBytes) text += chunk.toString('utf8');
  }
  if (response.statusCode === status) return response.headers.location ?? '';
  throw new Error(`${what}: expected ${status}, got ${response.statusCode ?? 'nothing'}: ${text.slice(0, shownBytes)}`);
}
