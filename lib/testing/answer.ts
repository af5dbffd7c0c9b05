import type { ByteSpan } from './byte-range.js';

/** What is sent after the headers. */
export interface AnswerBody {
  /** Where its first byte is in the object it belongs to. */
  readonly start: number;
  /** Null when nobody knows before it ends. */
  readonly length: number | null;
  /** Size of the whole object, or null when nobody knows. */
  readonly total: number | null;
  open(): Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
}

/** An answer before it is sent. Header names are lower case. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: AnswerBody;
}

/** A body held in memory, sent whole. */
export function wholeBody(bytes: Uint8Array): AnswerBody {
  return { start: 0, length: bytes.length, total: bytes.length, open: () => [bytes] };
}

/** Part of an object that is read when it is sent. */
export function partBody(
  span: ByteSpan,
  total: number,
  read: (from: number, to: number) => Iterable<Uint8Array>,
): AnswerBody {
  return { start: span.from, length: span.to - span.from, total, open: () => read(span.from, span.to) };
}

export function textAnswer(
  status: number,
  contentType: string,
  text: string,
  headers: Readonly<Record<string, string>> = {},
): Answer {
  const bytes = Buffer.from(text);
  return {
    status,
    headers: { 'content-type': contentType, 'content-length': String(bytes.length), ...headers },
    body: wholeBody(bytes),
  };
}

export function jsonAnswer(status: number, content: unknown, headers: Readonly<Record<string, string>> = {}): Answer {
  return textAnswer(status, 'application/json; charset=utf-8', `${JSON.stringify(content)}\n`, headers);
}

/**
 * An error in the form of the distribution specification.
 *
 * @see https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#error-codes
 */
export function errorAnswer(
  status: number,
  code: string,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): Answer {
  return jsonAnswer(status, { errors: [{ code, message, detail: null }] }, headers);
}

/** An error in the form of the storage services that registries redirect to. */
export function storageErrorAnswer(status: number, code: string, message: string): Answer {
  const text = `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>${message}</Message></Error>`;
  return textAnswer(status, 'application/xml', text);
}

/** The specification's code that goes with a status. */
export function specCodeOf(status: number, kind: 'blob' | 'manifest'): string {
  switch (status) {
    case 401:
      return 'UNAUTHORIZED';
    case 403:
      return 'DENIED';
    case 404:
      return kind === 'blob' ? 'BLOB_UNKNOWN' : 'MANIFEST_UNKNOWN';
    case 405:
      return 'UNSUPPORTED';
    case 429:
      return 'TOOMANYREQUESTS';
    default:
      return 'UNKNOWN';
  }
}
