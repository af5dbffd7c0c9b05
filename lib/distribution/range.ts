import type { Headers } from './headers.js';
import { contentLengthOf } from './headers.js';

/** What a Content-Range announces; `end` belongs to the range, `total` is null for `*`. */
export interface ContentRange {
  readonly start: number;
  readonly end: number;
  readonly total: number | null;
}

const contentRange = /^bytes[ \t]+(\d{1,16})-(\d{1,16})\/(\d{1,16}|\*)$/i;

/** Parses a Content-Range (RFC 9110, section 14.4); null when it is malformed, contradicts itself, or names no range. */
export function parseContentRange(value: string): ContentRange | null {
  const match = contentRange.exec(value.trim());
  if (match === null) return null;
  const start = Number(match[1]);
  const end = Number(match[2]);
  const total = match[3] === '*' ? null : Number(match[3]);
  if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end) || end < start) return null;
  if (total !== null && (!Number.isSafeInteger(total) || end >= total)) return null;
  return { start, end, total };
}

/** What was asked for. */
export interface WantedBytes {
  /** The whole blob's size in bytes. */
  readonly size: number;
  /** The offset of the first byte wanted. */
  readonly from: number;
  /** The offset after the last byte wanted. Default: the end of the blob. */
  readonly to?: number;
}

/** The Range to ask with (RFC 9110, section 14.2); null for all of the blob, which is asked for without one. */
export function rangeOf({ size, from, to = size }: WantedBytes): string | null {
  // A range over nothing cannot be satisfied.
  if (size === 0 || (from === 0 && to === size)) return null;
  return `bytes=${from}-${to === size ? '' : to - 1}`;
}

/** The bytes that a good answer delivers, or what is wrong with its head. */
export type PromisedBytes =
  | {
      /** The offset in the blob of the first byte that comes. */
      readonly start: number;
      /** Bytes that come, where the answer announces it. */
      readonly length: number | null;
      /** The offset in the blob at which the answer must end. */
      readonly end: number;
    }
  | { readonly wrong: 'range-mismatch' | 'length-mismatch' };

/**
 * Checks the head of a 200 or 206 against what was asked for.
 *
 * A 206 is accepted when it starts exactly at the byte asked for; it may say `/*`, and may end early, but never after
 * the last byte asked for. A 200 brings the blob from its beginning, whatever was asked for.
 */
export function promisedBytes(status: 200 | 206, headers: Headers, wanted: WantedBytes): PromisedBytes {
  const length = contentLengthOf(headers);
  if (length === 'malformed') return { wrong: 'length-mismatch' };
  if (status === 200) {
    return length !== null && length !== wanted.size
      ? { wrong: 'length-mismatch' }
      : { start: 0, length, end: wanted.size };
  }
  // Of several ranges, or of none, there is no single Content-Range: nobody asked for that.
  const values = headers.all('content-range');
  const range = values.length === 1 ? parseContentRange(values[0] ?? '') : null;
  if (range === null || rangeOf(wanted) === null || range.start !== wanted.from) return { wrong: 'range-mismatch' };
  if ((range.total !== null && range.total !== wanted.size) || range.end >= wanted.size) {
    return { wrong: 'length-mismatch' };
  }
  if (range.end >= (wanted.to ?? wanted.size)) return { wrong: 'range-mismatch' };
  const rangeLength = range.end - range.start + 1;
  if (length !== null && length !== rangeLength) return { wrong: 'range-mismatch' };
  return { start: range.start, length: rangeLength, end: range.end + 1 };
}
