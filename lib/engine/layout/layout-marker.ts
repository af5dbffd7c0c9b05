import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rename, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { EngineError } from '../../errors/engine-error.js';
import { syncDirectory, writeDurably } from '../../files/durable-file.js';
import { unlessMissing } from '../../files/file-error.js';
import { fileState } from '../../files/file-state.js';
import { settledStampOf } from './file-stamp.js';

/**
 * The one version there is; a later one may mean something else by the same files.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md#oci-layout-file
 */
const layoutVersion = '1.0.0';

const markerName = 'oci-layout';

/**
 * Makes what tells whether the directory is a layout, and reads its marker again only when that file has changed.
 * False where there is none yet, so that one may be made; throws an `EngineError` when it is a broken layout, or one of
 * another version.
 */
export function createMarkerCheck(engine: string, directory: string): () => Promise<boolean> {
  let known: string | null = null;
  return async () => {
    const found = await fileState(join(directory, markerName));
    const stamp = found === null ? null : settledStampOf(found);
    if (stamp !== null && stamp === known) return true;
    const isOne = await isLayout(engine, directory);
    known = isOne ? stamp : null;
    return isOne;
  };
}

async function isLayout(engine: string, directory: string): Promise<boolean> {
  const path = join(directory, markerName);
  let text = await unlessMissing(readFile(path, 'utf8'));
  if (text === null) {
    if ((await fileState(join(directory, 'index.json'))) === null) return false;
    // Another process may have made the layout between the two looks; it writes the marker first.
    text = await unlessMissing(readFile(path, 'utf8'));
    if (text === null) {
      throw new EngineError(
        engine,
        `${directory} has an index.json but no ${markerName} file: not an OCI image layout`,
      );
    }
  }
  const version = versionIn(text);
  if (version === layoutVersion) return true;
  throw new EngineError(
    engine,
    version === null
      ? `${path} is broken: it must be a JSON object with imageLayoutVersion`
      : `${path} is of version ${JSON.stringify(version)}, only ${layoutVersion} is known`,
  );
}

/** Makes the directory and what tells that it is a layout. Several processes may do so at once. */
export async function markLayout(directory: string): Promise<void> {
  const created = await mkdir(join(directory, 'blobs'), { recursive: true });
  const temporary = join(directory, `${markerName}.${randomBytes(8).toString('hex')}`);
  try {
    await writeDurably(temporary, JSON.stringify({ imageLayoutVersion: layoutVersion }));
    await rename(temporary, join(directory, markerName));
  } catch (error) {
    await unlink(temporary).catch(() => {});
    throw error;
  }
  await syncDirectory(directory);
  if (created !== undefined) await syncDirectory(dirname(created));
}

function versionIn(text: string): string | null {
  let marker: unknown;
  try {
    marker = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof marker !== 'object' || marker === null || !('imageLayoutVersion' in marker)) return null;
  return typeof marker.imageLayoutVersion === 'string' ? marker.imageLayoutVersion : null;
}
