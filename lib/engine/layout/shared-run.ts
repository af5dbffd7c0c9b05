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
    next ??= running.then(ignore, ignore).then(() => {
      next = null;
      return running ?? start();
    });
    return next;
  };
}

function ignore(): void {}
