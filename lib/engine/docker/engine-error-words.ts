/** Of what an engine says, so much is looked at: the rest is somebody's page. */
const maxLookedAt = 8_192;

/** A status as engines write it before a peer's own words. */
const beforeStatus: string = [
  // Docker's classic store, and Podman.
  'unexpected HTTP status: ',
  'error parsing HTTP ',
  'invalid status code from registry ',
  'StatusCode: ',
  // The containerd store.
  String.raw`unexpected status(?: code| from \w+ request to) \S+: `,
  '^HTTP ',
].join('|');

/** Matches an answer with one of these statuses, three digits as a regular expression, and names it `status`. */
export function answerOf(digits: string): RegExp {
  return new RegExp(`(?:${beforeStatus})(?<status>${digits})\\b`, 'i');
}

/** What stands before words that a registry chose: its status line, its error body, the message of its error code. */
const beforePeersWords: RegExp = new RegExp(
  [
    `(?:${beforeStatus})\\d{3}\\b`,
    ' - Server message: ',
    'error from registry: ',
    // `denied: …`, but not `permission denied: …`.
    String.raw`(?:^|: |\n)(?:unauthorized|denied|unknown|unsupported|toomanyrequests|unavailable)(?:: |$)`,
    String.raw`(?:manifest|name|blob) (?:unknown|invalid)(?: to registry)?(?:: |$)`,
  ].join('|'),
  'i',
);

/** What an engine said, told apart by who chose the words. */
export interface EngineWords {
  /** Its own words, up to and with what introduces a peer's: a status, an error code. */
  readonly own: string;
  readonly all: string;
}

/**
 * Tells the words of an engine from those of the registry that it repeats. A registry whose own disk is full must not
 * pass for this host's, nor may it end a pull by saying so.
 */
export function splitWords(text: string): EngineWords {
  // Newer engines put the name of a class without a meaning before it all.
  const all = text.slice(0, maxLookedAt).replace(/^unknown: (?=failed to (?:resolve reference|copy)\b)/, '');
  const found = beforePeersWords.exec(all);
  return { own: found === null ? all : all.slice(0, found.index + found[0].length), all };
}
