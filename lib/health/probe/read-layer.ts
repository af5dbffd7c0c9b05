import type { BlobAnswer, RegistryClient } from '../../distribution/client.js';
import { ExchangeError } from '../../distribution/wire-error.js';
import { createDigester, digestAlgorithm } from '../../image/digest.js';
import { deriveAbort } from '../../policy/deadline.js';
import type { Limits } from '../../policy/limits.js';
import { startLoopTimer } from '../../policy/loop-timer.js';
import type { LayerTarget } from './probe-targets-document.js';

/** Where the host sets no limit, a probe has one: it must end, and a minute without a byte is not well. */
const unlimitedMs = 60_000;

/** Over a shorter time a connection has not come up to its speed, and its rate says nothing. */
const shortestPaceMs = 2_000;

/** A registry that knows no ranges would have to send more than a probe may read. */
export class ProbeTooLongError extends Error {
  override readonly name = 'ProbeTooLongError';
}

/** A stretch of a layer that is read as a pull would read it. */
export interface LayerReading {
  readonly client: Pick<RegistryClient, 'openBlob'>;
  readonly target: LayerTarget;
  readonly from: number;
  /** Exclusive. */
  readonly to: number;
  /** As a pull has them. */
  readonly limits: Pick<Limits, 'metadata' | 'layers'>;
  /** What may be read in all, also of what comes before `from` where the registry knows no ranges. */
  readonly maxBytes: number;
  readonly signal: AbortSignal;
  /** Told once how many bytes have arrived in all. */
  readonly onRead: (bytes: number) => void;
}

/**
 * Reads a stretch of a layer, through redirects, under the limits of a pull, and checks what can be checked: the range,
 * its length, and the digest where it is the whole layer.
 *
 * @throws ExchangeError when the registry fails; ProbeTooLongError; the signal's own reason
 */
export async function readLayer(reading: LayerReading): Promise<void> {
  const { client, target, from, to, limits, maxBytes, signal, onRead } = reading;
  using work = deriveAbort(signal);
  let answer: BlobAnswer | null = null;
  try {
    answer = await client.openBlob({
      repository: target.repository,
      digest: target.digest,
      size: target.size,
      from,
      ...(to < target.size ? { to } : {}),
      pullId: 'probe',
      requestMs: boundedMs(limits.metadata.requestMs),
      firstByteMs: boundedMs(limits.layers.firstByteMs),
      signal: work.signal,
    });
    if (to - answer.start > maxBytes) throw new ProbeTooLongError('the registry knows no ranges');
    await readWithin(answer, reading, work.abort);
  } finally {
    onRead(answer?.body.bytes ?? 0);
    answer?.body.cancel();
  }
}

async function readWithin(
  { body, start, answerer }: BlobAnswer,
  { target, from, to, limits }: LayerReading,
  abort: (error: ExchangeError) => void,
): Promise<void> {
  const { stallMs, minBytesPerSecond, windowMs } = limits.layers;
  const digester = from === 0 && to === target.size ? createDigester(digestAlgorithm(target.digest)) : null;
  const expire = (limit: 'layers.stallMs' | 'layers.minBytesPerSecond', value: number) => () => {
    const evidence = { kind: 'limit', limit, value, bytes: body.bytes } as const;
    abort(new ExchangeError(`the probe was not served within ${limit}`, { evidence, phase: 'layers' }));
  };
  const silenceMs = boundedMs(stallMs);
  const stall = startLoopTimer(silenceMs, expire('layers.stallMs', silenceMs));
  const paceMs = Math.max(shortestPaceMs, Math.ceil(((to - start) / minBytesPerSecond) * 1_000));
  const pace = startLoopTimer(
    windowMs === Infinity ? Infinity : paceMs,
    expire('layers.minBytesPerSecond', minBytesPerSecond),
  );
  try {
    for (let at = start; at < to;) {
      const chunk = await body.read();
      // A clean end: registries may send less of a range than was asked for.
      if (chunk === null) break;
      stall.restart();
      digester?.update(chunk);
      at += chunk.length;
    }
    if (digester !== null && digester.digest() !== target.digest) {
      throw new ExchangeError('the layer does not have its digest', {
        evidence: { kind: 'content', code: 'digest-mismatch', from: answerer },
        phase: 'layers',
      });
    }
  } finally {
    stall.cancel();
    pace.cancel();
  }
}

/** The limit of a pull, as a probe has it. */
export function boundedMs(ms: number): number {
  return Number.isFinite(ms) ? ms : unlimitedMs;
}
