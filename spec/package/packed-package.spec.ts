import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { packageDirectory, packPackage } from './packed-package.js';
import { runCommand, runCommandWell } from './run-command.js';

describe('the packed package', function () {
  this.timeout(240_000);

  let tarball: string;

  before(async () => {
    tarball = await packPackage();
  });

  it('has the code, the types and what people read, and no declarations or sources beside them', async () => {
    const listing = await runCommandWell('tar', ['-tzf', tarball], packageDirectory);
    const paths = listing.trim().split('\n');
    expect(paths).to.include.members([
      'package/package.json',
      'package/README.md',
      'package/LICENSE',
      'package/CHANGELOG.md',
      'package/dist/index.js',
      'package/dist/incidents/index.js',
      'package/dist/testing/index.js',
      'package/dist/cli/main.js',
      'package/typings/api.d.ts',
      'package/typings/index.d.ts',
      'package/typings/incidents.d.ts',
      'package/typings/testing.d.ts',
    ]);
    const allowed = /^package\/(?:[^/]+\.(?:json|md)|LICENSE|dist\/.+\.js|typings\/[a-z]+\.d\.ts)$/;
    expect(paths.filter((path) => !allowed.test(path))).to.deep.equal([]);
  });

  it('is well formed for publint', async () => {
    const archive = readFileSync(tarball);
    const { messages } = await publint({
      pack: { tarball: archive.buffer.slice(archive.byteOffset, archive.byteOffset + archive.byteLength) },
    });
    const manifest = JSON.parse(readFileSync(join(packageDirectory, 'package.json'), 'utf8')) as Record<
      string,
      unknown
    >;
    expect(messages.map((message) => formatMessage(message, manifest))).to.deep.equal([]);
  });

  it('resolves, with its types, the way an ESM-only package should for attw', async () => {
    const attw = join(packageDirectory, 'node_modules', '@arethetypeswrong', 'cli', 'dist', 'index.js');
    const { exitCode, stdout } = await runCommand(
      process.execPath,
      [attw, tarball, '--profile', 'esm-only', '--no-color', '--no-emoji'],
      packageDirectory,
    );
    expect(exitCode, stdout).to.equal(0);
  });
});
