import { open } from 'node:fs/promises';
import { fileErrorCode } from './file-error.js';

/** Makes what was created, renamed or removed in this directory survive a power failure. */
export async function syncDirectory(path: string): Promise<void> {
  let handle;
  try {
    handle = await open(path, 'r');
    await handle.sync();
  } catch (error) {
    // Windows opens no directories, and some network file systems sync none: there the rename is all there is.
    const code = fileErrorCode(error);
    if (code !== 'EINVAL' && code !== 'EISDIR' && code !== 'EPERM' && code !== 'ENOTSUP') throw error;
  } finally {
    await handle?.close();
  }
}

/** Creates the file, which must not exist, whole and durable; a name that only the caller knows. */
export async function writeDurably(path: string, bytes: Uint8Array | string): Promise<void> {
  const handle = await open(path, 'wx', 0o644);
  try {
    await handle.writeFile(bytes);
    await handle.datasync();
  } finally {
    await handle.close();
  }
}
