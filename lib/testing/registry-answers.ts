import { type Answer, errorAnswer, partBody, storageErrorAnswer, wholeBody } from './answer.js';
import { type ByteRange, contentRange, spanOf } from './byte-range.js';
import type { Place } from './fault-script.js';
import type { RequestTarget } from './request-target.js';
import type { ViolationRule } from './strictness.js';
import type { TestBlob, TestDocument } from './test-image.js';

export function documentAnswer(document: TestDocument): Answer {
  return {
    status: 200,
    headers: {
      'content-type': document.mediaType,
      'content-length': String(document.bytes.length),
      'docker-content-digest': document.digest,
      etag: `"${document.digest}"`,
    },
    body: wholeBody(document.bytes),
  };
}

/** A blob or the part of it asked for, in the headers of a registry or of a storage service. */
export function blobAnswer(blob: TestBlob, range: ByteRange | null, place: Place): Answer {
  const span = spanOf(range, blob.sizeBytes);
  if (span === null) {
    const unsatisfied =
      place === 'storage'
        ? storageErrorAnswer(416, 'InvalidRange', 'The requested range is not satisfiable')
        : errorAnswer(416, 'SIZE_INVALID', 'the range begins behind the end');
    return { ...unsatisfied, headers: { ...unsatisfied.headers, 'content-range': `bytes */${blob.sizeBytes}` } };
  }
  return {
    status: range === null ? 200 : 206,
    headers: {
      'content-type': 'application/octet-stream',
      'content-length': String(span.to - span.from),
      'accept-ranges': 'bytes',
      etag: `"${blob.digest}"`,
      ...(range === null ? {} : { 'content-range': contentRange(span, blob.sizeBytes) }),
      ...(place === 'storage' ? {} : { 'docker-content-digest': blob.digest }),
    },
    body: partBody(span, blob.sizeBytes, (from, to) => blob.read(from, to)),
  };
}

/** How a client that broke a rule is turned away. */
export function violationAnswer(place: Place, rule: ViolationRule, detail: string, target: RequestTarget): Answer {
  if (place === 'storage') {
    // The words of S3 when a registry's credentials reach it beside a signature.
    if (rule === 'authorization') return storageErrorAnswer(400, 'InvalidArgument', 'Only one auth mechanism allowed');
    if (rule === 'signature') return storageErrorAnswer(403, 'SignatureDoesNotMatch', detail);
    return storageErrorAnswer(400, 'InvalidRequest', detail);
  }
  switch (rule) {
    case 'method':
      return errorAnswer(405, 'UNSUPPORTED', detail);
    case 'path':
      return errorAnswer(404, 'UNSUPPORTED', detail);
    case 'repository':
      return errorAnswer(400, 'NAME_INVALID', detail);
    case 'reference':
      return errorAnswer(400, target.kind === 'blob' ? 'DIGEST_INVALID' : 'MANIFEST_INVALID', detail);
    default:
      return errorAnswer(400, 'UNSUPPORTED', detail);
  }
}
