import type { Digest } from '../vocabulary/digest.js';
import type { Answerer } from '../vocabulary/evidence.js';
import type { Authorization } from './authorize.js';
import type { TryOutcome } from './authorized-exchange.js';
import { createBlobBody, type BlobBody } from './blob-body.js';
import type { ConnectionSlots } from './connection-slots.js';
import { discardBody } from './discard-body.js';
import { readErrorBody } from './error-body.js';
import type { FirstByteLimit } from './first-byte-limit.js';
import type { FollowedAnswer } from './follow.js';
import { isIdentityEncoded } from './headers.js';
import { promisedBytes, rangeOf, type WantedBytes } from './range.js';
import { statusError } from './status-error.js';
import { ExchangeError } from './wire-error.js';

/** The part of an answer to a blob request that a reader needs. */
export interface BlobAnswer {
  /**
   * The offset in the blob of the first byte that comes: the one asked for, or 0 where a 200 answered a request for a
   * range; then the reader skips.
   */
  readonly start: number;
  /** Bytes that come, where the answer announces it. */
  readonly length: number | null;
  /** Who sends them: the registry itself, or the storage that it redirected to. */
  readonly answerer: Exclude<Answerer, 'token-service'>;
  readonly body: BlobBody;
}

/** A blob, or a part of one. */
export interface WantedBlob extends WantedBytes {
  readonly digest: Digest;
  readonly firstByteMs: number;
  readonly onConnection?: (holds: boolean) => void;
}

/**
 * Sends a blob request once, and waits for the first byte of a good answer.
 *
 * @param onBodyFailed is told when the body of a good answer fails
 */
export async function attemptBlob(
  wanted: WantedBlob,
  slots: ConnectionSlots,
  limit: FirstByteLimit,
  authorization: Authorization | null,
  send: (headers: Readonly<Record<string, string>>) => Promise<FollowedAnswer>,
  onBodyFailed?: () => void,
): Promise<TryOutcome<BlobAnswer>> {
  const slot = await slots.acquire(limit.signal, wanted.onConnection);
  limit.hold();
  let kept = false;
  try {
    const range = rangeOf(wanted);
    const answer = await send(range === null ? {} : { range });
    const { status, headers } = answer;
    if (status !== 200 && status !== 206) {
      // The answer is here; how long its explanation takes is another matter.
      limit.letGo();
      const body = await readErrorBody(answer.body, [...(authorization?.secrets ?? []), ...answer.secrets]);
      limit.signal.throwIfAborted();
      if ((status === 401 || status === 403) && answer.answerer === 'registry') {
        return { denied: { status, headers, body, zone: answer.zone } };
      }
      throw statusError({ status, headers, from: answer.answerer, phase: 'layers', body });
    }
    const promised = checkHead(status, answer, wanted);
    await answer.body.arrived();
    limit.met();
    kept = true;
    const body = createBlobBody(answer.body, {
      length: promised.end - promised.start,
      answerer: answer.answerer,
      reused: answer.reused,
      signal: limit.signal,
      ...(onBodyFailed === undefined ? {} : { failed: onBodyFailed }),
      ended: () => {
        slot.release();
        limit.end();
      },
    });
    const answerer = answer.answerer === 'storage' ? 'storage' : 'registry';
    return { done: { start: promised.start, length: promised.length, answerer, body } };
  } finally {
    limit.letGo();
    if (!kept) slot.release();
  }
}

function checkHead(
  status: 200 | 206,
  answer: FollowedAnswer,
  wanted: WantedBytes,
): { readonly start: number; readonly length: number | null; readonly end: number } {
  const promised = isIdentityEncoded(answer.headers)
    ? promisedBytes(status, answer.headers, wanted)
    : { wrong: 'content-encoded' as const };
  if (!('wrong' in promised)) return promised;
  discardBody(answer.body);
  throw new ExchangeError(`the ${answer.answerer} does not send the bytes asked for (${promised.wrong})`, {
    evidence: { kind: 'content', code: promised.wrong, from: answer.answerer },
    phase: 'layers',
  });
}
