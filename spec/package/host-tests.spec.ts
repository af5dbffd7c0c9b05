import { copyFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { pulls } from '../../lib/testing/pull-script.js';
import { codeWords, readMarkdownTable } from '../house/markdown-table.js';
import { requireReal } from '../support/real-parts.js';
import { canInstall } from './can-install.js';
import { compilePackage, packageDirectory, temporaryFolder } from './packed-package.js';
import { runCommand, runCommandWell } from './run-command.js';

const readme = readFileSync(join(packageDirectory, 'README.md'), 'utf8');
const section = /^## Testing your host\n([\s\S]*?)^## /m.exec(readme)?.[1] ?? '';

/** The code blocks under one heading of that section, as one file each. */
function examplesUnder(heading: string): readonly string[] {
  const part = section.split(/^### /m).find((text) => text.startsWith(`${heading}\n`)) ?? '';
  return [...part.matchAll(/```ts\n([\s\S]*?)```/g)].map((match) => match[1] ?? '');
}

/** What the examples take for given: the host's own code, and a folder. */
const surroundings = `
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
globalThis.folder = mkdtempSync(join(tmpdir(), 'pull-failover-host-'));
globalThis.provision = async (puller, image) => {
  await puller.pullWithFailover(image, { operation: { kind: 'database', id: 'op-871' } });
};
`;

/** A project whose `node_modules` has the package as it is built now. */
async function makeProject(files: Readonly<Record<string, string>>): Promise<string> {
  const built = await compilePackage();
  copyFileSync(join(packageDirectory, 'package.json'), join(built, 'package.json'));
  const folder = temporaryFolder('host');
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(built, join(folder, 'node_modules', 'pull-failover'), 'dir');
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return folder;
}

describe('the tests of a host, as the README shows them', function () {
  this.timeout(300_000);

  it('run in mocha, and pass', async () => {
    const examples = examplesUnder('In mocha');
    expect(examples).to.have.length(2);
    const files = Object.fromEntries(examples.map((text, index) => [`example-${index}.mjs`, text]));
    const folder = await makeProject({
      'surroundings.mjs': surroundings,
      ...files,
      // Without one of its own, the nearest would be this package's, whose name leads to whatever was built last.
      'package.json': JSON.stringify({ name: 'host', private: true, type: 'module' }),
    });
    const mocha = join(packageDirectory, 'node_modules/mocha/bin/mocha.js');
    const args = ['--no-config', '--reporter', 'json', '--file', 'surroundings.mjs', ...Object.keys(files)];
    const { exitCode, stdout, stderr } = await runCommand(process.execPath, [mocha, ...args], folder);
    expect(exitCode, stdout + stderr).to.equal(0);
    const { stats } = JSON.parse(stdout.slice(stdout.indexOf('{'))) as { readonly stats: { readonly passes: number } };
    expect(stats.passes).to.equal(3);
  });

  describe('in Jest', () => {
    requireReal('the npm registry', 'a network on which `npm view debug` answers', canInstall);

    it('run in the real one, and pass', async () => {
      const examples = examplesUnder('In Jest');
      expect(examples).to.have.length(2);
      const files = Object.fromEntries(examples.map((text, index) => [`example-${index}.test.mjs`, text]));
      const folder = await makeProject({
        'surroundings.mjs': surroundings,
        ...files,
        'package.json': JSON.stringify({
          name: 'host',
          private: true,
          type: 'module',
          jest: { transform: {}, testMatch: ['**/*.test.mjs'], setupFiles: ['./surroundings.mjs'], watchman: false },
        }),
      });
      const jest = temporaryFolder('jest');
      writeFileSync(join(jest, 'package.json'), JSON.stringify({ name: 'jest-itself', private: true }));
      const install = ['install', '--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error', 'jest@30'];
      await runCommandWell('npm', install, jest);
      const { exitCode, stdout, stderr } = await runCommand(
        process.execPath,
        ['--experimental-vm-modules', join(jest, 'node_modules/jest/bin/jest.js'), '--rootDir', folder, '--json'],
        folder,
      );
      expect(exitCode, stdout + stderr).to.equal(0);
      expect(JSON.parse(stdout)).to.deep.include({ numPassedTests: 3, numTotalTests: 3, success: true });
    });
  });

  it('have every script and step of the double at hand', () => {
    const listed = readMarkdownTable(section, 'script').map(([cell = '']) =>
      (codeWords(cell)[0] ?? '').replace(/^pulls\./, '').replace(/\(.*$/, ''),
    );
    expect(listed.toSorted()).to.deep.equal(Object.keys(pulls).toSorted());
  });
});
