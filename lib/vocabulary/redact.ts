const hidden = '***';

/**
 * Query keys whose values are never secret and say what was asked for; every other value of a query is hidden.
 * A list of what is harmless, because storages and CDNs call their signatures what they like.
 */
const openQueryKeys = new Set(['service', 'scope', 'ns', 'n', 'last', 'client_id', 'digest']);

/** The longest text of a peer that is ever repeated, in characters. */
const maxTextLength = 400;

/** What is looked at of a longer text: the expressions below take quadratic time where a peer wants them to. */
const maxLookedAt = maxTextLength * 4;

/** Parameters of one query that are shown; a signed URL has about ten. */
const maxParameters = 20;

/** A key that can be shown; anything else in its place may itself be the secret (`?<token>`). */
const plainKey = /^[A-Za-z][\w.-]{0,39}$/;

/** Secrets that are known by their looks: a JSON Web Token, tokens of GitHub, GitLab and Docker, an AWS key id. */
const tokenByLooks =
  /eyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)*|\b(?:gh[a-z]_|github_pat_|gl[a-z]{2,8}-|dckr_[a-z]+_)[\w-]{16,}|\b(?:AKIA|ASIA)[A-Z0-9]{12,}/g;

/**
 * Returns the URL as it may be shown: scheme, host, path and the query's keys. User, password and fragment are gone;
 * every query value is hidden whose key is not known to be harmless, so signed URLs lose their signature, whatever its
 * key is called. Text that is not a URL with a host is hidden whole, but for the socket of an engine on this machine.
 *
 * A secret in the path is hidden where it can be told from a name: tokens known by their looks, and `key=value`.
 */
export function redactUrl(url: string | URL): string {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    return hidden;
  }
  if (parsed.host === '') {
    return localSocket.test(parsed.protocol)
      ? shorten(`${parsed.protocol}//${redactPath(parsed.pathname)}`)
      : `${parsed.protocol}${hidden}`;
  }
  return shorten(`${parsed.protocol}//${parsed.host}${redactPath(parsed.pathname)}${redactQuery(parsed.search)}`);
}

/** Where such a URL leads is a file, and nobody logs in there. */
const localSocket = /^(?:unix|npipe):$/;

function redactPath(path: string): string {
  // A password with a slash in it ends up here: `https://user:1/23@host/`.
  if (path.includes('@')) return `/${hidden}`;
  return path
    .slice(0, maxLookedAt)
    .replace(tokenByLooks, hidden)
    .replace(/=[^/;~&]*/g, `=${hidden}`);
}

/** @param query with its question mark, or empty */
function redactQuery(query: string): string {
  const parameters = [...new URLSearchParams(query.slice(0, maxLookedAt))];
  if (parameters.length === 0) return '';
  const shown = parameters.slice(0, maxParameters).map(([key, value]) => {
    if (openQueryKeys.has(key)) return `${key}=${encodeValue(value.replace(tokenByLooks, hidden))}`;
    return plainKey.test(key) && value !== '' ? `${key.replace(tokenByLooks, hidden)}=${hidden}` : hidden;
  });
  return `?${shown.join('&')}${parameters.length > maxParameters ? '&…' : ''}`;
}

/** As a person reads a scope: `repository:library/redis:pull`. */
function encodeValue(value: string): string {
  return encodeURIComponent(value).replace(/%(?:3A|2F|2C)/g, decodeURIComponent);
}

