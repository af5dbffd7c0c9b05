import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { requireReal } from '../support/real-parts.js';
import { canInstall } from './can-install.js';
import { compilerPath, packageDirectory, packPackage } from './packed-package.js';
import { runCommand, runCommandWell } from './run-command.js';

/**
 * Values of `.` go to `./testing` and come back: with a declaration of their own in each entry, the compiler would
 * refuse every one of these lines (TS2322), and no other check would notice.
 */
const typedUse = `
const timeouts: Timeouts = fastTimeouts;
const puller: Puller = createPuller({
  engine: ociLayout('./images'),
  registries: ['quay.io/team', { prefix: 'docker.io/team', resolves: false }],
  timeouts: fastTimeouts,
});
const double: Puller = createPullerDouble();
const failure: PullFailoverError = new NotConfiguredError();
double.events.on('pull:failed-over', ({ from, to, reason, bytesKept }) => [from, to, reason.code, bytesKept]);
double.events.on('*', (event: PullEvent) => event.seq);
async function use(): Promise<PullReport> {
  await using registry = await startRegistryDouble({ images: { 'team/redis:3.0': seededImage({ layers: 2, bytes: 1000 }) } });
  const report: PullReport = await puller.pullWithFailover(registry.host + '/team/redis:3.0', { timeouts });
  return report;
}
export const unused: readonly unknown[] = [use, failure, isPullExhaustedError(failure)];
`;

const names = `ociLayout, createPuller, isPullExhaustedError, NotConfiguredError`;
const typeNames = `Puller, PullEvent, PullFailoverError, PullReport, Timeouts`;
const testingNames = `createPullerDouble, fastTimeouts, seededImage, startRegistryDouble`;

const run = `
const double = testing.createPullerDouble();
if (typeof root.createPuller !== 'function') throw new Error('no createPuller');
if (typeof double.pullWithFailover !== 'function') throw new Error('no pullWithFailover');
const refused = root.pullWithFailover('redis').catch((error) => error);
refused.then((error) => {
  if (!(error instanceof root.NotConfiguredError)) throw new Error('not a NotConfiguredError: ' + error);
  console.log('used');
});
`;

const programs: Readonly<Record<string, string>> = {
  'typed.mts': `
import { ${names} } from 'pull-failover';
import type { ${typeNames} } from 'pull-failover';
import { ${testingNames} } from 'pull-failover/testing';
${typedUse}`,
  'typed.cts': `
import { ${names} } from 'pull-failover';
import type { ${typeNames} } from 'pull-failover';
import { ${testingNames} } from 'pull-failover/testing';
${typedUse}`,
  'run.mjs': `
import * as root from 'pull-failover';
import * as testing from 'pull-failover/testing';
${run}`,
  'run.cjs': `
const root = require('pull-failover');
const testing = require('pull-failover/testing');
${run}`,
};

/** What the examples of the README take for given. */
const surroundings = `
declare const folder: string;
declare function dockerodeOf(host: string): import('pull-failover').DockerLike;
declare function it(title: string, body: () => Promise<void>): void;
declare function test(title: string, body: () => Promise<void>): void;
declare function expect(value: unknown): {
  toBe(expected: unknown): void;
  readonly rejects: { toMatchObject(expected: object): Promise<void> };
};
declare function provision(puller: import('pull-failover').Puller, image: string): Promise<void>;
`;

const examples: readonly string[] = [
  ...readFileSync(join(packageDirectory, 'README.md'), 'utf8').matchAll(/```ts\n([\s\S]*?)```/g),
].map((match) => `${match[1] ?? ''}${surroundings}`);

const compilerOptions: readonly string[] = [
  ...'--strict --exactOptionalPropertyTypes --noEmit --skipLibCheck false'.split(' '),
  ...'--module nodenext --target es2022 --lib es2022,esnext.disposable'.split(' '),
  // Node's own types are the one thing that a consumer brings.
  '--typeRoots',
  join(packageDirectory, 'node_modules', '@types'),
  '--types',
  'node',
];

describe('a project that installs the packed package', function () {
  this.timeout(300_000);

  requireReal('the npm registry', 'a network on which `npm view debug` answers', canInstall);

  let folder: string;

  before(async () => {
    const tarball = await packPackage();
    folder = mkdtempSync(join(tmpdir(), 'pull-failover-consumer-'));
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'consumer', private: true }));
    for (const [name, text] of Object.entries(programs)) writeFileSync(join(folder, name), text);
    for (const [index, text] of examples.entries()) writeFileSync(join(folder, `example-${index}.mts`), text);
    await runCommandWell(
      'npm',
      ['install', '--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error', tarball],
      folder,
    );
  });

  after(() => {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  });

  for (const [kind, program] of [
    ['import', 'run.mjs'],
    ['require', 'run.cjs'],
  ] as const) {
    it(`loads and uses both entries through ${kind}`, async () => {
      const { exitCode, stdout, stderr } = await runCommand(process.execPath, [program], folder);
      expect({ exitCode, stdout, stderr: stderr.replace(/^.*ExperimentalWarning[\s\S]*$/m, '') }).to.deep.equal({
        exitCode: 0,
        stdout: 'used\n',
        stderr: '',
      });
    });
  }

  for (const [kind, program] of [
    ['an ES module', 'typed.mts'],
    ['a CommonJS module', 'typed.cts'],
  ] as const) {
    it(`compiles in ${kind} under nodenext, with values of either entry passed to the other`, async () => {
      const { exitCode, stdout } = await runCommand(
        process.execPath,
        [compilerPath, ...compilerOptions, program],
        folder,
      );
      expect({ exitCode, stdout }).to.deep.equal({ exitCode: 0, stdout: '' });
    });
  }

  it('compiles the examples of the README', async () => {
    expect(examples).to.have.length.of.at.least(2);
    const files = examples.map((_, index) => `example-${index}.mts`);
    const { exitCode, stdout } = await runCommand(
      process.execPath,
      [compilerPath, ...compilerOptions, ...files],
      folder,
    );
    expect({ exitCode, stdout }).to.deep.equal({ exitCode: 0, stdout: '' });
  });

  it('has the command pull-failover, which tells how it is used', async () => {
    const { exitCode, stdout } = await runCommand(join(folder, 'node_modules/.bin/pull-failover'), ['--help'], folder);
    expect(exitCode).to.equal(0);
    expect(stdout).to.include('Usage: pull-failover');
    for (const name of ['pull', 'explain', 'drill'])
      expect(stdout).to.match(new RegExp(`^ {2}${name} \\[options\\]`, 'm'));
  });

  it('gets nothing installed that is there for development only', async () => {
    const listed = JSON.parse(await runCommandWell('npm', ['ls', '--all', '--json', '--loglevel=error'], folder)) as {
      readonly dependencies: Readonly<Record<string, { readonly dependencies: Readonly<Record<string, unknown>> }>>;
    };
    const direct = Object.keys(listed.dependencies['pull-failover']?.dependencies ?? {});
    expect(direct.filter((name) => /^(?:@types\/|mocha|chai|tsx|typescript)/.test(name))).to.deep.equal([]);
  });
});
