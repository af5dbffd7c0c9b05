import { readdirSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { join } from 'node:path';
import { expect } from 'chai';
import { compilePackage, packageDirectory } from './packed-package.js';
import { entryDeclaration, rollUp, type RollUp } from './roll-up.js';

describe('typings/', () => {
  let made: RollUp;

  before(async function () {
    this.timeout(240_000);
    made = rollUp(join(await compilePackage(), 'dist'));
  });

  it('is what `npm run typings` makes of lib/ now', () => {
    const folder = join(packageDirectory, 'typings');
    expect(readdirSync(folder).toSorted()).to.deep.equal([...made.files.keys()].toSorted());
    for (const [name, text] of made.files) expect(readFileSync(join(folder, name), 'utf8'), name).to.equal(text);
  });

  it('lists every type that a public name mentions', () => {
    expect(made.complaints).to.deep.equal([]);
  });

  it('documents every public name', () => {
    const lines = (made.files.get('api.d.ts') ?? '').split('\n');
    const bare = lines.filter(
      (line, index) => line.startsWith('export declare ') && !(lines[index - 1] ?? '').endsWith('*/'),
    );
    expect(bare).to.deep.equal([]);
  });

  it('needs no types but those of Node', () => {
    const text = made.files.get('api.d.ts') ?? '';
    const modules = [...text.matchAll(/(?:\bfrom|\bimport\(|<reference types=)\s*['"]([^'"]+)['"]/g)].map(
      (match) => match[1] ?? '',
    );
    expect(modules.filter((name) => !isBuiltin(name) && name !== 'node')).to.deep.equal([]);
  });

  it('makes one file per entry, which only re-exports from the roll-up', () => {
    expect([...made.files.keys()]).to.deep.equal(['api.d.ts', 'index.d.ts', 'incidents.d.ts', 'testing.d.ts']);
    const source =
      "export { b, type C, a as d } from './x.js';\nexport type { E } from './y.js';\nexport type * from './z.js';\n";
    const read = (specifier: string): string =>
      `export type G = '${specifier}';\ninterface Hidden {}\nexport interface F {}\n`;
    expect(entryDeclaration(source, read)).to.equal(
      "export {\n  b,\n  d,\n} from './api.js';\nexport type {\n  C,\n  E,\n  F,\n  G,\n} from './api.js';\n",
    );
    for (const wrong of ["export * from './x.js';", 'export declare const a: 1;']) {
      expect(() => entryDeclaration(wrong, read), wrong).to.throw('lists names and does nothing else');
    }
  });
});
