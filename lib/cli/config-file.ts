import { readFile } from 'node:fs/promises';
import { extname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { PullerOptions } from '../puller/options.js';
import { redactText } from '../vocabulary/redact.js';
import { UsageError } from './exit-code.js';

/**
 * Reads a puller's options from a file: JSON when its name ends in `.json`, else an ES module whose default export they
 * are. What they say is checked by the puller that is made with them.
 *
 * No message repeats a line of the file: it may hold credentials.
 *
 * @throws UsageError
 */
export async function readConfigFile(path: string): Promise<PullerOptions> {
  const options = extname(path) === '.json' ? await readJson(path) : await importModule(path);
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new UsageError(`--config ${path}: must hold an object with the options of a puller`);
  }
  return options;
}

async function readJson(path: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw new UsageError(`--config ${path}: cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown'})`);
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    // Newer versions of Node quote the file in their message.
    const position = /at position (\d+)/.exec(String(error))?.[1];
    const line = position === undefined ? null : text.slice(0, Number(position)).split('\n').length;
    throw new UsageError(`--config ${path}: is not JSON${line === null ? '' : ` (line ${line})`}`);
  }
}

async function importModule(path: string): Promise<unknown> {
  let module: unknown;
  try {
    module = await import(pathToFileURL(resolve(path)).href);
  } catch (error) {
    const what = error instanceof Error ? `${error.name}: ${error.message}` : 'unknown';
    throw new UsageError(`--config ${path}: cannot be imported (${redactText(what)})`);
  }
  if (typeof module !== 'object' || module === null || !('default' in module)) {
    throw new UsageError(`--config ${path}: has no default export; it must be the options of a puller`);
  }
  return module.default;
}
