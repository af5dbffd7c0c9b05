/** A part of a blob, `to` not included; never empty. */
export interface ByteSpan {
  readonly from: number;
  readonly to: number;
}

const onePart = /^bytes=(?:(?<first>\d{1,16})-(?<last>\d{0,16})|-(?<suffix>\d{1,16}))$/;

/**
 * What a Range header asks of a blob of this size: a span, `unsatisfiable` (416), or null for all of it. A header that
 * is malformed, has several parts or another unit is ignored, as it should be.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9110#section-14.2
 */
export function readRange(header: string | undefined, size: number): ByteSpan | 'unsatisfiable' | null {
  const groups = onePart.exec(header ?? '')?.groups;
  if (groups === undefined) return null;
  const { first, last, suffix } = groups;
  if (suffix !== undefined) {
    const length = Math.min(Number(suffix), size);
    return length === 0 ? 'unsatisfiable' : { from: size - length, to: size };
  }
  const from = Number(first);
  if (last !== undefined && last !== '' && Number(last) < from) return null;
  if (from >= size) return 'unsatisfiable';
  return { from, to: last === undefined || last === '' ? size : Math.min(Number(last) + 1, size) };
}

/** Of a 206. */
export function contentRange({ from, to }: ByteSpan, size: number): string {
  return `bytes ${from}-${to - 1}/${size}`;
}

/** Of a 416. */
export function unsatisfiedRange(size: number): string {
  return `bytes */${size}`;
}
