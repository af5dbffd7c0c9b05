/** Work that several want and that is done once. */
export interface SharedTask<T> {
  /**
   * Takes part for as long as `wait` takes, which is given the result and may leave at any time. Settles as `wait` does.
   * One who leaves harms no other; when the last one has left, the work is aborted.
   */
  attend<R>(wait: (result: Promise<T>) => Promise<R>): Promise<R>;
}

/**
 * Starts such work. `onOver` is called when nobody may join any more: it has ended, or is being given up. Whoever keeps
 * it for others to find must forget it then, or they would join what is aborted under them.
 *
 * @param why what the work's signal is aborted with when everybody has left, in words
 */
export function startSharedTask<T>(
  work: (signal: AbortSignal) => Promise<T>,
  why: string,
  onOver: () => void,
): SharedTask<T> {
  const abandoned = new AbortController();
  let attending = 0;
  const result = work(abandoned.signal);
  // Also the handler of a failure that nobody waits for any more.
  result.then(onOver, onOver);
  return {
    attend: async (wait) => {
      attending += 1;
      try {
        return await wait(result);
      } finally {
        attending -= 1;
        if (attending === 0) {
          onOver();
          abandoned.abort(new Error(why));
        }
      }
    },
  };
}
