/** The `code` of an error that Node threw (`ENOENT`), or null. */
export function fileErrorCode(error: unknown): string | null {
  // Not `instanceof Error`: Jest gives each test file an `Error` of its own, and Node throws its own.
  if (typeof error !== 'object' || error === null || !('code' in error)) return null;
  return typeof error.code === 'string' ? error.code : null;
}

/** Turns "it is not there" into null, and lets every other failure pass. */
export async function unlessMissing<T>(work: Promise<T>): Promise<T | null> {
  try {
    return await work;
  } catch (error) {
    const code = fileErrorCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    throw error;
  }
}

/** Whether the file system has no room left for us. */
export function isOutOfRoom(error: unknown): boolean {
  const code = fileErrorCode(error);
  return code === 'ENOSPC' || code === 'EDQUOT';
}
