import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Extractor, ExtractorConfig, ExtractorLogLevel, type ExtractorMessage } from '@microsoft/api-extractor';
import { packageDirectory, temporaryFolder } from './packed-package.js';

/** The public API as files: what `typings/` holds. */
export interface RollUp {
  /** File name → text. */
  readonly files: ReadonlyMap<string, string>;
  /** What api-extractor found wrong; empty when all is well. */
  readonly complaints: readonly string[];
}

/** The entries of the package, and the file of `lib/` that lists what each exports. */
const entries: Readonly<Record<string, string>> = {
  index: 'index',
  incidents: 'incidents/index',
  testing: 'testing/index',
};

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
      if (serious && !isShorthand(message)) {
        complaints.push(message.formatMessageWithLocation(declarations));
      }
      message.handled = true;
    },
  });
  const files = new Map([['api.d.ts', readFileSync(join(work, 'api.d.ts'), 'utf8')]]);
  for (const [name, source] of Object.entries(entries)) {
    const file = join(declarations, `${source}.d.ts`);
    const read = (specifier: string): string =>
      readFileSync(join(dirname(file), specifier.replace(/\.js$/, '.d.ts')), 'utf8');
    files.set(`${name}.d.ts`, entryDeclaration(readFileSync(file, 'utf8'), read));
  }
  return { files, complaints };
}

/**
 * Whether the complaint is about a type that its module keeps to itself, such as what all payloads extend: nobody needs
 * its name, for what it stands for shows wherever it is used. Everything that a module exports must be listed to be used.
 */
function isShorthand(message: ExtractorMessage): boolean {
  if (message.messageId !== 'ae-forgotten-export' || message.sourceFilePath === undefined) return false;
  const name = /"(\w+)"/.exec(message.text)?.[1] ?? '';
  const source = readFileSync(message.sourceFilePath, 'utf8');
  return new RegExp(`^(?:declare )?(?:type|interface) ${name}\\b`, 'm').test(source);
}

export function writeRollUp(files: RollUp['files'], directory: string): void {
  mkdirSync(directory, { recursive: true });
  for (const [name, text] of files) writeFileSync(join(directory, name), text);
}

const list = /^export (type )?\{([^}]*)\} from ['"][^'"]+['"];$/gm;
const listOfAllTypes = /^export type \* from ['"]([^'"]+)['"];$/gm;
const declaredType = /^export (?:declare )?(?:interface|type|class) (\w+)/gm;

/**
 * @param read gives the declarations of the module that an `export type * from` names
 * @throws Error when an entry does anything but list names: what it declares itself would exist twice
 */
export function entryDeclaration(source: string, read: (specifier: string) => string): string {
  const rest = source
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(list, '')
    .replace(listOfAllTypes, '')
    .trim();
  if (rest !== '' && rest !== 'export {};') {
    throw new Error(`an entry lists names and does nothing else, found:\n${rest}`);
  }
  const values: string[] = [];
  const types: string[] = [];
  for (const [, typeOnly, names = ''] of source.matchAll(list)) {
    for (const name of names.split(',').map((part) => part.trim())) {
      if (name === '') continue;
      const exported = name.replace(/^type /, '').replace(/^.* as /, '');
      (typeOnly === undefined && !name.startsWith('type ') ? values : types).push(exported);
    }
  }
  for (const [, specifier = ''] of source.matchAll(listOfAllTypes)) {
    types.push(...[...read(specifier).matchAll(declaredType)].map((match) => match[1] ?? ''));
  }
  return block('export', values) + block('export type', types);
}

function block(keyword: string, names: readonly string[]): string {
  if (names.length === 0) return '';
  const lines = names.toSorted().map((name) => `  ${name},\n`);
  return `${keyword} {\n${lines.join('')}} from './api.js';\n`;
}
