/** A range as asked for: `start` up to and including `end`, or to the end when that is null. */
export interface ByteRange {
  readonly start: number;
  readonly end: number | null;
}

/** The part of an object of known size that a range means, `to` not included. */
export interface ByteSpan {
  readonly from: number;
  readonly to: number;
}

const single = /^bytes=(\d{1,16})-(\d{0,16})$/;

/**
 * Reads a Range header of one part with a start, the only form a resuming client needs.
 * Anything else, also a suffix or several parts, is `'malformed'`.
 */
export function parseRange(header: string | undefined): ByteRange | null | 'malformed' {
  if (header === undefined) return null;
  const match = single.exec(header);
  if (match === null) return 'malformed';
  const start = Number(match[1]);
  const end = match[2] === '' ? null : Number(match[2]);
  return end !== null && end < start ? 'malformed' : { start, end };
}

/** Null when the range begins at or behind the end. */
export function spanOf(range: ByteRange | null, sizeBytes: number): ByteSpan | null {
  if (range === null) return { from: 0, to: sizeBytes };
  if (range.start >= sizeBytes) return null;
  return { from: range.start, to: range.end === null ? sizeBytes : Math.min(range.end + 1, sizeBytes) };
}

export function rangeHeader(range: ByteRange): string {
  return `bytes=${range.start}-${range.end ?? ''}`;
}

export function contentRange(span: ByteSpan, total: number | null): string {
  return `bytes ${span.from}-${span.to - 1}/${total ?? '*'}`;
}

const answered = /^bytes (\d{1,16})-(\d{1,16})\/(\d{1,16}|\*)$/;

/** Reads a Content-Range header; null when there is none that can be understood. */
export function parseContentRange(
  header: string | undefined,
): { readonly span: ByteSpan; readonly total: number | null } | null {
  const match = answered.exec(header ?? '');
  if (match === null) return null;
  return {
    span: { from: Number(match[1]), to: Number(match[2]) + 1 },
    total: match[3] === '*' ? null : Number(match[3]),
  };
}
