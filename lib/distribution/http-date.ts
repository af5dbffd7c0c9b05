/** The three forms of an HTTP date (RFC 9110, section 5.6.7); `Date.parse` alone accepts far more than dates. */
const httpDate =
  /^(?:[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT|[A-Z][a-z]+day, \d{2}-[A-Z][a-z]{2}-\d{2} \d{2}:\d{2}:\d{2} GMT|[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d{2}:\d{2}:\d{2} \d{4})$/;

/** Reads an HTTP date: milliseconds since the epoch, or null when it is none. */
export function parseHttpDate(value: string): number | null {
  if (!httpDate.test(value)) return null;
  // The oldest form names no zone, and means GMT as well.
  const parsed = Date.parse(value.endsWith('GMT') ? value : `${value} GMT`);
  return Number.isNaN(parsed) ? null : parsed;
}
