import { pack, type Pack } from 'tar-stream';

/** One file of an archive. Its size is known before its content. */
export interface ArchiveEntry {
  readonly name: string;
  readonly size: number;
  /** Exactly `size` bytes. Read when its turn comes, and never before. */
  readonly content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

/** A file whose content is at hand. */
export function smallEntry(name: string, content: Uint8Array | string): ArchiveEntry {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  return { name, size: bytes.length, content: [bytes] };
}

/** The same bytes whenever the same image is archived. */
const noTime: Date = new Date(0);

/**
 * The bytes of a tar archive, made as they are read: besides the chunk under way nothing is held in memory.
 * What an entry's content throws ends the archive with the same error, before its end mark: nobody can take it for whole.
 */
export async function* tarArchive(entries: Iterable<ArchiveEntry>): AsyncGenerator<Uint8Array> {
  const archive = pack();
  let failure: { readonly error: unknown } | null = null;
  // Not awaited at the end: whoever stops reading must not wait for content that may never come.
  void fill(archive, entries).catch((error: unknown) => {
    failure = { error };
    archive.destroy();
  });
  try {
    for await (const chunk of archive) yield chunk as Uint8Array;
    throwFailure(failure);
  } catch (error) {
    // Destroying the archive shows as an error of its own; the one that led to it is the one to throw.
    throwFailure(failure);
    throw error;
  } finally {
    archive.destroy();
  }
}

function throwFailure(failure: { readonly error: unknown } | null): void {
  if (failure !== null) throw failure.error;
}

async function fill(archive: Pack, entries: Iterable<ArchiveEntry>): Promise<void> {
  for (const { name, size, content } of entries) {
    let entered: (error?: Error | null) => void = () => {};
    const whole = new Promise<void>((resolve, reject) => {
      entered = (error) => (error ? reject(error) : resolve());
    });
    // Whoever leaves the loop early has an error of its own.
    whole.catch(() => {});
    const entry = archive.entry({ name, size, mtime: noTime, mode: 0o644 }, entered);
    // The same error reaches `whole`; without a listener it would end the process.
    entry.on('error', () => {});
    for await (const chunk of content) {
      if (archive.destroyed) return;
      if (!entry.write(chunk)) await drained(entry);
    }
    entry.end(null);
    await whole;
  }
  archive.finalize();
}

function drained(entry: ReturnType<Pack['entry']>): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      entry.off('drain', done);
      entry.off('close', done);
      resolve();
    };
    entry.on('drain', done);
    entry.on('close', done);
  });
}
