import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Extractor, ExtractorConfig, ExtractorLogLevel } from '@microsoft/api-extractor';
import { packageDirectory, temporaryFolder } from './packed-package.js';

/** The public API as files: what `typings/` holds. */
export interface RollUp {
  /** File name → text. */
  readonly files: ReadonlyMap<string, string>;
  /** What api-extractor found wrong; empty when all is well. */
  readonly complaints: readonly string[];
}

/** The entries of the package, and the file of `lib/` that lists what each exports. */
const entries: Readonly<Record<string, string>> = { index: 'index', testing: 'testing/index' };

/** What payloads extend: nobody names these, their members show in each payload. Everything else mentioned must be listed. */
const bases: readonly string[] = ['Stamp', 'OfPull', 'OfCircuit'];

const compilerOptions: Readonly<Record<string, unknown>> = {
  target: 'es2023',
  lib: ['es2023', 'esnext.disposable'],
  module: 'nodenext',
  moduleResolution: 'nodenext',
  types: ['node'],
  strict: true,
};

/**
 * Rolls the declarations up into one `api.d.ts`, and makes one file per entry that only re-exports from it.
 * With one roll-up per entry each would declare the classes and brands anew, and TypeScript would refuse a
 * value of one entry where the other wants it (TS2322).
 *
 * @param declarations the folder that holds what the compiler emitted for `lib/`
 */
export function rollUp(declarations: string): RollUp {
  const work = temporaryFolder('roll-up');
  const entry = join(declarations, 'api.d.ts');
  const complaints: string[] = [];
  const config = ExtractorConfig.prepare({
    packageJsonFullPath: join(packageDirectory, 'package.json'),
    configObjectFullPath: join(work, 'api-extractor.json'),
    configObject: {
      projectFolder: packageDirectory,
      mainEntryPointFilePath: entry,
      newlineKind: 'lf',
      compiler: { overrideTsconfig: { compilerOptions, files: [entry] } },
      apiReport: { enabled: false },
      docModel: { enabled: false },
      dtsRollup: { enabled: true, untrimmedFilePath: join(work, 'api.d.ts') },
      tsdocMetadata: { enabled: false },
      messages: {
        compilerMessageReporting: { default: { logLevel: ExtractorLogLevel.Error } },
        extractorMessageReporting: {
          default: { logLevel: ExtractorLogLevel.Error },
          // What an entry lists is public, nothing else is: release tags would say it twice.
          'ae-missing-release-tag': { logLevel: ExtractorLogLevel.None },
          'ae-undocumented': { logLevel: ExtractorLogLevel.None },
          'ae-unresolved-link': { logLevel: ExtractorLogLevel.None },
        },
        tsdocMessageReporting: { default: { logLevel: ExtractorLogLevel.None } },
      },
    },
  });
  Extractor.invoke(config, {
    localBuild: true,
    messageCallback: (message) => {
      const serious = message.logLevel === ExtractorLogLevel.Error || message.logLevel === ExtractorLogLevel.Warning;
      if (serious && !bases.some((base) => message.text.includes(`"${base}"`))) {
        complaints.push(message.formatMessageWithLocation(declarations));
      }
      message.handled = true;
    },
  });
  const files = new Map([['api.d.ts', readFileSync(join(work, 'api.d.ts'), 'utf8')]]);
  for (const [name, source] of Object.entries(entries)) {
    files.set(`${name}.d.ts`, entryDeclaration(readFileSync(join(declarations, `${source}.d.ts`), 'utf8')));
  }
  return { files, complaints };
}

export function writeRollUp(files: RollUp['files'], directory: string): void {
  mkdirSync(directory, { recursive: true });
  for (const [name, text] of files) writeFileSync(join(directory, name), text);
}

const list = /^export (type )?\{([^}]*)\} from ['"][^'"]+['"];$/gm;

/** @throws Error when an entry does anything but list names: what it declares itself would exist twice */
export function entryDeclaration(source: string): string {
  const rest = source
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(list, '')
    .trim();
  if (rest !== '' && rest !== 'export {};')
    throw new Error(`an entry lists names and does nothing else, found:\n${rest}`);
  const values: string[] = [];
  const types: string[] = [];
  for (const [, typeOnly, names = ''] of source.matchAll(list)) {
    for (const name of names.split(',').map((part) => part.trim())) {
      if (name === '') continue;
      const exported = name.replace(/^type /, '').replace(/^.* as /, '');
      (typeOnly === undefined && !name.startsWith('type ') ? values : types).push(exported);
    }
  }
  const block = (keyword: string, names: readonly string[]): string =>
    names.length === 0
      ? ''
      : `${keyword} {\n${names
          .toSorted()
          .map((name) => `  ${name},\n`)
          .join('')}} from './api.js';\n`;
  return block('export', values) + block('export type', types);
}
