/**
 * Returns a function that does the work, where one run serves all who ask at the same time. Nobody is given a run
 * that had begun before they asked: what they know to have happened has happened before it.
 */
export function shareRuns<T>(work: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | null = null;
  let next: Promise<T> | null = null;

  function start(): Promise<T> {
    const run = work().finally(() => {
      running = null;
    });
    running = run;
    return run;
  }

  return () => {
    if (running === null) return start();
    next ??= ended(running).then(() => {
      next = null;
      return running ?? start();
    });
    return next;
  };
}

/** The same for each key by itself; nothing is kept of a key that nobody asks for. */
export function shareRunsOf<Key, T>(work: (key: Key) => Promise<T>): (key: Key) => Promise<T> {
  const runs = new Map<Key, { readonly ask: () => Promise<T>; asking: number }>();
  return async (key) => {
    const run = runs.get(key) ?? { ask: shareRuns(() => work(key)), asking: 0 };
    runs.set(key, run);
    run.asking += 1;
    try {
      return await run.ask();
    } finally {
      run.asking -= 1;
      if (run.asking === 0) runs.delete(key);
    }
  };
}

/** With the turn of the event loop in which it ended: whoever asks meanwhile is served by the next run too. */
async function ended(run: Promise<unknown>): Promise<void> {
  await run.catch(() => {});
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
}
