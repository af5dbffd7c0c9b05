import type { Evidence } from '../../vocabulary/evidence.js';
import type { EngineErrorRow, EngineFault } from './engine-error-row.js';
import { answerOf, splitWords } from './engine-error-words.js';

export type { EngineErrorRow, EngineFault } from './engine-error-row.js';

const answered =
  (...specCodes: readonly string[]): ((status: number) => Evidence) =>
  (status) => ({ kind: 'status', status, from: 'registry', specCodes });
const answer = (status: number, ...specCodes: readonly string[]): Evidence => answered(...specCodes)(status);
const fromStorage = (status: number): Evidence => ({ kind: 'status', status, from: 'storage', specCodes: [] });
const fromTokens = (status: number): Evidence => ({ kind: 'status', status, from: 'token-service', specCodes: [] });
const sent = (code: Extract<Evidence, { kind: 'content' }>['code']): Evidence => ({
  kind: 'content',
  code,
  from: 'registry',
});
const lost = (code: Extract<Evidence, { kind: 'connection' }>['code']): Evidence => ({
  kind: 'connection',
  code,
  reused: false,
  bytes: 0,
  lateMs: 0,
});

/** What is local, whatever else the text says; and what is wrong with the request. */
const localRows: readonly EngineErrorRow[] = [
  // A proxy before the engine, which lets some requests through; engines answer with JSON.
  {
    fault: 'unreachable',
    says: /^it answered \d{3}\b|^authorization denied by plugin|HTTP request to an HTTPS server/i,
  },
  {
    fault: 'caller',
    says: /invalid reference format|invalid tag format|repository name must |invalid checksum digest|no Host in request URL|cannot import digest reference|refusing to create a tag with a digest/i,
  },
  {
    fault: 'caller',
    says: /unknown operating system or architecture|cannot parse platform specifier|'scratch' is a reserved name/i,
  },
  {
    fault: 'caller',
    says: /normalizing image|failed to parse "X-Registry-Auth"|cannot use the multiple credential sources/i,
  },
  { fault: 'missing', says: /\bno such image\b|\bimage not known\b|reference does not exist/i },

  { fault: 'disk', errno: 'ENOSPC', says: /no space left on device/i },
  { fault: 'disk', errno: 'EDQUOT', says: /disk quota exceeded/i },
  { fault: 'disk', errno: 'EROFS', says: /read-only file system/i },
  { fault: 'disk', errno: 'EIO', says: /: input\/output error/i },
  { fault: 'disk', errno: 'EMFILE', says: /too many open files/i },
  { fault: 'disk', errno: 'ENOMEM', says: /cannot allocate memory/i },
  {
    fault: 'disk',
    errno: 'EACCES',
    says: /permission denied/i,
    and: /GetImageBlob|failed to (?:register|extract) layer|failed to send write|\bingest\/|storing blob to file|adding layer|mount callback failed|unpacking failed|failed to (?:unpack|prepare extraction)/i,
  },

  // The end of a connection to a part of the engine reads like that of one to a registry.
  {
    fault: 'daemon',
    says: /failed to send write: EOF|transport is closing|error reading from server|rpc error: code = Unavailable|\bgrpc: |unknown service containerd|\blease "?[\w-]+"?: not found|dial unix |containerd\S*\.sock/i,
  },

  // What it had begun when it was killed is in the way until its containerd has collected it (seen with 26.1.5).
  { fault: 'cancelled', says: /failed to rename: rename \S*\/snapshots\/new-\S+ \S+: file exists/i },
  {
    fault: 'extract',
    says: /invalid tar header|failed to (?:register|extract) layer|failed to unpack image|failed to prepare extraction|error processing tar file|processing tar file\(|unsupported compression|magic number mismatch/i,
  },
  // Every layer and the config had their digests: so the image was built wrong, or it is compressed in a way that is too new.
  {
    fault: 'extract',
    says: /layers from manifest don't match image configuration|wrong diff id|does not match config's DiffID|invalid diffID for layer|mismatched image rootfs|that ID is already in use/i,
  },
  // Archives that it was sent.
  {
    fault: 'extract',
    says: /payload does not match any of the supported image formats|\bdocker-import-\d+|invalid manifest, layers length mismatch|unrecognized image format/i,
  },
];

/** What a registry sent that is not what was asked for. */
const contentRows: readonly EngineErrorRow[] = [
  {
    fault: 'integrity',
    says: /filesystem layer verification failed|image config verification failed|manifest verification failed|unexpected commit digest|Digest did not match|does not match expected sha\d|does not match provided manifest digest/i,
    registry: sent('digest-mismatch'),
  },
  { fault: 'integrity', says: /failed size validation/i, registry: sent('length-mismatch') },
  {
    fault: 'platform',
    says: /no matching manifest for|no match for platform in manifest|no image found in (?:image index|manifest list) for architecture|cannot download image with operating system|image operating system .* cannot be used|was found but does not match the specified platform/i,
    registry: { kind: 'image', code: 'platform-missing' },
  },
  {
    fault: 'registry-noise',
    says: /\(text\/html[^)]*\) from remote: not found|invalid character '.{1,4}' (?:looking for|in|after)|unexpected end of JSON input/i,
    and: /^(?!.*response body)/i,
    registry: sent('malformed-json'),
  },
  {
    fault: 'registry-noise',
    says: /exceeded maximum allowed size|rejecting \d+ byte manifest/i,
    registry: sent('too-large'),
  },
  {
    fault: 'type',
    says: /unsupported media type|Encountered remote .* when fetching|unsupported manifest format|unsupported image-specific operation on artifact|\[DEPRECATION NOTICE\]|schema 1 support has been removed|is no longer supported since containerd|reports content size of zero/i,
    registry: { kind: 'image', code: 'image-unsupported' },
  },
];

