import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readdir, realpath, rename, rm } from 'node:fs/promises';
import type { BigIntStats } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { epochMs } from '../../clock/time.js';
import { InvalidOptionError, isInvalidOptionError } from '../../errors/invalid-option-error.js';
import { readBoundedFile } from '../../files/bounded-file.js';
import { syncDirectory, writeDurably } from '../../files/durable-file.js';
import { fileErrorCode, unlessMissing } from '../../files/file-error.js';
import { takeFileLock } from '../../files/file-lock.js';
import { fileState, stampOf } from '../../files/file-state.js';
import { isObject } from '../../image/json-object.js';
import { showValue } from '../../policy/option-bag.js';
import { parseControlState, type ControlEntry, type DeclaredControl } from './control-entry.js';
import { isOver } from './placed-control.js';

/** A thousand entries with long reasons; a file of more is another file. */
const maxFileBytes = 1024 * 1024;

/** Some 20 s: whoever switches by hand waits no longer. */
const lockRetries = 100;

/** How often a change starts again because somebody wrote meanwhile who asks for no lock, an editor or a copying tool. */
const maxOvertaken = 5;

/** What is at the path of a control file. */
export type FoundControlFile =
  | { readonly kind: 'missing' }
  | {
      readonly kind: 'read';
      readonly stats: BigIntStats;
      readonly controls: readonly DeclaredControl[];
      /** The same, as they are written there. */
      readonly entries: readonly ControlEntry[];
    }
  /** `stats`: null when not even that could be had. */
  | { readonly kind: 'refused'; readonly stats: BigIntStats | null; readonly problem: string };

/**
 * Reads a control file: JSON, `{ "version": 1, "controls": [ControlEntry, …] }`. Never rejects: what is wrong with it is
 * said in words, and nothing of it that may be a secret.
 */
export async function readControlFile(path: string): Promise<FoundControlFile> {
  let found;
  try {
    found = await unlessMissing(readBoundedFile(path, maxFileBytes));
  } catch (error) {
    return { kind: 'refused', stats: null, problem: `cannot be read (${fileErrorCode(error) ?? 'unknown'})` };
  }
  if (found === null) return { kind: 'missing' };
  if (found.kind === 'not-a-file') return { kind: 'refused', stats: null, problem: 'is not a file' };
  const { stats } = found;
  if (found.kind === 'too-large') {
    return { kind: 'refused', stats, problem: `holds more than ${maxFileBytes} bytes` };
  }
  try {
    return { kind: 'read', stats, ...parseControlFile(found.text) };
  } catch (error) {
    if (!isInvalidOptionError(error)) throw error;
    return { kind: 'refused', stats, problem: error.message.replace(/^Option /, '') };
  }
}

interface ParsedControlFile {
  readonly controls: readonly DeclaredControl[];
  readonly entries: readonly ControlEntry[];
}

/** Reads the text of a control file. @throws InvalidOptionError */
export function parseControlFile(text: string): ParsedControlFile {
  const value = parseJson(text);
  if (!isObject(value)) throw new InvalidOptionError('file', 'must hold an object: version and controls');
  // Before anything else: of a later version, everything else may be unknown.
  if (value['version'] !== 1) {
    throw new InvalidOptionError('version', `must be 1, got ${showValue(value['version'], 'version')}`);
  }
  const controls = parseControlState(value);
  return { controls, entries: value['controls'] as readonly ControlEntry[] };
}

function parseJson(text: string): unknown {
  try {
    // Tools of Windows begin a text with the mark of its byte order.
    return JSON.parse(text.replace(/^\ufeff/, ''));
  } catch (error) {
    // The parser's own message quotes the file.
    const position = /at position (\d+)/.exec(String(error))?.[1];
    const line = position === undefined ? null : text.slice(0, Number(position)).split('\n').length;
    throw new InvalidOptionError('file', `is not JSON${line === null ? '' : ` (line ${line})`}`);
  }
}

/**
 * Replaces what a control file says by `change` of it, whole and durably; entries that are over are left out. Several
 * processes may do so at once, and none loses what another one wrote. Creates the file, and its directory.
 *
 * @throws InvalidOptionError when the file is there and cannot be used, or `change` made it so: it is left as it is
 * @throws what Node throws when it cannot be written
 */
export async function updateControlFile(
  path: string,
  change: (entries: readonly ControlEntry[]) => readonly ControlEntry[],
): Promise<readonly ControlEntry[]> {
  await mkdir(dirname(resolve(path)), { recursive: true });
  // A link stays one: what it leads to is replaced.
  const file = (await unlessMissing(realpath(path))) ?? resolve(path);
  const release = await takeFileLock(`${file}.lock`, { retries: lockRetries });
  try {
    await sweep(file);
    for (let round = 0; round < maxOvertaken; round += 1) {
      const written = await replace(file, change);
      if (written !== null) return written;
    }
  } finally {
    await release();
  }
  throw new InvalidOptionError('controlFile', `${path} is written by others all the time`);
}

/** Returns null when somebody else wrote meanwhile. */
async function replace(
  file: string,
  change: (entries: readonly ControlEntry[]) => readonly ControlEntry[],
): Promise<readonly ControlEntry[] | null> {
  const found = await readControlFile(file);
  if (found.kind === 'refused') {
    throw new InvalidOptionError('controlFile', `${file}: ${found.problem}; it is left as it is`);
  }
  const entries = change(found.kind === 'missing' ? [] : entriesInForce(found));
  const text = `${JSON.stringify({ version: 1, controls: entries }, null, 2)}\n`;
  parseControlFile(text);
  const temporary = `${file}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    await writeDurably(temporary, text);
    // Who may read and write it stays as it was.
    if (found.kind === 'read') await chmod(temporary, Number(found.stats.mode & 0o777n));
    if (stampOf(await fileState(file)) !== stampOf(found.kind === 'read' ? found.stats : null)) {
      await rm(temporary, { force: true });
      return null;
    }
    await rename(temporary, file);
    await syncDirectory(dirname(file));
    return entries;
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    throw error;
  }
}

function entriesInForce({ entries, controls }: ParsedControlFile): readonly ControlEntry[] {
  const nowMs = epochMs();
  return entries.filter((_, index) => !isOver(controls[index] ?? { untilMs: null }, nowMs));
}

/** Removes what a process left that was killed while it wrote; under the lock nobody else is writing. */
async function sweep(file: string): Promise<void> {
  const [directory, name] = [dirname(file), basename(file)];
  for (const other of await readdir(directory)) {
    if (other.startsWith(`${name}.`) && /^\.[0-9a-f]{12}\.tmp$/.test(other.slice(name.length))) {
      await rm(join(directory, other), { force: true });
    }
  }
}
