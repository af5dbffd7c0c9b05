import { expect } from 'chai';
import { headersOf } from '../../lib/distribution/headers.js';
import type { IncomingBody } from '../../lib/distribution/incoming-body.js';
import { readDocument } from '../../lib/distribution/read-document.js';
import { bytesOf } from './rig.js';

/** A body that hands out the same memory again and again: whoever keeps a chunk finds another one in it later. */
function bodyInOnePlace(content: Uint8Array, chunkBytes: number): IncomingBody {
  const place = new Uint8Array(chunkBytes);
  let sent = 0;
  return {
    read: async () => {
      if (sent === content.length) return null;
      const part = content.subarray(sent, sent + chunkBytes);
      place.set(part);
      sent += part.length;
      return place.subarray(0, part.length);
    },
    arrived: async () => undefined,
    get bytes() {
      return sent;
    },
    get complete() {
      return sent === content.length;
    },
    lateMs: 0,
    cancel: () => undefined,
  };
}

describe('a document of a peer', () => {
  const content = bytesOf(10_000);
  for (const chunkBytes of [1, 7, 4_096, 10_000]) {
    for (const announced of [true, false]) {
      it(`keeps nothing but its bytes: in chunks of ${chunkBytes}, its length ${announced ? '' : 'not '}announced`, async () => {
        const headers = headersOf(announced ? { 'content-length': String(content.length) } : {});
        const body = bodyInOnePlace(content, chunkBytes);
        const document = await readDocument({ headers, body, answerer: 'registry' }, content.length, { bytes: 0 });
        expect(Buffer.compare(document, content)).to.equal(0);
      });
    }
  }
});
