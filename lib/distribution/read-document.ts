import type { Answerer } from '../vocabulary/evidence.js';
import { contentLengthOf, isIdentityEncoded, type Headers } from './headers.js';
import type { IncomingBody } from './incoming-body.js';
import type { RequestProgress } from './request-limit.js';
import { ExchangeError } from './wire-error.js';

/** A document of the metadata phase, to be read whole. */
export interface IncomingDocument {
  readonly headers: Headers;
  readonly body: IncomingBody;
  readonly answerer: Answerer;
}

/**
 * Reads a manifest or a token answer into memory, at most `maxBytes`.
 *
 * @throws ExchangeError when it is larger or encoded, or its length is nonsense
 */
export async function readDocument(
  document: IncomingDocument,
  maxBytes: number,
  progress: Pick<RequestProgress, 'bytes'>,
): Promise<Uint8Array> {
  const { headers, body, answerer } = document;
  const wrong = (code: 'too-large' | 'content-encoded' | 'malformed-response'): ExchangeError => {
    const error = new ExchangeError(`the document of the ${answerer} cannot be used (${code})`, {
      evidence: { kind: 'content', code, from: answerer },
      phase: 'metadata',
    });
    body.cancel(error);
    return error;
  };
  if (!isIdentityEncoded(headers)) throw wrong('content-encoded');
  const announced = contentLengthOf(headers);
  if (announced === 'malformed') throw wrong('malformed-response');
  if (announced !== null && announced > maxBytes) throw wrong('too-large');

  // Copied as they come: kept as they are, chunks of one byte each would take a hundred times what they carry.
  let gathered = Buffer.alloc(announced ?? 0);
  let length = 0;
  for (let chunk = await body.read(); chunk !== null; chunk = await body.read()) {
    progress.bytes = body.bytes;
    if (body.bytes > maxBytes) throw wrong('too-large');
    if (length + chunk.length > gathered.length) gathered = grown(gathered, length + chunk.length);
    gathered.set(chunk, length);
    length += chunk.length;
  }
  return gathered.subarray(0, length);
}

function grown(bytes: Buffer<ArrayBuffer>, neededBytes: number): Buffer<ArrayBuffer> {
  const larger = Buffer.alloc(Math.max(neededBytes, bytes.length * 2));
  larger.set(bytes);
  return larger;
}
