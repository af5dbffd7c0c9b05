import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { logAreas } from '../../lib/log/log.js';
import { parseTransferOptions } from '../../lib/failover/transfer-options.js';
import { openOptionBag } from '../../lib/policy/option-bag.js';
import { resolveLimits } from '../../lib/policy/limits.js';
import { codeWords, readMarkdownTable } from './markdown-table.js';
import { packageDirectory, readSourceFiles } from './source-file.js';

describe('the README', () => {
  const readme = readFileSync(join(packageDirectory, 'README.md'), 'utf8');
  const source = (path: string): string => readFileSync(join(packageDirectory, 'lib', path), 'utf8');
  const column = (table: string, index: number): string[] =>
    readMarkdownTable(readme, table)
      .map((row) => codeWords(row[index] ?? '')[0] ?? '')
      .toSorted();

  it('has exactly the error codes that exist, each with its class', () => {
    const codes = [...source('vocabulary/error-code.ts').matchAll(/'(ERR_[A-Z_]+)'/g)].map((match) => match[1] ?? '');
    expect(column('error', 1)).to.deep.equal(codes.toSorted());
    for (const [cell = '', code = ''] of readMarkdownTable(readme, 'error')) {
      const name = codeWords(cell)[0] ?? '';
      const file = name.replace(/(?<=[a-z])[A-Z]/g, (letter) => `-${letter}`).toLowerCase();
      expect(source(`errors/${file}.ts`), name).to.include(`code: '${codeWords(code)[0] ?? ''}'`);
    }
    const classes = readdirSync(join(packageDirectory, 'lib/errors')).filter((name) => name.endsWith('-error.ts'));
    // The base has no code of its own.
    expect(column('error', 0)).to.have.length(classes.length - 1);
  });

  it('has exactly the events that exist', () => {
    const types = [
      ...source('events/pull-event.ts').matchAll(/(?:Of(?:Pull|Circuit)|extends Stamp)<'([a-z-]+:[a-z-]+)'>/g),
    ].map((match) => match[1] ?? '');
    expect(column('event', 0)).to.deep.equal(types.toSorted());
  });

  it('says everything that is said of a registry', () => {
    const [, served = ''] = /export interface Served \{(.*?)\n\}/s.exec(source('vocabulary/report.ts')) ?? [];
    const keys = [...served.matchAll(/^  readonly (\w+):/gm)].map((match) => match[1] ?? '');
    expect(keys).to.include('bytes');
    expect(column('served', 0)).to.deep.equal(keys.toSorted());
  });

  it('has exactly the DEBUG namespaces that exist, and the code writes to no other', () => {
    const namespaces = Object.entries(logAreas).map(([area, what]) => [
      `pull-failover:${area}`,
      what.replaceAll('`', ''),
    ]);
    expect(
      readMarkdownTable(readme, 'namespace').map(([name = '', what = '']) => [
        codeWords(name)[0],
        what.replaceAll('`', ''),
      ]),
    ).to.deep.equal(namespaces);
    // A listener's failure is logged below the room log, and may be logged nowhere else.
    const opened = readSourceFiles().flatMap((file) =>
      [...file.text.matchAll(/createLog\('([^']+)'\)|createDebug\('pull-failover:([^']+)'\)/g)].map(
        (match) => match[1] ?? match[2] ?? '',
      ),
    );
    expect(new Set(opened)).to.deep.equal(new Set(Object.keys(logAreas)));
    const direct = readSourceFiles().filter((file) => file.imports.includes('debug'));
    expect(direct.map((file) => file.path)).to.deep.equal(['events/listener-failure.ts', 'log/log.ts']);
  });

  it('has every limit with the default that holds', () => {
    const limits = Object.entries(resolveLimits([])).flatMap(([group, values]) =>
      Object.entries(values as Readonly<Record<string, number>>).map(([key, value]) => [
        `${group}.${key}`,
        value === Infinity ? 'no limit' : value.toLocaleString('en-US'),
      ]),
    );
    expect(
      readMarkdownTable(readme, 'limit').map(([name = '', value = '']) => [codeWords(name)[0] ?? '', value]),
    ).to.deep.equal(limits);
  });

  it('has every option of how bytes are moved with the default that holds', () => {
    const { hedge, ...settings } = parseTransferOptions(openOptionBag('', {}, ['transfer']));
    const named = [
      ...Object.entries(settings),
      ...Object.entries(hedge).map(([key, value]) => [`hedge.${key}`, value]),
    ];
    expect(
      readMarkdownTable(readme, 'transfer').map(([name = '', value = '']) => [codeWords(name)[0] ?? '', value]),
    ).to.deep.equal(named.map(([key, value]) => [key, value === null ? 'measured' : value?.toLocaleString('en-US')]));
  });

  it('links to files that exist', () => {
    const links = [...readme.matchAll(/\]\((?!https?:)([^)#]+)\)/g)].map((match) => match[1] ?? '');
    expect(links).to.not.be.empty;
    for (const link of links) expect(() => readFileSync(join(packageDirectory, link)), link).to.not.throw();
  });

  it('begins with the two commands, and they are scripts of the package', () => {
    const { scripts } = JSON.parse(readFileSync(join(packageDirectory, 'package.json'), 'utf8')) as {
      readonly scripts: Readonly<Record<string, string>>;
    };
    expect(readme).to.match(/^npm ci && npm run drill\b/m);
    expect(readme).to.match(/^npm ci && npm test\b/m);
    expect(scripts).to.include.keys('drill', 'test');
  });
});
