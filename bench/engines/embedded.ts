import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { deriveAbort } from '../../lib/policy/deadline.js';
import type { EmbeddedAnswer, EmbeddedOrder, EmbeddedRun, Puller } from './embedded-process.js';

/** Who pulls, from where, and into what. */
export interface EmbeddedOptions {
  readonly puller: Puller;
  readonly socketPath: string;
  readonly registries: readonly string[];
  readonly warmUp: string;
}

/** How pulls in a process of their own ended. */
export interface EmbeddedEnd {
  readonly ending: 'done' | 'failed' | 'stopped';
  readonly seconds: number;
  /** Null when it was stopped: nobody was left to tell. */
  readonly cpuSeconds: number | null;
  readonly rssGrowthBytes: number | null;
  readonly complaint: string;
}

/** A process that embeds the library, or only an engine's client, and does nothing else. */
export interface Embedded extends AsyncDisposable {
  /** Begins all of them at once; ends when the last has ended, or after `capSeconds`. */
  pull(images: readonly string[], capSeconds: number): Promise<EmbeddedEnd>;
}

/** Far more than a small image takes: what is not warm by then is broken. */
const warmUpLimitMs = 60_000;

/** It ends by itself once it is left alone, unless its loop does not turn. */
const closeLimitMs = 2_000;

/** @throws Error when the first, small pull does not succeed */
export async function startEmbedded(options: EmbeddedOptions): Promise<Embedded> {
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
    if ((await ask({ kind: 'open', ...options }, warmUpLimitMs)) === null) throw new Error('the first pull hangs');
  } catch (error) {
    await close();
    throw error;
  }
  return {
    pull: async (images, capSeconds) => {
      const answer = await ask({ kind: 'pull', images }, capSeconds * 1_000);
      if (answer === null) return stopped(capSeconds);
      if (answer.kind !== 'pulled') throw new Error(`the process that pulls answered ${answer.kind}`);
      return endOf(answer);
    },
    [Symbol.asyncDispose]: close,
  };
}

function stopped(capSeconds: number): EmbeddedEnd {
  return { ending: 'stopped', seconds: capSeconds, cpuSeconds: null, rssGrowthBytes: null, complaint: '' };
}

function endOf({ seconds, cpuSeconds, rssGrowthBytes, complaints }: EmbeddedRun): EmbeddedEnd {
  const [complaint = ''] = complaints;
  return { ending: complaint === '' ? 'done' : 'failed', seconds, cpuSeconds, rssGrowthBytes, complaint };
}
