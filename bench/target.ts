import { mebibytes } from './amounts.js';
import type { Done } from './summary.js';

/** What a contender is held to. Times are medians; `of` names another contender of the same scenario. */
export type Target =
  /** At most so many times as long as another one takes. */
  | { readonly kind: 'times'; readonly times: number; readonly of: string }
  /** At most so many times as long as the link needs for the bytes. */
  | { readonly kind: 'times-limit'; readonly times: number }
  /** At most so many milliseconds longer than another one. */
  | { readonly kind: 'longer'; readonly ms: number; readonly of: string }
  /** The slowest of its pulls at most so many times as long as the slowest of another one. */
  | { readonly kind: 'each'; readonly times: number; readonly of: string }
  /** At least this share of the rate of another one. */
  | { readonly kind: 'rate'; readonly share: number; readonly of: string }
  /** Bytes that were sent on top of the size of the images. */
  | { readonly kind: 'sent-twice'; readonly bytes: number; readonly why: string }
  /** Of the process, in the worst round. */
  | { readonly kind: 'growth'; readonly bytes: number }
  | { readonly kind: 'loop-delay'; readonly ms: number }
  | { readonly kind: 'cpu'; readonly secondsPerGb: number }
  /** Nothing was answered 429. */
  | { readonly kind: 'no-refusals' };

/** What is known where a target is judged. */
export interface Standing {
  readonly summary: Done;
  /** Bytes of all blobs of all images. */
  readonly blobBytes: number;
  /** Bytes divided by the bandwidth of one link; null without a link. */
  readonly limitSeconds: number | null;
  /** What another contender did; null unless all its pulls succeeded. */
  find(name: string): { readonly title: string; readonly summary: Done } | null;
}

/** How a target stands. */
export interface Judgement {
  readonly target: string;
  readonly measured: string;
  readonly isMet: boolean;
  /** The longest time that would meet it, where it is one of time. */
  readonly allowedSeconds: number | null;
}

/** Null where there is nothing to compare with. */
export function judge(target: Target, standing: Standing): Judgement | null {
  const { summary, blobBytes, limitSeconds } = standing;
  const seconds = summary.seconds.median;
  switch (target.kind) {
    case 'times': {
      const other = standing.find(target.of);
      return other && atMostTimes(seconds, target.times, other.summary.seconds.median, other.title);
    }
    case 'times-limit':
      return limitSeconds === null ? null : atMostTimes(seconds, target.times, limitSeconds, 'bytes ÷ bandwidth');
    case 'longer': {
      const other = standing.find(target.of);
      if (other === null) return null;
      const allowedSeconds = other.summary.seconds.median + target.ms / 1_000;
      return {
        target: `≤ ${other.title} + ${target.ms / 1_000} s = ${allowedSeconds.toFixed(2)} s`,
        measured: `${seconds.toFixed(2)} s`,
        isMet: seconds <= allowedSeconds,
        allowedSeconds,
      };
    }
    case 'each': {
      const other = standing.find(target.of);
      const own = summary.amounts.slowestSeconds?.median;
      const others = other?.summary.amounts.slowestSeconds?.median;
      if (own === undefined || others === undefined) return null;
      return {
        target: `slowest pull ≤ ${target.times.toFixed(2)} × slowest of ${other?.title}`,
        measured: `${(own / others).toFixed(2)} × (${own.toFixed(2)} s)`,
        isMet: own / others <= target.times,
        allowedSeconds: null,
      };
    }
    case 'rate': {
      const other = standing.find(target.of);
      if (other === null) return null;
      const share = other.summary.seconds.median / seconds;
      return {
        target: `≥ ${target.share.toFixed(1)} × ${other.title} in MB/s`,
        measured: `${share.toFixed(2)} ×`,
        isMet: share >= target.share,
        allowedSeconds: other.summary.seconds.median / target.share,
      };
    }
    case 'sent-twice': {
      const bytes = sentTwice(summary, blobBytes);
      return bytes === null
        ? null
        : {
            target: `sent twice ≤ ${mebibytes(target.bytes)}: ${target.why}`,
            measured: mebibytes(bytes, 1),
            isMet: bytes <= target.bytes,
            allowedSeconds: null,
          };
    }
    case 'growth': {
      const bytes = summary.amounts.rssGrowthBytes?.max;
      return bytes === undefined
        ? null
        : {
            target: `memory grows by ≤ ${mebibytes(target.bytes)}`,
            measured: `${mebibytes(bytes)} at most`,
            isMet: bytes <= target.bytes,
            allowedSeconds: null,
          };
    }
    case 'loop-delay': {
      const ms = summary.amounts.loopDelayMs?.median;
      return ms === undefined
        ? null
        : {
            target: `event-loop delay p99 ≤ ${target.ms} ms`,
            measured: `${ms.toFixed(0)} ms`,
            isMet: ms <= target.ms,
            allowedSeconds: null,
          };
    }
    case 'cpu': {
      const perGb = cpuPerGb(summary, blobBytes);
      return perGb === null
        ? null
        : {
            target: `≤ ${target.secondsPerGb} CPU-s/GB, hashing included`,
            measured: perGb.toFixed(2),
            isMet: perGb <= target.secondsPerGb,
            allowedSeconds: null,
          };
    }
    case 'no-refusals': {
      const refusals = summary.amounts.refusals?.max;
      return refusals === undefined
        ? null
        : { target: 'no request answered 429', measured: `${refusals}`, isMet: refusals === 0, allowedSeconds: null };
    }
  }
}

function atMostTimes(seconds: number, times: number, of: number, title: string): Judgement {
  return {
    target: `≤ ${times.toFixed(2)} × ${title}`,
    measured: `${(seconds / of).toFixed(2)} ×`,
    isMet: seconds / of <= times,
    allowedSeconds: of * times,
  };
}

/** What registries sent on top of the size of the images; null where nobody counted. */
export function sentTwice({ amounts: { sentByA, sentByB } }: Done, blobBytes: number): number | null {
  return sentByA === undefined || sentByB === undefined
    ? null
    : Math.max(0, sentByA.median + sentByB.median - blobBytes);
}

/** CPU seconds per gigabyte (1e9 bytes) of blobs; null where nobody measured. */
export function cpuPerGb({ amounts: { cpuSeconds } }: Done, blobBytes: number): number | null {
  return cpuSeconds === undefined || blobBytes === 0 ? null : cpuSeconds.median / (blobBytes / 1e9);
}
