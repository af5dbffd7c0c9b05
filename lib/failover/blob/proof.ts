import { loopMs } from '../../policy/loop-timer.js';

/** As many bytes within a second, and a registry that was late delivers again. */
export const provingBytes: number = 256 * 1024;
const provingMs = 1_000;

/** Watches whether a suspect delivers again. */
export class Proof {
  #sinceMs: number = loopMs();
  #bytes = 0;

  /** Bytes arrived; true once enough of them have within a second. */
  add(bytes: number): boolean {
    const nowMs = loopMs();
    if (nowMs - this.#sinceMs > provingMs) {
      this.#sinceMs = nowMs;
      this.#bytes = 0;
    }
    this.#bytes += bytes;
    return this.#bytes >= provingBytes;
  }
}
