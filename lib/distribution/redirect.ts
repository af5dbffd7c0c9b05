import type { Evidence } from '../vocabulary/evidence.js';
import type { Headers } from './headers.js';

/** Redirects followed for one request; registries use one, some storage a second. */
export const maxRedirects = 5;

/** Where a redirect leads, or why it must not be followed. */
export type RedirectTarget =
  { readonly url: URL } | { readonly refused: Extract<Evidence, { kind: 'redirect' }>['code'] };

/** Whether the answer is a redirect that a GET or HEAD follows with the same method. */
export function isRedirect(status: number): boolean {
  return status === 301 || status === 302 || status === 303 || status === 307 || status === 308;
}

/**
 * Reads Location, which may be relative to the URL asked for (RFC 9110, section 10.2.2). Never leads from https to
 * http, to another scheme, or to a URL with a user in it.
 */
export function redirectTarget(from: URL, headers: Headers): RedirectTarget {
  const locations = headers.all('location');
  const [location] = locations;
  if (location === undefined || location === '' || locations.length > 1) return { refused: 'redirect-malformed' };
  let url: URL;
  try {
    url = new URL(asUtf8(location), from);
  } catch {
    return { refused: 'redirect-malformed' };
  }
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return { refused: 'redirect-malformed' };
  if (url.username !== '' || url.password !== '' || url.hostname === '') return { refused: 'redirect-malformed' };
  if (from.protocol === 'https:' && url.protocol === 'http:') return { refused: 'redirect-downgrade' };
  url.hash = '';
  return { url };
}

/** A header arrives as Latin-1; who writes other letters into a URL without encoding them means UTF-8. */
function asUtf8(text: string): string {
  const decoded = Buffer.from(text, 'latin1').toString('utf8');
  return decoded.includes('\ufffd') ? text : decoded;
}
