import { mkdir, readdir, rmdir, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { fileErrorCode } from '../../lib/files/file-error.js';
import { takeFileLock } from '../../lib/files/file-lock.js';
import { useTemporaryDirectory } from '../support/temporary-directory.js';

describe('a lock of a file', function () {
  this.timeout(20_000);
  const temporary = useTemporaryDirectory();
  const path = (): string => join(temporary.path, 'file.lock');

  it('is held by one at a time, and leaves nothing behind', async () => {
    let holders = 0;
    let most = 0;
    const hold = async (): Promise<void> => {
      const release = await takeFileLock(path(), { retries: 300 });
      holders += 1;
      most = Math.max(most, holders);
      await new Promise((resolve) => setImmediate(resolve));
      holders -= 1;
      await release();
    };
    await Promise.all(Array.from({ length: 20 }, hold));
    expect(most).to.equal(1);
    expect(await readdir(temporary.path)).to.deep.equal([]);
  });

  it('is not waited for longer than was said', async () => {
    const release = await takeFileLock(path(), { retries: 0 });
    const error: unknown = await takeFileLock(path(), { retries: 2 }).catch((thrown: unknown) => thrown);
    expect(fileErrorCode(error)).to.equal('ELOCKED');
    await release();
    await (
      await takeFileLock(path(), { retries: 0 })
    )();
  });

  it('is taken over from a holder that gave no sign of life', async () => {
    await mkdir(path());
    const longAgo = new Date(Date.now() - 60_000);
    await utimes(path(), longAgo, longAgo);
    await (
      await takeFileLock(path(), { retries: 0 })
    )();
    expect(await readdir(temporary.path)).to.deep.equal([]);
  });

  for (const [what, place, code] of [
    ['in a directory that is not there', 'missing/file.lock', 'ENOENT'],
    ['of a name that no file system takes', 'n'.repeat(300), 'ENAMETOOLONG'],
  ] as const) {
    it(`${what} is not waited for`, async () => {
      const beganAtMs = performance.now();
      const taking = takeFileLock(join(temporary.path, place), { retries: 300 });
      expect(fileErrorCode(await taking.catch((thrown: unknown) => thrown))).to.equal(code);
      expect(performance.now() - beganAtMs).to.be.below(5_000);
    });
  }

  it('tells that it was lost, and is given back without an error then', async () => {
    let release: () => Promise<void> = () => Promise.resolve();
    const error = await new Promise<unknown>((resolve, reject) => {
      const taken = takeFileLock(path(), { retries: 0, onLost: resolve });
      taken.then(async (given) => {
        release = given;
        await rmdir(path());
      }, reject);
    });
    expect(fileErrorCode(error)).to.equal('ECOMPROMISED');
    await release();
  });
});
