import { readdirSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { join } from 'node:path';
import { expect } from 'chai';
import { codeWords, readMarkdownTable } from './markdown-table.js';
import { importedFile, packageDirectory, readSourceFiles, roomOf } from './source-file.js';

/** The map is the rule: the floors are read from where people read them. */
function readFloors(): ReadonlyMap<string, number> {
  const map = readFileSync(join(packageDirectory, 'lib/README.md'), 'utf8');
  return new Map(
    readMarkdownTable(map, 'room').map(([room = '', floor = '']) => [codeWords(room)[0] ?? '', Number(floor)]),
  );
}

function dependencyNames(): readonly string[] {
  const manifest = JSON.parse(readFileSync(join(packageDirectory, 'package.json'), 'utf8')) as {
    readonly dependencies: Readonly<Record<string, string>>;
  };
  return Object.keys(manifest.dependencies);
}

describe('the house', () => {
  const floors = readFloors();
  const files = readSourceFiles();

  it('has every room and every file outside a room on exactly one floor of the map, and nothing else on the map', () => {
    const found = readdirSync(join(packageDirectory, 'lib'), { withFileTypes: true })
      .filter((entry) => entry.isDirectory() || entry.name.endsWith('.ts'))
      .map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name));
    expect([...floors.keys()].toSorted()).to.deep.equal(found.toSorted());
    for (const [room, floor] of floors) expect(floor, room).to.satisfy(Number.isInteger);
  });

  it('lets a room import only from itself or from a lower floor, types included', () => {
    const upward: string[] = [];
    for (const file of files) {
      for (const specifier of file.imports.filter((name) => name.startsWith('.'))) {
        const target = importedFile(file, specifier);
        const room = roomOf(target);
        if (room === file.room) continue;
        const from = floors.get(file.room) ?? Number.NaN;
        const to = floors.get(room) ?? Number.NaN;
        if (!(to < from)) upward.push(`${file.path} (floor ${from}) imports ${target} (floor ${to})`);
      }
    }
    expect(upward).to.deep.equal([]);
  });

  it('names a file of lib/ by its .js specifier, and nothing outside lib/', () => {
    const paths = new Set(files.map((file) => file.path));
    const wrong = files.flatMap((file) =>
      file.imports
        .filter((name) => name.startsWith('.'))
        .filter((name) => !name.endsWith('.js') || !paths.has(importedFile(file, name)))
        .map((name) => `${file.path} imports ${name}`),
    );
    expect(wrong).to.deep.equal([]);
  });

  it('imports only built-in modules, by their node: names, and packages that are installed with it', () => {
    const allowed = dependencyNames();
    const wrong = files.flatMap((file) =>
      file.imports
        .filter((name) => !name.startsWith('.'))
        .filter((name) => !(name.startsWith('node:') && isBuiltin(name)))
        .filter((name) => !allowed.some((dependency) => name === dependency || name.startsWith(`${dependency}/`)))
        .map((name) => `${file.path} imports ${name}`),
    );
    expect(wrong).to.deep.equal([]);
  });

  it('sees the imports that it judges', () => {
    const seen = files.flatMap((file) => file.imports);
    expect(seen.length).to.be.greaterThan(files.length);
    expect(files.find((file) => file.path === 'events/pull-event.ts')?.imports).to.include('../vocabulary/digest.js');
  });
});
