import { expect } from 'chai';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, readdir, readFile, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { InvalidOptionError } from '../../../lib/errors/invalid-option-error.js';
import { idOf, type ControlEntry } from '../../../lib/health/control/control-entry.js';
import { parseControlFile, readControlFile, updateControlFile } from '../../../lib/health/control/control-file.js';
import { useTemporaryDirectory } from '../../support/temporary-directory.js';

const quay = 'quay.io/aptible';
const hub = 'docker.io/aptible';
const ban = (id: string): ControlEntry => ({ id, act: 'ban', registry: quay });

describe('a control file', () => {
  const temporary = useTemporaryDirectory();
  const path = (): string => join(temporary.path, 'control.json');

  it('that is missing says nothing', async () => {
    expect(await readControlFile(path())).to.deep.equal({ kind: 'missing' });
    expect(await readControlFile(join(temporary.path, 'no', 'control.json'))).to.deep.equal({ kind: 'missing' });
  });

  it('is read as people write it', async () => {
    await writeFile(
      path(),
      `\ufeff{
  "version": 1,
  "controls": [
    { "act": "prefer", "registry": "index.docker.io/aptible", "scope": { "operationKind": "database" }, "until": "2017-07-26T22:46:00+02:00" }
  ]
}`,
    );
    const found = await readControlFile(path());
    if (found.kind !== 'read') throw new Error(`it was not read: ${found.kind}`);
    expect(found.controls).to.deep.equal([
      {
        id: idOf({ act: 'prefer', registry: hub, scope: { operationKind: 'database' } }),
        act: 'prefer',
        registry: hub,
        scope: { operationKind: 'database' },
        reason: '',
        actor: null,
        sinceMs: null,
        untilMs: Date.UTC(2017, 6, 26, 20, 46),
        inFlight: 'move',
        as: null,
        force: false,
      },
    ]);
  });

  it('gives the same entry the same id on every host, and others another', () => {
    const idsOf = (...entries: readonly object[]): readonly string[] =>
      parseControlFile(JSON.stringify({ version: 1, controls: entries })).controls.map(({ id }) => id);
    const entry = { act: 'ban', registry: hub };
    const [first] = idsOf(entry);
    expect(first).to.match(/^ban-[0-9a-f]{12}$/);
    expect(idsOf({ registry: 'index.docker.io/aptible', reason: 'y', act: 'ban', scope: {} })).to.deep.equal([first]);
    const all = idsOf(
      entry,
      { ...entry, act: 'prefer' },
      { ...entry, registry: quay },
      { ...entry, scope: { phase: 'layers' } },
      { ...entry, scope: { operationKind: 'layers' } },
      { ...entry, scope: { replicaSet: 'layers' } },
    );
    expect(new Set(all).size).to.equal(all.length);
  });

  for (const [what, content, problem] of [
    ['is empty', '', /^file is not JSON/],
    ['is cut short', '{"version":1,"controls":[', /^file is not JSON/],
    ['is no JSON', '{"version":1,\n"controls":[],\n}', /^file is not JSON \(line 3\)/],
    ['is a list', '[]', /^file must hold an object/],
    ['is null', 'null', /^file must hold an object/],
    ['does not say its version', '{"controls":[]}', /^version must be 1, got undefined/],
    ['is of a later version', '{"version":2,"controls":[],"more":1}', /^version must be 1, got 2/],
    [
      'says something unknown',
      '{"version":1,"controls":[{"act":"ban","registry":"quay.io","for":"2h"}]}',
      /controls\[0\]\.for is unknown/,
    ],
  ] as const) {
    it(`that ${what} is refused with what is wrong`, async () => {
      await writeFile(path(), content);
      const found = await readControlFile(path());
      expect(found).to.include({ kind: 'refused' });
      expect(found.kind === 'refused' && found.problem).to.match(problem);
    });
  }

  it('repeats nothing that may be a secret when it is refused', async () => {
    await writeFile(path(), '{"version":1,"controls":[],"password":"hunter2", hunter2');
    expect(
      JSON.stringify(await readControlFile(path()), (_, value) => (typeof value === 'bigint' ? 0 : value)),
    ).to.not.include('hunter2');
    await writeFile(path(), '{"version":1,"controls":[],"password":"hunter2"}');
    expect(
      JSON.stringify(await readControlFile(path()), (_, value) => (typeof value === 'bigint' ? 0 : value)),
    ).to.not.include('hunter2');
  });

  it('is not read when it is no file, or too large for one', async () => {
    await mkdir(path());
    expect(await readControlFile(path())).to.include({ kind: 'refused', problem: 'is not a file' });
    const large = join(temporary.path, 'large.json');
    await writeFile(large, '{');
    await truncate(large, 1024 * 1024 + 1);
    expect(await readControlFile(large)).to.include({ kind: 'refused', problem: 'holds more than 1048576 bytes' });
  });

  it('is taken or refused in words, whatever text it is', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.json(),
          fc.string(),
          fc.json().map((text) => `{"version":1,"controls":[${text}]}`),
        ),
        (text) => {
          try {
            parseControlFile(text);
          } catch (error) {
            if (!(error instanceof InvalidOptionError)) throw error;
          }
        },
      ),
    );
  });

  describe('when it is written', () => {
    it('is created with its directory, for people to read', async () => {
      const file = join(temporary.path, 'etc', 'pull-failover', 'control.json');
      await updateControlFile(file, () => [ban('a')]);
      expect(await readFile(file, 'utf8')).to.equal(
        `${JSON.stringify({ version: 1, controls: [ban('a')] }, null, 2)}\n`,
      );
      expect(await readdir(join(file, '..'))).to.deep.equal(['control.json']);
    });

    it('keeps what others wrote as they wrote it, without what is over', async () => {
      const kept = { id: 'b', act: 'prefer', registry: 'index.docker.io/aptible', until: '2999-01-01T00:00:00Z' };
      const over = { id: 'c', act: 'prefer', registry: hub, until: '2017-07-26T20:46:00Z' };
      await writeFile(path(), JSON.stringify({ version: 1, controls: [kept, over] }));
      await updateControlFile(path(), (entries) => [...entries, ban('a')]);
      expect(JSON.parse(await readFile(path(), 'utf8'))).to.deep.equal({ version: 1, controls: [kept, ban('a')] });
    });

    it('is left as it is when it is broken, or would be', async () => {
      await writeFile(path(), '{"version":1');
      const failure = await updateControlFile(path(), () => []).then(
        () => null,
        (error: unknown) => error,
      );
      expect(failure).to.be.instanceOf(InvalidOptionError);
      expect(String(failure)).to.match(/control\.json: file is not JSON.*it is left as it is/);
      expect(await readFile(path(), 'utf8')).to.equal('{"version":1');

      await writeFile(path(), '{"version":1,"controls":[]}');
      const twice = await updateControlFile(path(), () => [ban('a'), ban('a')]).then(
        () => null,
        (error: unknown) => error,
      );
      expect(String(twice)).to.match(/controls\[1\] has the id 'a'/);
      expect(await readFile(path(), 'utf8')).to.equal('{"version":1,"controls":[]}');
      expect(await readdir(temporary.path)).to.deep.equal(['control.json']);
    });

    it('stays readable by whoever could read it, and a link stays a link', async () => {
      const target = join(temporary.path, 'target.json');
      await writeFile(target, '{"version":1,"controls":[]}');
      await chmod(target, 0o640);
      await symlink('target.json', path());
      await updateControlFile(path(), () => [ban('a')]);
      expect((await stat(target)).mode & 0o777).to.equal(0o640);
      expect((await readdir(temporary.path)).toSorted()).to.deep.equal(['control.json', 'target.json']);
      expect(JSON.parse(await readFile(target, 'utf8'))).to.deep.equal({ version: 1, controls: [ban('a')] });
    });

    it('loses nothing of what several processes write at once', async function () {
      this.timeout(60_000);
      const script = `
        import { updateControlFile } from ${JSON.stringify(new URL('../../../lib/health/control/control-file.ts', import.meta.url).href)};
        const [path, name] = process.argv.slice(1);
        for (let index = 0; index < 5; index += 1)
          await updateControlFile(path, (entries) => [...entries, { id: name + index, act: 'ban', registry: 'quay.io/x' }]);`;
      const writers = ['a', 'b', 'c'].map((name) =>
        spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', script, path(), name], {
          stdio: 'inherit',
          cwd: fileURLToPath(new URL('../../..', import.meta.url)),
        }),
      );
      const codes = await Promise.all(writers.map(async (writer) => (await once(writer, 'exit'))[0]));
      expect(codes).to.deep.equal([0, 0, 0]);
      const found = await readControlFile(path());
      expect(found.kind === 'read' && found.controls.map(({ id }) => id).toSorted()).to.deep.equal(
        ['a', 'b', 'c'].flatMap((name) => [0, 1, 2, 3, 4].map((index) => `${name}${index}`)),
      );
      expect(await readdir(temporary.path)).to.deep.equal(['control.json']);
    });

    it('keeps what an editor wrote meanwhile, who asks for no lock', async () => {
      let rounds = 0;
      await updateControlFile(path(), (entries) => {
        rounds += 1;
        if (rounds === 1) writeFileSync(path(), JSON.stringify({ version: 1, controls: [ban('editor')] }));
        return [...entries, ban('a')];
      });
      const found = await readControlFile(path());
      expect(found.kind === 'read' && found.controls.map(({ id }) => id)).to.deep.equal(['editor', 'a']);
    });

    it('removes what a process left that was killed while it wrote', async () => {
      await writeFile(join(temporary.path, 'control.json.0123456789ab.tmp'), '{');
      await writeFile(join(temporary.path, 'other.json.0123456789ab.tmp'), '{');
      await updateControlFile(path(), () => []);
      expect((await readdir(temporary.path)).toSorted()).to.deep.equal(['control.json', 'other.json.0123456789ab.tmp']);
    });
  });
});
