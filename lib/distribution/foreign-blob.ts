import type { Registry } from '../registries/registry.js';
import { guardOfAnswer } from './address-guard.js';
import { zoneOfHost } from './address-zone.js';
import type { ConnectionSlots } from './connection-slots.js';
import type { FirstByteLimit } from './first-byte-limit.js';
import { sendFollowing } from './follow.js';
import { attemptBlob, type BlobAnswer, type WantedBlob } from './open-blob.js';
import { statusError } from './status-error.js';
import { ledIdentity } from './tls-identity.js';
import type { Transport } from './transport.js';
import { userAgent } from './user-agent.js';
import { ExchangeError } from './wire-error.js';

/** A blob that the registry lacks, and the other places its descriptor names. */
export interface ForeignBlob extends WantedBlob {
  readonly pullId: string;
  readonly urls: readonly string[];
  readonly registry: Registry;
}

/** Whether the registry itself said that it does not have it. */
export function isMissing(error: unknown): boolean {
  if (!(error instanceof ExchangeError) || error.phase !== 'layers') return false;
  const { evidence } = error;
  return evidence.kind === 'status' && evidence.from === 'registry' && evidence.status === 404;
}

/**
 * Opens a blob at the first of its foreign URLs that has it. Whoever pushed the image has named them, so no credentials
 * go there, a challenge is not answered (CVE-2020-15157), and a public registry's image leads to no private address.
 *
 * @returns null when none of them has it
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.0/descriptor.md#properties
 */
export async function openForeignBlob(
  transport: Transport,
  slots: ConnectionSlots,
  limit: FirstByteLimit,
  blob: ForeignBlob,
): Promise<BlobAnswer | null> {
  for (const url of blob.urls.flatMap((text) => foreignUrl(text, blob.registry) ?? [])) {
    try {
      return await openAt(url, transport, slots, limit, blob);
    } catch (error) {
      if (limit.signal.aborted || !(error instanceof ExchangeError)) throw error;
    }
  }
  return null;
}

/** Null for what is never asked: another scheme than the registry's own or a safer one, or a URL with a user in it. */
function foreignUrl(text: string, registry: Registry): URL | null {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    return null;
  }
  const isPlainAllowed = registry.baseUrl.startsWith('http:');
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isPlainAllowed)) return null;
  if (url.username !== '' || url.password !== '' || url.hostname === '') return null;
  url.hash = '';
  return url;
}

async function openAt(
  url: URL,
  transport: Transport,
  slots: ConnectionSlots,
  limit: FirstByteLimit,
  blob: ForeignBlob,
): Promise<BlobAnswer> {
  const { registry } = blob;
  const tls = ledIdentity(registry.tls);
  const zone = zoneOfHost(new URL(registry.baseUrl).hostname) ?? (registry.isPrivate ? 'private' : 'public');
  const outcome = await attemptBlob(blob, slots, limit, null, (headers) =>
    sendFollowing(transport, {
      url,
      method: 'GET',
      headers: { accept: '*/*', 'accept-encoding': 'identity', 'user-agent': userAgent, ...headers },
      authorization: null,
      tls,
      ledTls: tls,
      guard: guardOfAnswer(zone),
      isPrivate: registry.isPrivate,
      answerer: 'registry',
      phase: 'layers',
      pullId: blob.pullId,
      signal: limit.signal,
      progress: limit.progress,
    }),
  );
  if ('done' in outcome) return outcome.done;
  const { status, headers, body } = outcome.denied;
  throw statusError({ status, headers, from: 'storage', phase: 'layers', body });
}