/** Also as it stands in JSON, where Go writes `\u0026` for `&` and others `\/` for a slash. */
const urlInText = /\b[a-z][a-z0-9+.-]{0,30}:(?:\\?\/){2}(?:[^\s"<>`\\]|\\[/u])+/gi;
const queryInText = /\?(?=[\w.~%+-]{1,60}=)(?:[^\s"<>`\\]|\\[/u])+/g;
const afterUrl = /[)\]}.,;:!?'\\]+$/;

function redactUrlInText(found: string): string {
  const length = found.length - (afterUrl.exec(found)?.[0].length ?? 0);
  // The bracket that ends an IPv6 address belongs to it: `http://[::1]`.
  const end = found[length] === ']' && !URL.canParse(found.slice(0, length)) ? length + 1 : length;
  return redactUrl(unescapeJson(found.slice(0, end))) + found.slice(end);
}

function unescapeJson(text: string): string {
  return text
    .replace(/\\\//g, '/')
    .replace(/\\u([0-9a-f]{4})/gi, (_escape, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

/** `user:password@host` without a scheme; not the `name:tag@sha256:…` of an image. */
const userInfo = /[^\s/@:"'=,;<>()]{1,256}:[^\s/@"'<>]{1,256}@(?!sha(?:256|512):)(?=[\w[])/gi;

/** What follows the name of a scheme in a header, unless it is the word with which a sentence goes on. */
const authorization =
  /(basic|bearer|negotiate)(\s+)(?!(?:auth\w*|credentials?|challenge|scheme|tokens?|realm|error|service|scope)\b)[\w+/=.~-]{6,}/gi;

const secretWords =
  'token|passw(?:or)?d|passphrase|pwd|secret|signature|credential|(?:api|access|private|account)[-_]?key|hmac|session';
const secretField = new RegExp(
  [
    String.raw`(?<key>\b(?:[\w-]{0,40}?(?:${secretWords})[\w-]{0,40}|(?:auth|sig|pass)(?![\w-])))`,
    String.raw`(?<sign>(?:\\{0,3}["'])?\s{0,4}[:=]\s{0,4})`,
    // A string (also of JSON within JSON, where its quotes are escaped), a list, an object, or up to the next separator.
    String.raw`(?:(?<quote>\\{0,3}["'])(?:(?!\k<quote>)(?:\\[^]|[^]))*(?:\k<quote>)?|\[[^\]]*\]?|\{[^}]*\}?|[^\s,;&"'}\\]+)`,
  ].join(''),
  'gi',
);

/** As object storages answer: S3 repeats the signature, the token and all that was signed. */
const secretElement = new RegExp(
  String.raw`(<[\w:.-]{0,40}?(?:${secretWords}|sign|canonical|authentication)[\w:.-]{0,40}>)[^<]*`,
  'gi',
);

/** These headers have several parts, each of which may be the secret. */
const secretHeader =
  /\b((?:proxy-)?authorization|(?:set-)?cookie|x-registry-(?:auth|config))(\\?["']?\s{0,4}[:=]\s{0,4})[^\r\n]+/gi;

// A peer's text must not move the cursor of a terminal, break a log line or turn the reading direction around.
// oxlint-disable-next-line no-control-regex
const unprintable = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]+/g;

/**
 * Returns text that came from a peer, or from an error of a library, as it may be shown: URLs redacted, credentials
 * and tokens hidden, control characters replaced by a space, shortened to 400 characters.
 *
 * A secret is found by where it stands (a URL, a header, a field of JSON or of a form) or by its looks. One that
 * stands alone in a sentence and looks like any other word is not: never put one into a message.
 */
export function redactText(text: string): string {
  return shorten(
    text
      .slice(0, maxLookedAt)
      .replace(urlInText, redactUrlInText)
      .replace(queryInText, (query) => redactQuery(unescapeJson(query)))
      .replace(userInfo, `${hidden}@`)
      .replace(secretHeader, `$1$2${hidden}`)
      .replace(authorization, `$1$2${hidden}`)
      .replace(secretField, `$<key>$<sign>${hidden}`)
      .replace(secretElement, `$1${hidden}`)
      .replace(tokenByLooks, hidden)
      .replace(unprintable, ' '),
  );
}

function shorten(text: string): string {
  if (text.length <= maxTextLength) return text;
  // Half of a surrogate pair is no character.
  return `${text.slice(0, maxTextLength).replace(/[\ud800-\udbff]$/, '')}…`;
}
