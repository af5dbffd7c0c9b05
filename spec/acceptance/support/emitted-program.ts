import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const emitted = new Map<string, string>();

/**
 * A program of these specs as plain JavaScript, once per process: it starts in a third of the time that a loader of
 * TypeScript takes, which counts where dozens are started.
 *
 * @param path of the TypeScript
 * @returns that of the JavaScript
 */
export function emittedProgram(path: string): string {
  const known = emitted.get(path);
  if (known !== undefined) return known;
  const directory = mkdtempSync(join(tmpdir(), 'pull-failover-program-'));
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
  writeFileSync(
    join(directory, 'tsconfig.json'),
    JSON.stringify({
      extends: join(root, 'tsconfig.json'),
      compilerOptions: {
        ...{ noEmit: false, noCheck: true, declaration: false, isolatedDeclarations: false },
        ...{ rootDir: root, outDir: directory, types: [] },
      },
      include: [],
      files: [path],
    }),
  );
  writeFileSync(join(directory, 'package.json'), JSON.stringify({ type: 'module' }));
  symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'));
  execFileSync(join(root, 'node_modules/.bin/tsc'), ['-p', directory], { cwd: root, stdio: 'pipe' });
  const program = join(directory, relative(root, path).replace(/\.ts$/, '.js'));
  emitted.set(path, program);
  return program;
}
