import type { BlobStore } from '../../engine/engine.js';
import type { Assembly } from './assembly.js';
import { SinkError } from '../failure.js';

/**
 * Completes a blob with the bytes of another store, checked like everything else.
 *
 * @returns false when they cannot be had whole from there; the assembly is empty then
 * @throws SinkError, or the signal's own reason
 */
export async function copyBlob(assembly: Assembly, from: BlobStore, signal: AbortSignal): Promise<boolean> {
  try {
    for await (const chunk of from.streamBlob(assembly.digest, assembly.offset)) {
      signal.throwIfAborted();
      await assembly.add(chunk, null);
    }
    if (assembly.isComplete && (await assembly.settle()).kind === 'verified') return true;
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (error instanceof SinkError) throw error;
    // The other store's trouble is not this one's: a registry has the blob as well.
  }
  await assembly.restart();
  return false;
}
