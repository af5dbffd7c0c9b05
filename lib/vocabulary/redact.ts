const hidden = '***';

/** Query keys that never carry a secret; every other value of a query is hidden. */
const openQueryKeys = new Set(['service', 'scope', 'ns', 'n', 'last', 'account', 'client_id', 'digest']);

/**
 * Returns the URL as it may be shown: without user and password, and with every query value hidden
 * whose key is not known to be harmless. Signed URLs lose their signature, whatever its key is called.
 * Text that is not a URL is hidden whole.
 */
export function redactUrl(url: string | URL): string {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    return hidden;
  }
  const query: string[] = [];
  for (const [key, value] of parsed.searchParams) {
    query.push(`${encodeURIComponent(key)}=${openQueryKeys.has(key) ? encodeURIComponent(value) : hidden}`);
  }
  return `${parsed.protocol}//${parsed.host}${parsed.pathname}${query.length > 0 ? `?${query.join('&')}` : ''}`;
}

const urlInText = /\b[a-z][a-z0-9+.-]*:\/\/[^\s"'<>\\)\]}]+/gi;
const authorization = /\b(basic|bearer)(\s+)[A-Za-z0-9+/=_.~-]{6,}/gi;
const secretField =
  /(["']?(?:access_token|refresh_token|id_token|identitytoken|registrytoken|token|password|passwd|secret|signature|authorization|x-amz-signature|x-amz-security-token|x-amz-credential|sig)["']?\s*[:=]\s*)("[^"]*"|'[^']*'|[^\s,;&"'}]+)/gi;

/** The longest text of a peer that is ever repeated, in characters. */
const maxTextLength = 400;

/**
 * Returns text that came from a peer, or from an error of a library, as it may be shown:
 * URLs redacted, credentials and tokens hidden, control characters replaced, shortened to 400 characters.
 */
export function redactText(text: string): string {
  const cut = text.length > maxTextLength * 4 ? text.slice(0, maxTextLength * 4) : text;
  const clean = cut
    .replace(urlInText, (url) => redactUrl(url))
    .replace(authorization, `$1$2${hidden}`)
    .replace(secretField, `$1${hidden}`)
    // A peer's text must not move the cursor of a terminal or break a log line.
    // oxlint-disable-next-line no-control-regex
    .replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ');
  return clean.length > maxTextLength ? `${clean.slice(0, maxTextLength)}…` : clean;
}
