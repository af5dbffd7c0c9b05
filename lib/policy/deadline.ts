import { setMaxListeners } from 'node:events';
import { maxTimeoutMs, startLoopTimer } from './loop-timer.js';

/** A signal of its own that also follows others. Dispose of it when the work is over, or its parents keep it. */
export interface DerivedAbort {
  readonly signal: AbortSignal;
  /** Aborts only this signal, not its parents. The first reason stays. */
  abort(reason: unknown): void;
  /** Stops following the parents. The signal stays as it is. */
  [Symbol.dispose](): void;
}

/** Returns a signal that is aborted when one of `parents` is, with that parent's own reason, or by `abort`. */
export function deriveAbort(...parents: readonly (AbortSignal | undefined)[]): DerivedAbort {
  const controller = new AbortController();
  // Our own, handed to whole rooms at once: here many listeners are no leak.
  setMaxListeners(0, controller.signal);
  const stops: (() => void)[] = [];
  const dispose = (): void => {
    for (const stop of stops.splice(0)) stop();
  };
  const abort = (reason: unknown): void => {
    dispose();
    controller.abort(reason);
  };
  for (const parent of parents) {
    if (parent === undefined) continue;
    if (parent.aborted) {
      abort(parent.reason);
      break;
    }
    stops.push(onAbort(parent, abort));
  }
  return { signal: controller.signal, abort, [Symbol.dispose]: dispose };
}

/** Everything of this library that follows one signal, behind its only listener there. */
const followersOf = new WeakMap<AbortSignal, Set<(reason: unknown) => void>>();

/**
 * Calls `listener` once with the reason when `signal`, which is not aborted yet, is aborted. Returns what removes it.
 * However many follow, the signal gets one listener: with more than ten Node prints a leak warning to the host.
 */
export function onAbort(signal: AbortSignal, listener: (reason: unknown) => void): () => void {
  const follower = (reason: unknown): void => listener(reason);
  let followers = followersOf.get(signal);
  if (followers === undefined) {
    followers = new Set();
    followersOf.set(signal, followers);
  }
  if (followers.size === 0) signal.addEventListener('abort', tellFollowers, { once: true });
  followers.add(follower);
  return () => {
    if (followers.delete(follower) && followers.size === 0) signal.removeEventListener('abort', tellFollowers);
  };
}

function tellFollowers(this: AbortSignal): void {
  const followers = followersOf.get(this) ?? new Set();
  for (const follower of followers) {
    followers.delete(follower);
    follower(this.reason);
  }
}

/**
 * Settles as `work` does, or rejects with the signal's own reason as soon as it is aborted.
 * It does not stop the work: give that the same signal. What the work does after an abort is ignored.
 */
export function abortable<T>(work: PromiseLike<T>, signal: AbortSignal | undefined): Promise<T> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) reject(signal.reason);
    const forget = signal === undefined || signal.aborted ? () => undefined : onAbort(signal, reject);
    work.then(
      (value) => {
        forget();
        resolve(value);
      },
      (error: unknown) => {
        forget();
        reject(error);
      },
    );
  });
}

/** Resolves after `ms` milliseconds; `Infinity` waits for the signal alone. Rejects with the signal's own reason. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(signal.reason);
      return;
    }
    const timer = startTimer(ms, () => {
      stopListening();
      resolve();
    });
    const stopListening =
      signal === undefined
        ? () => undefined
        : onAbort(signal, (reason) => {
            timer.cancel();
            reject(reason);
          });
  });
}

/** Calls `fired` after `ms` milliseconds, however many they are; `Infinity` keeps the process alive and never fires. */
export function startTimer(ms: number, fired: () => void): { cancel(): void } {
  let timeout: NodeJS.Timeout;
  const wait = (leftMs: number): void => {
    const stepMs = Math.min(leftMs, maxTimeoutMs);
    timeout = setTimeout(() => {
      if (leftMs > stepMs) wait(leftMs - stepMs);
      else fired();
    }, stepMs);
  };
  wait(ms);
  return { cancel: () => clearTimeout(timeout) };
}

/** How long some work may take. */
export interface Deadline {
  /** Milliseconds of loop time; `Infinity` for no limit. */
  readonly ms: number;
  readonly signal?: AbortSignal | undefined;
  /** Makes what the work's signal is aborted with, and the caller gets, when the time is over. */
  readonly expired: () => unknown;
}

/**
 * Runs `work` with a signal of its own for at most `deadline.ms`. Settles as the work does; rejects at once, whatever
 * the work does, with `deadline.expired()` when the time is over and with the signal's own reason when it is aborted.
 * Leaves no timer and no listener behind.
 */
export async function withDeadline<T>(deadline: Deadline, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  deadline.signal?.throwIfAborted();
  const derived = deriveAbort(deadline.signal);
  const timer = startLoopTimer(deadline.ms, () => derived.abort(deadline.expired()));
  try {
    return await abortable(work(derived.signal), derived.signal);
  } finally {
    timer.cancel();
    derived[Symbol.dispose]();
  }
}
