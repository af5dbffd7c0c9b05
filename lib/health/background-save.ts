/**
 * Returns what begins to write in the background, and resolves when nothing is left to be written or a write has failed. One
 * run serves all who ask while it is under way, and each write carries everything that came during the one before it.
 *
 * @param hasMore whether anything is left
 * @param write takes what there is; false: it could not be written, and is left for the next time
 */
export function backgroundSave(hasMore: () => boolean, write: () => Promise<boolean>): () => Promise<void> {
  let saving: Promise<void> | null = null;

  async function saveAll(): Promise<void> {
    while (hasMore()) if (!(await write())) return;
  }

  return () => {
    saving ??= saveAll().finally(() => {
      saving = null;
    });
    return saving;
  };
}
