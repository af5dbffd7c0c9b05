import pRetry, { AbortError } from 'p-retry';
import { monotonicMs } from '../../clock/time.js';
import type { ManifestAnswer } from '../../distribution/client.js';
import { ExchangeError } from '../../distribution/wire-error.js';
import { UnsupportedImageError } from '../../errors/unsupported-image-error.js';
import { digestAlgorithm, digestOf } from '../../image/digest.js';
import { ManifestError, parseManifest, type ImageDocument } from '../../image/manifest.js';
import type { Judgement } from '../../health/verdict.js';
import { abortable, deriveAbort } from '../../policy/deadline.js';
import type { Digest } from '../../vocabulary/digest.js';
import type { Candidate } from '../candidate.js';
import type { HeartContext } from '../context.js';
import { judgeThrown, stopError } from '../failure.js';
import type { QueueTimers } from './queue-timers.js';
import { unsupportedImage } from './verified-document.js';

/** What to fetch: the document a tag names, or the one with this digest. */
export type WantedManifest = { readonly tag: string } | { readonly digest: Digest };

/** A manifest or index that is right: its bytes have the digest. */
export interface FetchedManifest {
  readonly digest: Digest;
  readonly bytes: Uint8Array;
  readonly document: ImageDocument;
  /** Who served it. */
  readonly candidate: Candidate;
}

/** Tries of one registry for one manifest while the verdict is `again`, after the first. */
const maxRetries = 2;
/** Pause before the second try, doubled before the third: short, since the phase's limit is a few seconds. */
const retryPauseMs = 100;

/**
 * Asks one candidate for one manifest, again while that may help, within `metadata.totalMs`.
 * Each failure is written down in the pull's sources before it is thrown.
 *
 * @param queue is told when the request holds a connection, for this limit and for whoever else measures it
 * @throws the signal's reason; UnsupportedImageError or HostFaultError when no registry can help; else the failure of
 *   the last try
 */
export async function askManifest(
  context: HeartContext,
  candidate: Candidate,
  wanted: WantedManifest,
  queue: QueueTimers,
  signal: AbortSignal,
): Promise<FetchedManifest> {
  using work = deriveAbort(signal);
  const { totalMs } = context.limits.metadata;
  const tries = pRetry(() => tryOnce(context, candidate, wanted, work.signal, queue.holdsConnection), {
    retries: maxRetries,
    minTimeout: retryPauseMs,
    factor: 2,
    signal: work.signal,
    onFailedAttempt: ({ retriesLeft }) => {
      if (retriesLeft === 0) context.sources.sendLast(candidate, 'metadata');
    },
  });
  const startedAtMs = monotonicMs();
  let late: ExchangeError | null = null;
  const limit = queue.start(totalMs, () => {
    late = new ExchangeError(`no manifest within ${totalMs} ms`, {
      evidence: { kind: 'limit', limit: 'metadata.totalMs', value: totalMs, bytes: 0 },
      phase: 'metadata',
    });
    work.abort(late);
  });
  try {
    return await abortable(tries, work.signal);
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (late !== null && error === late) writeDown(context, candidate, wanted, late, startedAtMs);
    throw error;
  } finally {
    limit.cancel();
  }
}

async function tryOnce(
  context: HeartContext,
  candidate: Candidate,
  wanted: WantedManifest,
  signal: AbortSignal,
  onConnection: (holds: boolean) => void,
): Promise<FetchedManifest> {
  const startedAtMs = monotonicMs();
  try {
    const answer = await candidate.client.getManifest({
      repository: candidate.repository,
      reference: objectOf(wanted),
      pullId: context.pullId,
      requestMs: context.limits.metadata.requestMs,
      signal,
      onConnection,
    });
    context.sources.delivered(candidate, 'metadata', objectOf(wanted), answer.bytes.length);
    const digest = 'digest' in wanted ? wanted.digest : null;
    context.observer.bytesArrived(candidate.registry, 'metadata', digest, answer.bytes.length);
    return checkOrWaste(context, candidate, wanted, answer);
  } catch (error) {
    // p-retry wants an Error; the caller rethrows the signal's own reason.
    if (signal.aborted) throw new AbortError('aborted');
    if (error instanceof UnsupportedImageError) throw new AbortError(error);
    const judgement = writeDown(context, candidate, wanted, error, startedAtMs);
    if (judgement.verdict === 'again') throw error;
    const failure = judgement.verdict === 'stop' ? stopError(judgement, error) : error;
    throw new AbortError(failure instanceof Error ? failure : String(failure));
  }
}

function checkOrWaste(
  context: HeartContext,
  candidate: Candidate,
  wanted: WantedManifest,
  answer: ManifestAnswer,
): FetchedManifest {
  try {
    return check(context, candidate, wanted, answer);
  } catch (error) {
    context.sources.wasted(candidate, objectOf(wanted), answer.bytes.length);
    throw error;
  }
}

function writeDown(
  context: HeartContext,
  candidate: Candidate,
  wanted: WantedManifest,
  error: unknown,
  startedAtMs: number,
): Judgement {
  const { judgement, phase } = judgeThrown(error, candidate, 'metadata', objectOf(wanted));
  context.sources.failed({ candidate, phase, object: objectOf(wanted), judgement, startedAtMs, bytes: 0 });
  return judgement;
}

/** Compares what came with what was wanted; a wrong document is the registry's failure, an impossible one the image's. */
function check(
  context: HeartContext,
  candidate: Candidate,
  wanted: WantedManifest,
  answer: ManifestAnswer,
): FetchedManifest {
  const expected = 'digest' in wanted ? wanted.digest : answer.digestHeader;
  const digest = digestOf(answer.bytes, expected === null ? 'sha256' : digestAlgorithm(expected));
  if (expected !== null && digest !== expected) throw wrongContent('digest-mismatch', `got ${digest}`);
  let document: ImageDocument;
  try {
    document = parseManifest(answer.bytes, answer.mediaType);
  } catch (error) {
    if (!(error instanceof ManifestError)) throw error;
    throw manifestFailure(context.image, error, 'digest' in wanted);
  }
  return { digest, bytes: answer.bytes, document, candidate };
}

function manifestFailure(image: string, error: ManifestError, isVerified: boolean): Error {
  // The header is this registry's word, and unverified bytes may be anybody's: another registry may say it right.
  const isRegistrys = !isVerified || error.seenIn === 'content-type';
  switch (error.problem) {
    case 'schema-1':
    case 'not-an-image':
      return unsupportedImage(image, error);
    case 'too-large':
    case 'media-type-mismatch':
      return isRegistrys ? wrongContent(error.problem, error.message) : unsupportedImage(image, error);
    case 'malformed-json':
    case 'malformed':
      return isRegistrys ? wrongContent('malformed-json', error.message) : unsupportedImage(image, error);
  }
}

function wrongContent(
  code: 'digest-mismatch' | 'malformed-json' | 'media-type-mismatch' | 'too-large',
  message: string,
): ExchangeError {
  return new ExchangeError(message, { evidence: { kind: 'content', code, from: 'registry' }, phase: 'metadata' });
}

/** The tag or digest, as it is asked for. */
export function objectOf(wanted: WantedManifest): string {
  return 'tag' in wanted ? wanted.tag : wanted.digest;
}
