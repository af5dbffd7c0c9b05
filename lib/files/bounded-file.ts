import { closeSync, fstatSync, openSync, readSync, statSync, type BigIntStats } from 'node:fs';
import { open, stat } from 'node:fs/promises';

/**
 * What is at a path.
 *
 * - `text`: a file, whole, in UTF-8
 * - `too-large`: a file of more bytes than were allowed
 * - `not-a-file`: a directory, a pipe, a device
 */
export type FoundFile =
  | { readonly kind: 'text'; readonly text: string; readonly stats: BigIntStats }
  | { readonly kind: 'too-large'; readonly stats: BigIntStats }
  | { readonly kind: 'not-a-file' };

/**
 * Reads a file of at most `maxBytes`, and never more of it than that. `stats` are those of the file that was read, from
 * before it was: it may have been replaced at its path since.
 *
 * @throws what Node throws when it cannot be read; `ENOENT` where nothing is
 */
export async function readBoundedFile(path: string, maxBytes: number): Promise<FoundFile> {
  // Opening a pipe would wait for its writer.
  if (!(await stat(path)).isFile()) return { kind: 'not-a-file' };
  const handle = await open(path, 'r');
  try {
    const stats = await handle.stat({ bigint: true });
    const text = new BoundedText(stats, maxBytes);
    while (text.hasRoom) text.took((await handle.read(text.room)).bytesRead);
    return text.found();
  } finally {
    await handle.close();
  }
}

/** The same before it returns, for lookups that are synchronous; the two share all but the system calls. */
export function readBoundedFileSync(path: string, maxBytes: number): FoundFile {
  if (!statSync(path).isFile()) return { kind: 'not-a-file' };
  const descriptor = openSync(path, 'r');
  try {
    const text = new BoundedText(fstatSync(descriptor, { bigint: true }), maxBytes);
    while (text.hasRoom) text.took(readSync(descriptor, text.room));
    return text.found();
  } finally {
    closeSync(descriptor);
  }
}

/** The bytes of one file as they come. */
class BoundedText {
  readonly #stats: BigIntStats;
  readonly #maxBytes: number;
  #bytes: Buffer;
  #length = 0;
  #isEnded = false;

  constructor(stats: BigIntStats, maxBytes: number) {
    this.#stats = stats;
    this.#maxBytes = maxBytes;
    // One more than there should be: it shows that the file has ended, or has not.
    this.#bytes = Buffer.alloc(this.#isTooLarge ? 0 : Number(stats.size) + 1);
  }

  /** Whether there is more to read, as far as is known, and it may be read. */
  get hasRoom(): boolean {
    return !this.#isEnded && !this.#isTooLarge;
  }

  /** Where the next bytes go. */
  get room(): Uint8Array {
    return this.#bytes.subarray(this.#length);
  }

  /** So many were put there; 0 at the end of the file. */
  took(count: number): void {
    this.#length += count;
    this.#isEnded = count === 0;
    // It has grown since it was opened, or its file system does not tell sizes.
    if (this.hasRoom && this.room.length === 0) this.#bytes = Buffer.concat([this.#bytes], this.#maxBytes + 1);
  }

  found(): FoundFile {
    if (this.#isTooLarge) return { kind: 'too-large', stats: this.#stats };
    return { kind: 'text', text: this.#bytes.toString('utf8', 0, this.#length), stats: this.#stats };
  }

  get #isTooLarge(): boolean {
    return this.#stats.size > this.#maxBytes || this.#length > this.#maxBytes;
  }
}