/** Not the word alone: an image may be called `token`. */
const tokenRequest = /failed to authorize|(?:bearer|auth) token\b/i;

/** What a registry, or a proxy before it, answered. */
const answerRows: readonly EngineErrorRow[] = [
  { fault: 'network', says: /: Proxy Authentication Required$/, registry: { kind: 'proxy', status: 407 } },
  {
    fault: 'rate-limit',
    says: /\btoomanyrequests\b|too many requests|rate limit|\brate exceeded|\bretry-after: \S+, allowed: /i,
    repeats: true,
    registry: answer(429, 'TOOMANYREQUESTS'),
  },
  { fault: 'rate-limit', says: answerOf('429'), registry: answered('TOOMANYREQUESTS') },

  // A signed URL that expired: the storage's XML in place of a registry's error document.
  {
    fault: 'registry-noise',
    says: /\b(?:denied: |HTTP (?<status>403) response body: .*")<(?:\?xml|Error)/i,
    repeats: true,
    registry: fromStorage(403),
  },
  {
    fault: 'registry-noise',
    says: answerOf('40[13]'),
    and: /httpReadSeeker|error pulling image configuration|download failed after|fetching blob/i,
    registry: fromStorage,
  },
  // A page of a firewall or a portal.
  {
    fault: 'registry-noise',
    says: /HTTP (?<status>4\d\d) response body: invalid character '<'/i,
    repeats: true,
    registry: answered(),
  },
  { fault: 'registry-noise', says: /(?:^|: )denied: </i, repeats: true, registry: answer(403) },
  { fault: 'registry-noise', says: /(?:^|: )unknown: </i, repeats: true, registry: answer(400) },

  { fault: 'server', says: answerOf(String.raw`5\d\d`), and: tokenRequest, registry: fromTokens },
  { fault: 'server', says: answerOf(String.raw`5\d\d`), registry: answered() },
  { fault: 'denied', says: answerOf('40[13]'), and: tokenRequest, registry: fromTokens },
  { fault: 'denied', says: answerOf('40[13]'), registry: answered() },
  { fault: 'missing', says: answerOf('4(?:04|10)'), registry: answered() },
  { fault: 'server', says: answerOf(String.raw`4\d\d`), registry: answered() },

  // First what names an object that is missing: an image may be called `denied`.
  {
    fault: 'missing',
    says: /manifest unknown|name unknown|manifest for \S+ not found|repository \S+ not found/i,
    registry: answer(404, 'MANIFEST_UNKNOWN'),
  },
  {
    fault: 'missing',
    says: /unknown blob|blob unknown|could not fetch content descriptor/i,
    registry: answer(404, 'BLOB_UNKNOWN'),
  },
  {
    fault: 'denied',
    says: /incorrect username or password|invalid username\/password|(?:^|: |\n)unauthorized(?=: |\s*$)|authentication required|no basic auth credentials/i,
    repeats: true,
    registry: answer(401, 'UNAUTHORIZED'),
  },
  {
    fault: 'denied',
    says: /pull access denied|access to the resource is denied|(?:^|: |\n)denied(?=: |\s*$)/i,
    registry: answer(403, 'DENIED'),
  },
  {
    fault: 'denied',
    says: /error from registry: .*\b(?:denied|not authorized|forbidden)\b/i,
    repeats: true,
    registry: answer(403),
  },
  { fault: 'missing', says: /: not found$/i, registry: answer(404) },
  // One of the quick answers below 500; which one is not told.
  {
    fault: 'server',
    says: /(?:^|: )(?:unsupported|unknown|unavailable)(?:: |$)|error from registry: $/i,
    registry: answer(400),
  },
];

/** What lies between an engine and a registry. */
const wayRows: readonly EngineErrorRow[] = [
  { fault: 'network', says: /\bproxyconnect\b/i, registry: { kind: 'proxy' } },
  {
    fault: 'tls',
    says: /certificate has expired or is not yet valid/i,
    registry: { kind: 'tls', code: 'CERT_HAS_EXPIRED' },
  },
  {
    fault: 'tls',
    says: /signed by unknown authority/i,
    registry: { kind: 'tls', code: 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY' },
  },
  {
    fault: 'tls',
    says: /x509: certificate is (?:not )?valid for|x509: cannot validate certificate for/i,
    registry: { kind: 'tls', code: 'ERR_TLS_CERT_ALTNAME_INVALID' },
  },
  {
    fault: 'tls',
    says: /HTTP response to HTTPS client|does not look like a TLS handshake/i,
    registry: { kind: 'tls', code: 'ERR_SSL_WRONG_VERSION_NUMBER' },
  },
  { fault: 'network', says: /TLS handshake timeout/i, registry: lost('timed-out') },
  { fault: 'tls', says: /\bx509: |\btls: /i, registry: { kind: 'tls', code: 'ERR_SSL_HANDSHAKE_FAILURE' } },
  { fault: 'network', says: /no such host/i, registry: { kind: 'dns', code: 'not-found', scope: 'name' } },
  {
    fault: 'network',
    says: /server misbehaving|failure in name resolution|\blookup \S+ (?:on \S+)?: /i,
    registry: { kind: 'dns', code: 'failed', scope: 'name' },
  },
  { fault: 'network', says: /connection refused/i, registry: lost('refused') },
  {
    fault: 'network',
    says: /no route to host|network is unreachable|host is unreachable/i,
    registry: lost('unreachable'),
  },
  {
    fault: 'network',
    says: /i\/o timeout|Client\.Timeout exceeded|context deadline exceeded|timeout awaiting response headers|connection timed out/i,
    registry: lost('timed-out'),
  },
  { fault: 'network', says: /connection reset by peer|broken pipe/i, registry: lost('reset') },
  { fault: 'server', says: /stopped after \d+ redirects/i, registry: { kind: 'redirect', code: 'redirect-loop' } },
  {
    fault: 'network',
    says: /failed to read expected number of bytes|short read: expected|\bEOF\b/i,
    registry: lost('closed'),
  },
  { fault: 'cancelled', says: /context canceled|layer registration cancelled|download cancelled/i },
];

/**
 * What engines say, over their versions and stores; the first row that matches wins, so the order is part of the table.
 * A text often holds several layers of wrapping, and its status says little: Docker answers 500 for nearly everything,
 * and 404 for what a firewall denied.
 */
export const engineErrorTable: readonly EngineErrorRow[] = [...localRows, ...contentRows, ...answerRows, ...wayRows];

/** What is known of a text. */
export interface EngineFinding {
  readonly fault: EngineFault;
  /** What it says of the registry that was pulled from. */
  readonly registry: Evidence | null;
  /** The system error behind it: `ENOSPC`. */
  readonly errno: string | null;
  /** The row that says so; null where none does. */
  readonly row: EngineErrorRow | null;
}

/** What a text of an engine is about. */
export function findEngineError(text: string): EngineFinding {
  const words = splitWords(text);
  for (const row of engineErrorTable) {
    const found = row.says.exec(row.repeats === true ? words.all : words.own);
    if (found === null || row.and?.test(words.own) === false) continue;
    const { fault, registry = null, errno = null } = row;
    const status = Number(found.groups?.['status']);
    return { fault, registry: typeof registry === 'function' ? registry(status) : registry, errno, row };
  }
  return { fault: 'unknown', registry: null, errno: null, row: null };
}
