import { expect } from 'chai';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { mkdir, open, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { updateControlFile } from '../../../lib/health/control/control-file.js';
import type { DeclaredFile } from '../../../lib/health/control/controls.js';
import { followControlFile, type FollowedFile } from '../../../lib/health/control/follow-control-file.js';
import { useTemporaryDirectory } from '../../support/temporary-directory.js';
import { until } from '../../support/until.js';

const good = (...ids: readonly string[]): string =>
  JSON.stringify({ version: 1, controls: ids.map((id) => ({ id, act: 'ban', registry: 'quay.io/x' })) });

describe('following a control file', function () {
  this.timeout(30_000);
  const temporary = useTemporaryDirectory();
  const path = (): string => join(temporary.path, 'control.json');
  const followed: FollowedFile[] = [];

  afterEach(() => {
    for (const each of followed.splice(0)) each.close();
  });

  /** What the file said, one after the other without repetitions, and what was refused. */
  function follow(file: string = path()): {
    readonly followed: FollowedFile;
    readonly said: string[];
    readonly refused: string[];
  } {
    const said: string[] = [];
    const refused: string[] = [];
    const each = followControlFile(file, {
      takeFile: ({ controls }: DeclaredFile) => {
        const ids = controls.map(({ id }) => id).join(' ');
        if (said.at(-1) !== ids) said.push(ids);
      },
      refuseFile: (message) => refused.push(message),
    });
    followed.push(each);
    return { followed: each, said, refused };
  }

  it('says what is in it when it begins, and nothing of one that is missing', async () => {
    await writeFile(path(), good('a'));
    const here = follow();
    await here.followed.look();
    expect(here.said).to.deep.equal(['a']);
    const missing = follow(join(temporary.path, 'missing.json'));
    await missing.followed.look();
    expect([missing.said, missing.refused]).to.deep.equal([[''], []]);
  });

  it('says within a second what was written durably, moved there, or copied over it', async () => {
    const { followed: each, said, refused } = follow();
    await each.look();
    const changes: readonly (readonly [string, () => Promise<unknown>])[] = [
      ['a', () => updateControlFile(path(), () => [{ id: 'a', act: 'ban', registry: 'quay.io/x' }])],
      [
        'b',
        async () => {
          await writeFile(join(temporary.path, 'new'), good('b'));
          await rename(join(temporary.path, 'new'), path());
        },
      ],
      ['c', () => writeFile(path(), good('c'))],
    ];
    for (const [id, change] of changes) {
      await change();
      const startedMs = performance.now();
      await until(() => said.at(-1) === id);
      expect(performance.now() - startedMs).to.be.below(3_000);
    }
    expect(refused).to.deep.equal([]);
  });

  it('knows what is written now when it is asked, without waiting to be told', async () => {
    const { followed: each, said } = follow();
    for (const id of ['a', 'b', 'c', 'd']) {
      await writeFile(path(), good(id));
      await Promise.all([each.look(), each.look(), each.look()]);
      expect(said.at(-1)).to.equal(id);
    }
  });

  it('never takes what was there for what is there, however fast it changes', async () => {
    const { followed: each, said } = follow();
    for (let round = 0; round < 40; round += 1) {
      writeFileSync(path(), good(`a${round % 10}`));
      await each.look();
      // Within the same tick of the file system's clock, and of the same length.
      writeFileSync(path(), good(`b${round % 10}`));
      if (round % 2 === 0) {
        await until(() => said.at(-1) === `b${round % 10}`);
      } else {
        // A look that has begun may be anywhere by then.
        void each.look();
        for (let turn = round % 8; turn > 0; turn -= 1) await new Promise((resolve) => setImmediate(resolve));
        writeFileSync(path(), good(`c${round % 10}`));
        await each.look();
        expect(said.at(-1)).to.equal(`c${round % 10}`);
      }
    }
  });

  it('sees a change that shows neither in the size nor in the time of the file', async () => {
    const { followed: each, said } = follow();
    await writeFile(path(), good('a'));
    const handle = await open(path(), 'r+');
    try {
      const { atime, mtime } = await handle.stat();
      await each.look();
      await handle.write(good('b'), 0);
      await handle.utimes(atime, mtime);
    } finally {
      await handle.close();
    }
    await until(() => said.at(-1) === 'b');
  });

  it('refuses a broken one once, keeps what it said before, and takes it when it is mended', async () => {
    await writeFile(path(), good('a'));
    const { said, refused } = follow();
    await until(() => said.length === 1);
    await writeFile(path(), '{"version":1,"controls":[{"act":"kill"}]}');
    await until(() => refused.length === 1);
    expect(refused[0]).to.match(
      /^The control file .*control\.json is refused, and what it said before stays in force: controls\[0\]\.act must be/,
    );
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect([said, refused.length]).to.deep.equal([['a'], 1]);
    await writeFile(path(), good('b'));
    await until(() => said.at(-1) === 'b');
    await writeFile(path(), '{"version":1,"controls":[{"act":"kill"}]}');
    await until(() => refused.length === 2);
  });

  it('does not refuse what is only half there yet', async () => {
    await writeFile(path(), good('a'));
    const { followed: each, said, refused } = follow();
    await each.look();
    const text = good('b', 'c');
    const handle = await open(path(), 'w');
    try {
      for (let at = 0; at < text.length; at += 10) {
        await handle.write(text.slice(at, at + 10));
        await each.look();
      }
    } finally {
      await handle.close();
    }
    await each.look();
    expect([said, refused]).to.deep.equal([['a', 'b c'], []]);
  });

  it('takes a removed one for one that says nothing, but not one that is replaced', async () => {
    await writeFile(path(), good('a'));
    const { followed: each, said } = follow();
    await each.look();
    await rm(path());
    await each.look();
    await writeFile(path(), good('b'));
    await each.look();
    expect(said).to.deep.equal(['a', 'b']);
    await rm(path());
    await until(() => said.length === 3);
    expect(said[2]).to.equal('');
  });

  it('finds one whose directory comes later, and goes, and comes again', async () => {
    const directory = join(temporary.path, 'etc');
    const file = join(directory, 'control.json');
    const { said } = follow(file);
    await until(() => said.length === 1);
    for (const id of ['a', 'b']) {
      await mkdir(directory);
      await writeFile(file, good(id));
      await until(() => said.at(-1) === id);
      await rm(directory, { recursive: true });
      await until(() => said.at(-1) === '');
    }
  });

  it('follows links as a cluster replaces them', async () => {
    for (const id of ['a', 'b']) {
      await mkdir(join(temporary.path, `..${id}`));
      await writeFile(join(temporary.path, `..${id}`, 'control.json'), good(id));
    }
    await symlink('..a', join(temporary.path, '..data'));
    await symlink(join('..data', 'control.json'), path());
    const { said } = follow();
    await until(() => said.at(-1) === 'a');
    await symlink('..b', join(temporary.path, '..new'));
    await rename(join(temporary.path, '..new'), join(temporary.path, '..data'));
    await until(() => said.at(-1) === 'b');
  });

  it('says nothing once it is closed', async () => {
    const { followed: each, said } = follow();
    await each.look();
    each.close();
    await writeFile(path(), good('a'));
    await each.look();
    expect(said).to.deep.equal(['']);
  });

  it('keeps no process alive', async () => {
    const module = new URL('../../../lib/health/control/follow-control-file.ts', import.meta.url).href;
    const script = `
      import { followControlFile } from ${JSON.stringify(module)};
      await followControlFile(process.argv[1], { takeFile: () => {}, refuseFile: () => {} }).look();`;
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', script, path()], {
      stdio: 'inherit',
      cwd: fileURLToPath(new URL('../../..', import.meta.url)),
    });
    expect((await once(child, 'exit'))[0]).to.equal(0);
  });
});
