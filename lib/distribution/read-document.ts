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
  progress: RequestProgress,
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

  const chunks: Uint8Array[] = [];
  for (let chunk = await body.read(); chunk !== null; chunk = await body.read()) {
    chunks.push(chunk);
    progress.bytes = body.bytes;
    if (body.bytes > maxBytes) throw wrong('too-large');
  }
  return chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks);
}
