import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

/** One file of `lib/`, and what it asks others for. */
export interface SourceFile {
  /** Relative to `lib/`: `policy/limits.ts`. */
  readonly path: string;
  /** Its floor's entry in `lib/README.md`: `policy/`, or `index.ts` for a file outside every room. */
  readonly room: string;
  readonly text: string;
  /** Specifiers as written, of every kind of import: static, type, side effect, dynamic, re-export. */
  readonly imports: readonly string[];
}

/** Where the specs run: mocha's working directory is the package's own. */
export const packageDirectory: string = process.cwd();

const statement = /^\s*(?:import|export)\b[^'"`;]*?\bfrom\s*['"]([^'"]+)['"]/gm;
const sideEffect = /^\s*import\s*['"]([^'"]+)['"]/gm;
const dynamic = /\b(?:import|require)\s*\(\s*['"]([^'"]+)['"]/g;

/** Reads every TypeScript file of `lib/`. */
export function readSourceFiles(): readonly SourceFile[] {
  return readdirSync(join(packageDirectory, 'lib'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => path.replaceAll('\\', '/'))
    .toSorted()
    .map((path) => readSourceFile(path));
}

function readSourceFile(path: string): SourceFile {
  const text = readFileSync(join(packageDirectory, 'lib', path), 'utf8');
  const code = withoutComments(text);
  const imports = [statement, sideEffect, dynamic].flatMap((pattern) =>
    [...code.matchAll(pattern)].map((match) => match[1] ?? ''),
  );
  return { path, room: roomOf(path), text, imports };
}

export function roomOf(path: string): string {
  const slash = path.indexOf('/');
  return slash < 0 ? path : path.slice(0, slash + 1);
}

/** The file of `lib/` that a relative specifier names, relative to `lib/`; `../` at its start leads out of it. */
export function importedFile(from: SourceFile, specifier: string): string {
  return normalize(join(dirname(from.path), specifier))
    .replaceAll('\\', '/')
    .replace(/\.js$/, '.ts');
}

/** An import in an example of a doc comment is none. Strings may hold what looks like a comment; an import line never does. */
export function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');
}
