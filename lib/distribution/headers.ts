/** The header fields of an answer; names in lower case. */
export interface Headers {
  /** The value, or null when the field is absent. Of a repeated field the values are joined with `, ` (RFC 9110, section 5.3). */
  get(name: string): string | null;
  /** Each field line of this name, in order. */
  all(name: string): readonly string[];
}

/** Wraps header fields as undici delivers them. */
export function headersOf(fields: Readonly<Record<string, string | readonly string[] | undefined>>): Headers {
  const all = (name: string): readonly string[] => {
    const value = Object.hasOwn(fields, name) ? fields[name] : undefined;
    if (value === undefined) return [];
    return typeof value === 'string' ? [value] : value;
  };
  return {
    all,
    get: (name) => {
      const values = all(name);
      return values.length === 0 ? null : values.join(', ');
    },
  };
}

/** A length that a peer announced, or that it announced nonsense. */
export type AnnouncedLength = number | null | 'malformed';

/** Reads Content-Length; null when there is none. Repeated equal values are one (RFC 9110, section 8.6). */
export function contentLengthOf(headers: Headers): AnnouncedLength {
  const values = new Set(
    headers
      .all('content-length')
      .flatMap((value) => value.split(','))
      .map((value) => value.trim()),
  );
  if (values.size === 0) return null;
  const [value = ''] = values;
  const length = /^\d{1,16}$/.test(value) ? Number(value) : NaN;
  return values.size === 1 && Number.isSafeInteger(length) ? length : 'malformed';
}

/**
 * Whether the bytes on the wire are those of the content itself. Peers are asked for identity; anything else is wrong,
 * because digests, lengths and ranges are those of the content.
 */
export function isIdentityEncoded(headers: Headers): boolean {
  const codings = (name: string): readonly string[] =>
    headers
      .all(name)
      .flatMap((value) => value.split(','))
      .map((value) => value.trim().toLowerCase())
      .filter((value) => value !== '');
  return (
    codings('content-encoding').every((coding) => coding === 'identity') &&
    // A body compressed for the transfer arrives compressed: the parser takes off `chunked` alone.
    codings('transfer-encoding').every((coding) => coding === 'chunked' || coding === 'identity')
  );
}
