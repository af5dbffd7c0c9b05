/** Real time, also where a spec moves time by hand: sockets and other processes do not wait for that. */
const { setTimeout: realSetTimeout } = globalThis;

/** Far more than anything takes on a busy machine, and less than the patience of whoever waits for a failing spec. */
const limitMs = 15_000;

/**
 * Waits until something is so.
 *
 * @param what in words, where the condition does not say it itself
 * @throws Error when it has not come true within 15 seconds
 */
export async function until(holds: () => boolean | Promise<boolean>, what: string = String(holds)): Promise<void> {
  const endMs = performance.now() + limitMs;
  while (!(await holds())) {
    if (performance.now() > endMs) throw new Error(`it did not come true: ${what}`);
    await new Promise((resolve) => realSetTimeout(resolve, 5));
  }
}
