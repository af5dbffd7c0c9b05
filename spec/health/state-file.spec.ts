import { expect } from 'chai';
import createDebug from 'debug';
import { readdirSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DocumentKind, StateDocument } from '../../lib/health/state-document.js';
import { openStateStore } from '../../lib/health/state-store.js';
import { useTemporaryDirectory } from '../support/temporary-directory.js';

const numbers: DocumentKind<readonly number[]> = {
  name: 'numbers',
  empty: [],
  parse: (value) => {
    if (!Array.isArray(value) || !value.every((each) => typeof each === 'number')) throw new TypeError('no numbers');
    return value;
  },
  format: (document) => document,
};

const add =
  (number: number) =>
  (kept: readonly number[]): readonly number[] => [...kept, number];

describe('a state document', () => {
  const temporary = useTemporaryDirectory();
  let stateDir: string;
  const file = (name: string): string => join(stateDir, name);

  beforeEach(() => {
    stateDir = join(temporary.path, 'var', 'state');
  });

  const open = (): StateDocument<readonly number[]> => openStateStore(stateDir).document(numbers);

  it('is empty before anything was kept, and creates nothing by being read', async () => {
    expect(await open().read()).to.deep.equal([]);
    expect(await readdir(temporary.path)).to.deep.equal([]);
  });

  it('survives the process, as one JSON file and nothing beside it', async () => {
    expect(await open().update(add(1))).to.deep.equal([1]);
    expect(await open().update(add(2))).to.deep.equal([1, 2]);
    expect(await open().read()).to.deep.equal([1, 2]);
    expect(await readdir(stateDir)).to.deep.equal(['numbers.json']);
    expect(JSON.parse(await readFile(file('numbers.json'), 'utf8'))).to.deep.equal([1, 2]);
  });

  it('loses no update of many at once, through one and through several stores', async () => {
    const documents = [open(), open(), open()];
    await Promise.all(Array.from({ length: 30 }, (_, index) => (documents[index % 3] ?? open()).update(add(index))));
    expect([...(await open().read())].toSorted((a, b) => a - b)).to.deep.equal(
      Array.from({ length: 30 }, (_, index) => index),
    );
  });

  it('sees what another store wrote', async () => {
    const one = open();
    const other = open();
    await one.update(add(1));
    expect(await other.read()).to.deep.equal([1]);
    await one.update(add(2));
    expect(await other.read()).to.deep.equal([1, 2]);
  });

  it('changes what is kept once more when somebody who had lost the lock wrote meanwhile', async () => {
    const document = open();
    await document.update(add(1));
    let rounds = 0;
    const kept = await document.update((found) => {
      rounds += 1;
      if (rounds === 1) writeFileSync(file('numbers.json'), '[1,50]');
      return [...found, 2];
    });
    expect(kept).to.deep.equal([1, 50, 2]);
    expect(rounds).to.equal(2);
    expect(await readdir(stateDir)).to.deep.equal(['numbers.json']);
  });

  it('gives up an update, and says so, when somebody always writes meanwhile', async () => {
    const document = open();
    let rounds = 0;
    const kept = await document.update(() => {
      rounds += 1;
      writeFileSync(file('numbers.json'), JSON.stringify([rounds * 100]));
      return [2];
    });
    expect(kept).to.equal(null);
    expect(rounds).to.be.within(2, 10);
    expect(await readdir(stateDir)).to.deep.equal(['numbers.json']);
  });

  it('is written also when its new file was taken for a leftover by one that had lost the lock', async () => {
    const document = open();
    await document.update(add(1));
    let swept = 0;
    const sweep = (): void => {
      for (const name of readdirSync(stateDir).filter((each) => each.endsWith('.tmp'))) {
        unlinkSync(file(name));
        swept += 1;
      }
      // Looks between any two steps of the one that writes.
      if (swept === 0) looking = setImmediate(sweep);
    };
    let looking = setImmediate(sweep);
    try {
      expect(await document.update(add(2))).to.deep.equal([1, 2]);
    } finally {
      clearImmediate(looking);
    }
    expect(swept).to.equal(1);
    expect(await open().read()).to.deep.equal([1, 2]);
    expect(await readdir(stateDir)).to.deep.equal(['numbers.json']);
  });

  it('is not set aside by one that found it broken, had lost the lock, and comes after it was mended', async () => {
    await mkdir(stateDir, { recursive: true });
    await writeFile(file('numbers.json'), '"broken"');
    const late = openStateStore(stateDir).document({
      ...numbers,
      parse: (value) => {
        if (value !== 'broken') return numbers.parse(value);
        // Suspended here, until another process took the lock for stale.
        renameSync(file('numbers.json'), file('numbers.json.broken'));
        writeFileSync(file('numbers.json'), '[7]');
        throw new TypeError('no numbers');
      },
    });
    expect(await late.update(add(1))).to.deep.equal([7, 1]);
    expect(await open().read()).to.deep.equal([7, 1]);
    expect(await readFile(file('numbers.json.broken'), 'utf8')).to.equal('"broken"');
  });

  for (const [what, content] of [
    ['is empty', ''],
    ['is cut short', '[1, 2'],
    ['is no JSON', '\u0000\u0000\u0000'],
    ['holds another document', '{"version":1}'],
  ] as const) {
    it(`whose file ${what} counts as empty, and the file is set aside by the next update`, async () => {
      await mkdir(stateDir, { recursive: true });
      await writeFile(file('numbers.json'), content);
      const document = open();
      expect(await document.read()).to.deep.equal([]);
      expect(await readFile(file('numbers.json'), 'utf8'), 'reading changes nothing').to.equal(content);
      expect(await document.update(add(1))).to.deep.equal([1]);
      expect((await readdir(stateDir)).toSorted()).to.deep.equal(['numbers.json', 'numbers.json.broken']);
      expect(await readFile(file('numbers.json.broken'), 'utf8')).to.equal(content);
      expect(await open().read()).to.deep.equal([1]);
    });
  }

  it('says in the log that its file was broken', async () => {
    await mkdir(stateDir, { recursive: true });
    await writeFile(file('numbers.json'), '[1, 2');
    const lines: string[] = [];
    const print = createDebug.log;
    const before = createDebug.disable();
    createDebug.log = (...words: unknown[]) => lines.push(words.join(' '));
    createDebug.enable('pull-failover:state');
    try {
      await open().read();
    } finally {
      createDebug.log = print;
      createDebug.enable(before);
    }
    expect(lines.join('\n'))
      .to.match(/broken/)
      .and.include(file('numbers.json'));
  });

  it('does not read a file into memory that cannot be one of ours', async () => {
    await mkdir(stateDir, { recursive: true });
    await writeFile(file('numbers.json'), '');
    await truncate(file('numbers.json'), 33 * 1024 * 1024);
    const document = open();
    expect(await document.read()).to.deep.equal([]);
    expect(await document.update(add(1))).to.deep.equal([1]);
  });

  it('removes what a process left that was killed while it wrote', async () => {
    await mkdir(stateDir, { recursive: true });
    await writeFile(file('numbers.json.0123456789ab.tmp'), '[1');
    await writeFile(file('others.json.0123456789ab.tmp'), '[1');
    await open().update(add(1));
    expect((await readdir(stateDir)).toSorted()).to.deep.equal(['numbers.json', 'others.json.0123456789ab.tmp']);
  });

  it('takes over the lock of a process that was killed', async () => {
    await mkdir(file('numbers.json.lock'), { recursive: true });
    const longAgo = new Date(Date.now() - 60_000);
    await utimes(file('numbers.json.lock'), longAgo, longAgo);
    expect(await open().update(add(1))).to.deep.equal([1]);
    expect(await readdir(stateDir)).to.deep.equal(['numbers.json']);
  });

  it('says that an update could not be written, and throws nothing, where the directory is a file', async () => {
    await mkdir(join(temporary.path, 'var'));
    await writeFile(stateDir, '');
    const document = open();
    expect(await document.read()).to.deep.equal([]);
    expect(await document.update(add(1))).to.equal(null);
    await rm(stateDir);
    expect(await document.update(add(2)), 'the disk is well again').to.deep.equal([2]);
  });

  it('does not wait where no waiting helps: for a lock that cannot be made', async () => {
    // Long enough that its lock has a name that no file system takes, while its file has none of that.
    const document = openStateStore(stateDir).document({ ...numbers, name: 'n'.repeat(250) });
    const beganAtMs = performance.now();
    expect(await document.update(add(1))).to.equal(null);
    expect(performance.now() - beganAtMs).to.be.below(5_000);
  });

  it('says that an update could not be written where its file is a directory, and leaves nothing behind', async () => {
    await mkdir(file('numbers.json'), { recursive: true });
    const document = open();
    expect(await document.read()).to.deep.equal([]);
    expect(await document.update(add(1))).to.equal(null);
    expect(await readdir(stateDir)).to.deep.equal(['numbers.json']);
  });

  it('goes on after a change that throws', async () => {
    const document = open();
    const thrown = await document.update(() => {
      throw new Error('no');
    });
    expect(thrown).to.equal(null);
    expect(await document.update(add(1))).to.deep.equal([1]);
  });

  it('keeps what it read last while its file cannot be read', async () => {
    const document = open();
    await document.update(add(1));
    await rm(file('numbers.json'));
    await mkdir(file('numbers.json'));
    expect(await document.read()).to.deep.equal([1]);
  });

  it('is kept in memory where there is no directory', async () => {
    const document = openStateStore(null).document(numbers);
    await document.update(add(1));
    await document.update(add(2));
    expect(await document.read()).to.deep.equal([1, 2]);
  });

  for (const name of ['', '../numbers', 'a/b', 'A', 'a.b']) {
    it(`is not called ${JSON.stringify(name)}`, () => {
      expect(() => openStateStore(stateDir).document({ ...numbers, name })).to.throw(TypeError);
    });
  }
});
