import { epochMs } from '../clock/time.js';
import type { Headers } from './headers.js';
import { parseHttpDate } from './http-date.js';

/** How a storage writes into a signed URL when it expires, from the query with its keys in lower case. */
type StatedExpiry = (query: ReadonlyMap<string, string>, nowMs: number) => number | null;

/** A date that cannot be read means the moment at which the URL came. */
function signedFor(dateKey: string, secondsKey: string): StatedExpiry {
  return (query, nowMs) => {
    const seconds = secondsIn(query.get(secondsKey));
    if (seconds === null) return null;
    return (compactDate(query.get(dateKey)) ?? nowMs) + seconds * 1_000;
  };
}

/**
 * S3 and what speaks like it; Google's storage; CloudFront and the older signatures of S3 and Google; Azure.
 *
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
 * @see https://cloud.google.com/storage/docs/authentication/canonical-requests
 * @see https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-creating-signed-url-canned-policy.html
 * @see https://learn.microsoft.com/rest/api/storageservices/create-service-sas
 */
const statedExpiries: readonly StatedExpiry[] = [
  signedFor('x-amz-date', 'x-amz-expires'),
  signedFor('x-goog-date', 'x-goog-expires'),
  (query) => {
    const seconds = secondsIn(query.get('expires'));
    return seconds === null ? null : seconds * 1_000;
  },
  (query) => isoDate(query.get('se')),
];

/** Registries sign for 5 minutes to some hours; what says nothing, or is withdrawn, is not asked for longer. */
const maxLifeMs = 5 * 60_000;

/** A request takes time to arrive, and clocks of one service differ. */
const marginMs = 10_000;

/**
 * Milliseconds for which a URL that an answer redirects to may be asked again. Its own expiry is read by the clock of
 * that answer (its Date), for ours may be wrong. What lives for less than twice the margin is used for half of its life.
 */
export function targetLifeMs(url: URL, headers: Headers): number {
  const nowMs = parseHttpDate(headers.all('date')[0]?.trim() ?? '') ?? epochMs();
  const query = new Map([...url.searchParams].map(([key, value]) => [key.toLowerCase(), value]));
  const lives = statedExpiries
    .map((stated) => stated(query, nowMs))
    .filter((atMs) => atMs !== null)
    .map((atMs) => atMs - nowMs);
  const lifeMs = Math.min(maxLifeMs + marginMs, ...lives);
  return Math.max(lifeMs - marginMs, lifeMs / 2, 0);
}

function secondsIn(text: string | undefined): number | null {
  return text !== undefined && /^\d{1,12}$/.test(text) ? Number(text) : null;
}

/** `20170726T182000Z` */
function compactDate(text: string | undefined): number | null {
  const match = /^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})Z$/.exec(text ?? '');
  if (match === null) return null;
  const [, year, month, day, hour, minute, second] = match;
  return parsedDate(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
}

/** `2017-07-26T18:20:00Z`; its seconds, and its whole time, may be left out. */
function isoDate(text: string | undefined): number | null {
  return text !== undefined && /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,7})?)?Z)?$/.test(text)
    ? parsedDate(text)
    : null;
}

function parsedDate(text: string): number | null {
  const atMs = Date.parse(text);
  return Number.isNaN(atMs) ? null : atMs;
}
