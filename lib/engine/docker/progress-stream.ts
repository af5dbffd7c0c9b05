import type { EngineProgress } from './engine-progress.js';
import { parseProgressLine } from './progress-line.js';
import { engineFailure, type EngineFailure } from './engine-failure.js';
import { socketFailure } from './docker-socket-failure.js';

export type { EngineProgress } from './engine-progress.js';

/** What a reader of progress may want to know beside it. */
export interface ProgressReading {
  /** Called with each line that means nothing to us, shortened. It is left out. */
  readonly onUnknown?: (line: string) => void;
}

/** Far above any line that is meant to be read: error lines quote what a registry answered. */
const maxLineBytes = 256 * 1024;

/** What is shown of a line that nobody understands. */
const shownLength = 400;

const lineFeed = 0x0a;

/**
 * Reads what an engine says while it pulls or loads, line by line, as it comes. Chunks may be cut anywhere, also within
 * a character. What means nothing to us, or is longer than 256 KiB, is left out.
 *
 * @throws EngineFailure with the engine's own words when a line is an error; one that `isLost` when the source ends by an
 *   error or in the middle of a line
 */
export async function* readProgress(
  chunks: AsyncIterable<Uint8Array>,
  reading: ProgressReading = {},
): AsyncGenerator<EngineProgress, void, undefined> {
  for await (const { text, isWhole, isEnded } of readLines(chunks)) {
    if (text.trim() === '') continue;
    const line = parseProgressLine(text, isWhole);
    if (line.kind === 'error') throw engineFailure({ text: line.text });
    if (line.kind === 'progress') {
      yield line.progress;
      continue;
    }
    if (!isEnded) throw cutOff(text);
    reading.onUnknown?.(text.slice(0, shownLength));
  }
}

/** Not a word of the line itself: it would be taken for the engine's reason. */
function cutOff(text: string): EngineFailure {
  return engineFailure({
    text: `the engine's answer ended in the middle of a line of ${text.length} characters`,
    lost: true,
  });
}

interface Line {
  readonly text: string;
  /** False: it is the beginning of a longer one. */
  readonly isWhole: boolean;
  /** False: the stream ended before the line did. */
  readonly isEnded: boolean;
}

/** Cuts bytes into lines; decoded only when they are whole, for a chunk may end within a character. */
async function* readLines(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Line, void, undefined> {
  let parts: Uint8Array[] = [];
  let heldBytes = 0;
  let isWhole = true;

  const hold = (bytes: Uint8Array): void => {
    const taken = bytes.subarray(0, maxLineBytes - heldBytes);
    if (taken.length < bytes.length) isWhole = false;
    // A part of an earlier chunk: that chunk's memory may be used again by whoever gave it.
    if (taken.length > 0) parts.push(Uint8Array.from(taken));
    heldBytes += taken.length;
  };
  const release = (isEnded: boolean): Line => {
    const line = { text: Buffer.concat(parts).toString('utf8'), isWhole, isEnded };
    parts = [];
    heldBytes = 0;
    isWhole = true;
    return line;
  };

  for await (const chunk of lostWhereItFails(chunks)) {
    let from = 0;
    for (let at = chunk.indexOf(lineFeed); at >= 0; at = chunk.indexOf(lineFeed, from)) {
      hold(chunk.subarray(from, at));
      from = at + 1;
      yield release(true);
    }
    if (from < chunk.length) hold(chunk.subarray(from));
  }
  if (heldBytes > 0) yield release(false);
}

async function* lostWhereItFails(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* chunks;
  } catch (error) {
    throw socketFailure(error, true);
  }
}
