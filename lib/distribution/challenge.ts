import type { AddressZone } from './address-zone.js';
import type { Headers } from './headers.js';

/** One challenge of WWW-Authenticate. */
export interface Challenge {
  /** Lower case. */
  readonly scheme: string;
  /** Names in lower case. */
  readonly params: ReadonlyMap<string, string>;
}

/** What a registry wants, of the two ways that registries have. */
export type WantedAuth =
  | { readonly kind: 'bearer'; readonly realm: string; readonly service: string | null; readonly scope: string | null }
  | { readonly kind: 'basic' };

/** What a registry wants, and where the answer that said so came from. */
export interface RememberedChallenge {
  readonly wanted: WantedAuth;
  readonly zone: AddressZone;
}

/** Far more than any registry sends; a parser's time must not be a peer's to spend. */
const maxValueLength = 8 * 1024;
const maxChallenges = 16;

/**
 * Chooses what to do about a 401: Bearer before Basic, whatever their order. Null when it offers neither, `malformed`
 * when a part that might have said so cannot be read.
 */
export function wantedAuth(headers: Headers): WantedAuth | 'malformed' | null {
  let malformed = false;
  const challenges: Challenge[] = [];
  for (const value of headers.all('www-authenticate')) {
    const parsed = parseChallenges(value);
    if (parsed === null) malformed = true;
    else challenges.push(...parsed);
  }
  for (const { scheme, params } of challenges) {
    if (scheme !== 'bearer') continue;
    const realm = params.get('realm');
    if (realm === undefined || realm === '') malformed = true;
    else return { kind: 'bearer', realm, service: params.get('service') ?? null, scope: params.get('scope') ?? null };
  }
  if (challenges.some(({ scheme }) => scheme === 'basic')) return { kind: 'basic' };
  return malformed ? 'malformed' : null;
}

/** Lexical rules of RFC 9110: token, token68, optional whitespace. Sticky, so that each starts where the last ended. */
const token = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+/y;
const token68 = /[A-Za-z0-9\-._~+/]+=*(?=[ \t]*(?:,|$))/y;
const separators = /[ \t]*(?:,[ \t]*)*/y;
const spaces = /[ \t]*/y;
const equals = /[ \t]*=[ \t]*/y;
const quoted = /"((?:[^"\\]|\\[\s\S])*)"/y;
const paramAhead = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+[ \t]*=/y;

/**
 * Parses the value of one WWW-Authenticate field, which may hold several challenges (RFC 9110, section 11.6.1);
 * null when it is malformed. Never throws.
 */
export function parseChallenges(value: string): readonly Challenge[] | null {
  if (value.length > maxValueLength) return null;
  let at = 0;
  const read = (pattern: RegExp): string | null => {
    pattern.lastIndex = at;
    const match = pattern.exec(value);
    if (match === null) return null;
    at = pattern.lastIndex;
    return match[1] ?? match[0];
  };
  const ahead = (pattern: RegExp): boolean => {
    pattern.lastIndex = at;
    return pattern.test(value);
  };

  const challenges: Challenge[] = [];
  read(separators);
  while (at < value.length) {
    if (challenges.length === maxChallenges) return null;
    const scheme = read(token);
    if (scheme === null) return null;
    const params = new Map<string, string>();
    challenges.push({ scheme: scheme.toLowerCase(), params });

    const gap = read(spaces);
    if (at === value.length) break;
    if (value[at] === ',') {
      read(separators);
      continue;
    }
    // Without a space the scheme itself was cut short by something that no scheme may contain.
    if (gap === null || gap === '') return null;
    if (read(token68) !== null) {
      read(separators);
      continue;
    }
    do {
      const name = read(token)?.toLowerCase();
      if (name === undefined || read(equals) === null || params.has(name)) return null;
      const bare = value[at] === '"' ? read(quoted)?.replace(/\\([\s\S])/g, '$1') : read(token);
      if (bare === undefined || bare === null) return null;
      params.set(name, bare);
      read(spaces);
      if (at < value.length && value[at] !== ',') return null;
      read(separators);
    } while (at < value.length && ahead(paramAhead));
  }
  return challenges;
}
