/**
 * What an engine's failure is about, before anybody draws a conclusion from it.
 *
 * - `caller`: the request itself is wrong: a name, a header
 * - `disk`: the engine's disk is full or broken, or it has no memory or descriptors left
 * - `daemon`: the engine, or a part of it, failed or went away
 * - `unreachable`: nobody answers at the engine's address, or we may not talk to it
 * - `integrity`: the bytes it got are not those that their digest says
 * - `platform`, `type`: the image is not for this platform, or not an image
 * - `rate-limit`, `registry-noise`, `denied`, `missing`, `tls`, `network`, `server`: what the registry did that it pulled
 *   from; noise is a page of a CDN or a firewall in place of an answer
 * - `cancelled`: whoever had asked for the same bytes went away
 * - `extract`: it could not unpack bytes that were right
 * - `unknown`: none of these
 */
export type EngineFault =
  | 'caller'
  | 'disk'
  | 'daemon'
  | 'unreachable'
  | 'integrity'
  | 'platform'
  | 'type'
  | 'rate-limit'
  | 'registry-noise'
  | 'denied'
  | 'missing'
  | 'tls'
  | 'network'
  | 'server'
  | 'cancelled'
  | 'extract'
  | 'unknown';

/** Texts that mean one fault. */
export interface EngineErrorRow {
  readonly fault: EngineFault;
  readonly says: RegExp;
  /** Has to be in the text as well. */
  readonly and?: RegExp;
}

/**
 * What engines say, over their versions and stores; the first row that matches wins, so the order is part of the table.
 * A text often holds several layers of wrapping and a peer's own words, and its status says little: Docker answers 500
 * for nearly everything, and 404 for what a firewall denied.
 */
export const engineErrorTable: readonly EngineErrorRow[] = [
  {
    fault: 'caller',
    says: /invalid reference format|invalid tag format|repository name must |unknown operating system or architecture|'scratch' is a reserved name|invalid checksum digest|normalizing image|failed to parse "X-Registry-Auth"|cannot use the multiple credential sources|no Host in request URL/i,
  },
  {
    fault: 'disk',
    says: /no space left on device|disk quota exceeded|read-only file system|too many open files|cannot allocate memory|input\/output error/i,
  },
  {
    fault: 'disk',
    says: /permission denied/i,
    and: /GetImageBlob|failed to register layer|failed to extract layer|failed to send write|ingest\/|storing blob to file|adding layer|mount callback failed|unpacking failed|failed to prepare extraction snapshot/i,
  },
  {
    fault: 'extract',
    says: /invalid tar header|failed to (?:register|extract) layer|error processing tar file|adding layer with blob|unsupported compression|magic number mismatch/i,
  },
  {
    fault: 'daemon',
    says: /failed to send write: EOF|transport is closing|error reading from server|unknown service containerd|lease .*not found|\bgrpc\b|containerd.*(?:connection refused|\.sock)/i,
  },
  {
    fault: 'integrity',
    says: /filesystem layer verification failed|image config verification failed|manifest verification failed|layers from manifest don't match|unexpected commit digest|wrong diff id|short read: expected|failed to read expected number of bytes|Digest did not match|does not match expected sha256|Manifest does not match provided manifest digest|does not match config's DiffID/i,
  },
  {
    fault: 'platform',
    says: /no matching manifest for|no match for platform in manifest|no image found in (?:image index|manifest list) for architecture|cannot download image with operating system|image operating system .* cannot be used/i,
  },
  {
    fault: 'type',
    says: /unsupported media type|Encountered remote .* when fetching|unsupported manifest format|unsupported image-specific operation on artifact|DEPRECATION NOTICE|schema 1 support has been removed|is no longer supported since containerd/i,
  },
  {
    fault: 'rate-limit',
    says: /toomanyrequests|too many requests|HTTP 429|pull rate limit|increase-rate-limit|rate exceeded|retry-after: \S+, allowed:/i,
  },
  {
    fault: 'registry-noise',
    says: /(?:denied|unknown): <|invalid character '<'|\(text\/html\) from remote/i,
  },
  {
    fault: 'denied',
    says: /pull access denied|access to the resource is denied|no basic auth credentials|unauthorized|authentication required|\b40[13] (?:Unauthorized|Forbidden)|(?:invalid|incorrect) username|\bdenied\b/i,
  },
  {
    fault: 'missing',
    says: /manifest unknown|manifest for .* not found|name unknown|repository .* not found|: not found$|404 (?:page )?not found|HTTP 404|unknown blob|blob unknown|could not fetch content descriptor/i,
  },
  {
    fault: 'tls',
    says: /x509:|\btls:|HTTP response to HTTPS client|does not look like a TLS handshake|TLS handshake/i,
  },
  {
    fault: 'network',
    says: /connection refused|no such host|server misbehaving|name resolution|i\/o timeout|Client\.Timeout|context deadline exceeded|timeout awaiting|\bEOF\b|connection reset|broken pipe|no route to host|network is unreachable|proxyconnect/i,
  },
  {
    fault: 'server',
    says: /unexpected HTTP status: 5|unexpected status (?:code|from).*: 5\d\d|invalid status code from registry 5|HTTP status:? (?:408|451)|: (?:408|451)\b/i,
  },
  {
    fault: 'cancelled',
    says: /context canceled|layer registration cancelled|download cancelled/i,
  },
];

/** Of a text that somebody else wrote, so much is searched. */
const maxSearched = 8_192;

/** What a text of an engine is about. */
export function faultOfText(text: string): EngineFault {
  const searched = text.slice(0, maxSearched);
  const row = engineErrorTable.find((each) => each.says.test(searched) && (each.and?.test(searched) ?? true));
  return row?.fault ?? 'unknown';
}
