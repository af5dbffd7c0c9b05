import { startLoopTimer } from '../policy/loop-timer.js';
import type { IncomingBody } from './incoming-body.js';

/** Reading on costs less than a new connection up to about here. */
const maxDiscardedBytes = 64 * 1024;
const discardMs = 1_000;

/** Reads a body that nobody wants to its end, so that its connection can be used again; gives both up where that is not worth it. */
export function discardBody(body: IncomingBody): void {
  const late = startLoopTimer(discardMs, () => body.cancel(new Error('an unwanted body is late')));
  const drain = async (): Promise<void> => {
    try {
      while ((await body.read()) !== null) {
        if (body.bytes > maxDiscardedBytes) break;
      }
    } catch {
      // Nobody wanted it.
    } finally {
      late.cancel();
      body.cancel(new Error('an unwanted body is too long'));
    }
  };
  void drain();
}
