import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { deriveAbort } from '../lib/policy/deadline.js';
import type { Run } from './contender.js';
import type { EmbeddedAnswer, EmbeddedOrder, EmbeddedRun, Puller } from './embedded-process.js';

/** A process that embeds the library, or only a client, and does nothing else. */
export interface Embedded extends AsyncDisposable {
  /** Keeps so many at a time under way; ends when the last has ended, or after `capSeconds`. */
  pull(images: readonly string[], atOnce: number, capSeconds: number): Promise<Run>;
}

/** Far more than a small image takes: what is not warm by then is broken. */
const warmUpLimitMs = 60_000;

/** It ends by itself once it is left alone, unless its loop does not turn. */
const closeLimitMs = 2_000;

/** @throws Error when the first, small pull does not succeed */
export async function startEmbedded(puller: Puller, warmUp: string): Promise<Embedded> {
  const child = fork(fileURLToPath(new URL('embedded-process.ts', import.meta.url)));
  const exited = once(child, 'exit');
  const end = (): void => void child.kill('SIGKILL');
  process.once('exit', end);

  /** Null when there was no answer in time. */
  async function ask(order: EmbeddedOrder, limitMs: number): Promise<EmbeddedAnswer | null> {
    using settled = deriveAbort();
    const { signal } = settled;
    const timer = setTimeout(() => settled.abort(late), limitMs);
    const late = new Error('no answer in time');
    const ended = once(child, 'exit', { signal }).then(() => {
      throw new Error('the process that pulls has ended');
    });
    const answered = once(child, 'message', { signal }) as Promise<[EmbeddedAnswer]>;
    child.send(order);
    try {
      const [answer] = await Promise.race([answered, ended]);
      if (answer.kind === 'broken') throw new Error(answer.complaint);
      return answer;
    } catch (error) {
      if (signal.reason === late) return null;
      throw error;
    } finally {
      clearTimeout(timer);
      // The other one of the two would listen for ever.
      for (const one of [answered, ended]) one.catch(() => undefined);
      settled.abort(new Error('answered'));
    }
  }

  const close = async (): Promise<void> => {
    process.off('exit', end);
    if (child.connected) child.disconnect();
    const timer = setTimeout(end, closeLimitMs);
    await exited;
    clearTimeout(timer);
  };
  try {
    if ((await ask({ kind: 'open', puller, warmUp }, warmUpLimitMs)) === null) throw new Error('the first pull hangs');
  } catch (error) {
    await close();
    throw error;
  }
  return {
    pull: async (images, atOnce, capSeconds) => {
      const answer = await ask({ kind: 'pull', images, atOnce }, capSeconds * 1_000);
      // Nobody was left to tell the rest.
      if (answer === null) return { ending: 'stopped', seconds: capSeconds, amounts: {}, complaint: '' };
      if (answer.kind !== 'pulled') throw new Error(`the process that pulls answered ${answer.kind}`);
      return runOf(answer);
    },
    [Symbol.asyncDispose]: close,
  };
}

function runOf({ seconds, complaints, slowestSeconds, cpuSeconds, rssGrowthBytes, loopDelayMs }: EmbeddedRun): Run {
  const [complaint = ''] = complaints;
  return {
    ending: complaint === '' ? 'done' : 'failed',
    seconds,
    amounts: { slowestSeconds, cpuSeconds, rssGrowthBytes, loopDelayMs },
    complaint,
  };
}
