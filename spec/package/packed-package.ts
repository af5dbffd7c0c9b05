import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { runCommandWell } from './run-command.js';

/** The package's own folder: npm and mocha both run in it. */
export const packageDirectory: string = process.cwd();

/**
 * A folder of its own in `temp/` of the work tree, where the compiler still finds the dependencies' types.
 * It is gone when this process is.
 */
export function temporaryFolder(prefix: string): string {
  const parent = join(packageDirectory, 'temp');
  mkdirSync(parent, { recursive: true });
  const folder = mkdtempSync(join(parent, `${prefix}-`));
  process.once('exit', () => {
    rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}

/** The compiler's script; started by the Node that runs the specs, whichever one that is. */
export const compilerPath: string = join(packageDirectory, 'node_modules', 'typescript', 'lib', 'tsc.js');

let compiled: Promise<string> | undefined;
let packed: Promise<string> | undefined;

/**
 * Compiles `lib/` once per run and returns the folder with the package's `dist/`.
 * Away from the work tree's own `dist/`: nobody who uses that meanwhile sees half a build.
 */
export function compilePackage(): Promise<string> {
  compiled ??= compile();
  return compiled;
}

async function compile(): Promise<string> {
  const folder = temporaryFolder('package');
  await runCommandWell(
    process.execPath,
    [compilerPath, '-p', 'tsconfig.build.json', '--outDir', join(folder, 'dist')],
    packageDirectory,
  );
  return folder;
}

/** Packs what `npm publish` would publish now, and returns the tarball's path. */
export function packPackage(): Promise<string> {
  packed ??= pack();
  return packed;
}

async function pack(): Promise<string> {
  const folder = await compilePackage();
  for (const name of ['package.json', 'typings', 'README.md', 'LICENSE', 'CHANGELOG.md']) {
    cpSync(join(packageDirectory, name), join(folder, name), { recursive: true });
  }
  await runCommandWell('npm', ['pack', '--ignore-scripts', '--loglevel=error'], folder);
  const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz'));
  if (tarball === undefined) throw new Error(`npm pack left no tarball in ${folder}`);
  return join(folder, tarball);
}
