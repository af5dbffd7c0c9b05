import { readdirSync, unlinkSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { takeIndexLock, type HeldLock } from '../../../lib/engine/layout/index-lock.js';
import { createLayoutIndex, type LayoutIndex } from '../../../lib/engine/layout/layout-index.js';
import { isEngineError } from '../../../lib/errors/engine-error.js';
import type { Descriptor } from '../../../lib/image/descriptor.js';
import { fileErrorCode } from '../../../lib/files/file-error.js';
import { failureOf } from '../../support/failure-of.js';
import { seededBlob } from './support/content.js';
import { useTemporaryDirectory } from '../../support/temporary-directory.js';

const redis = 'quay.io/aptible/redis:3.0';

function manifest(seed: number): Descriptor {
  const { digest, size } = seededBlob(seed, 100);
  return { mediaType: 'application/vnd.oci.image.manifest.v1+json', digest, size };
}

describe('The index file', function () {
  this.timeout(30_000);
  const temporary = useTemporaryDirectory();
  let work = '';

  beforeEach(async () => {
    work = join(temporary.path, '.pull-failover');
    await mkdir(work);
  });

  function open(takeLock?: (directory: string) => Promise<HeldLock>): LayoutIndex {
    const options = { engine: 'layout', directory: temporary.path, workDirectory: work };
    return createLayoutIndex(takeLock === undefined ? options : { ...options, takeLock });
  }

  it('takes a hundred names at once in a few writes', async () => {
    let locks = 0;
    const index = open(async (directory) => {
      locks += 1;
      return takeIndexLock(directory);
    });
    await Promise.all(Array.from({ length: 100 }, (_, at) => index.point(`quay.io/team/app:${at}`, manifest(at))));
    expect(await index.list()).to.have.length(100);
    expect(locks).to.be.below(50);
  });

  it('is neither locked nor written to find out whether a name points there already', async () => {
    await open().point(redis, manifest(1));
    const before = await readFile(join(temporary.path, 'index.json'));
    const index = open(() => Promise.reject(new Error('no lock is needed')));
    expect(await index.points(redis, manifest(1))).to.equal(true);
    expect(await index.points(redis, manifest(2))).to.equal(false);
    expect(await index.points(`${redis}2`, manifest(1))).to.equal(false);
    await index.create();
    expect(await readFile(join(temporary.path, 'index.json'))).to.deep.equal(before);
  });

  it('is not written by one whose lock was taken over: it reads again and takes the lock again', async () => {
    let locks = 0;
    const index = open(async (directory) => {
      const lock = await takeIndexLock(directory);
      locks += 1;
      if (locks > 2) return lock;
      return {
        isOurs: () => false,
        release: async () => {
          await lock.release();
          await open().point(`quay.io/team/other:${locks}`, manifest(10 + locks));
        },
      };
    });
    await index.point(redis, manifest(1));
    expect(locks).to.equal(3);
    expect((await index.list()).map(({ name }) => name)).to.deep.equal([
      'quay.io/team/other:1',
      'quay.io/team/other:2',
      redis,
    ]);
    expect(await readdir(work)).to.deep.equal(['index.holder']);
  });

  it('is written by one whose token was swept away before it was in place: that one takes the lock again', async () => {
    let locks = 0;
    const index = open((directory) => {
      locks += 1;
      if (locks > 1) return takeIndexLock(directory);
      return takeIndexLock(directory, async (path, text) => {
        await writeFile(path, text);
        // Suspended here, until another process takes the lock for stale.
        await rmdir(join(directory, 'index.lock'));
        await open().point('quay.io/team/other:1', manifest(11));
        expect(await readdir(directory)).to.deep.equal(['index.holder']);
      });
    });
    await index.point(redis, manifest(1));
    expect(locks).to.equal(2);
    expect((await index.list()).map(({ name }) => name)).to.deep.equal(['quay.io/team/other:1', redis]);
    expect(await readdir(work)).to.deep.equal(['index.holder']);
  });

  it('is written by a holder whose new file was swept away by one that had lost the lock', async () => {
    let swept = 0;
    const index = open(async (directory) => {
      const lock = await takeIndexLock(directory);
      return {
        ...lock,
        isOurs: () => {
          for (const name of swept === 0 ? readdirSync(directory) : []) {
            if (!name.startsWith('index-')) continue;
            unlinkSync(join(directory, name));
            swept += 1;
          }
          return lock.isOurs();
        },
      };
    });
    await index.point(redis, manifest(1));
    expect(swept).to.equal(1);
    expect((await index.list()).map(({ name }) => name)).to.deep.equal([redis]);
    expect(await readdir(work)).to.deep.equal(['index.holder']);
  });

  it('is not swept for by one that has lost the lock meanwhile', async () => {
    const theirs = ['index-0123456789abcdef', 'index.holder.0123'];
    for (const name of theirs) await writeFile(join(work, name), '{');
    const index = open(async () => ({ isOurs: () => false, release: async () => {} }));
    await failureOf(index.point(redis, manifest(1)));
    expect(await readdir(work)).to.have.members(theirs);
  });

  it('says that its directory is gone', async () => {
    const index = open();
    await rm(work, { recursive: true });
    expect(fileErrorCode(await failureOf(index.point(redis, manifest(1))))).to.equal('ENOENT');
  });

  it('gives up when the lock is lost time and again', async () => {
    const index = open(async () => ({ isOurs: () => false, release: async () => {} }));
    expect(await index.point(redis, manifest(1)).catch((error: unknown) => error)).to.satisfy(isEngineError);
    expect(await readdir(temporary.path)).to.deep.equal(['.pull-failover']);
  });

  it('says so when others keep the lock', async () => {
    const locked = Object.assign(new Error('Lock file is already being held'), { code: 'ELOCKED' });
    const error: unknown = await open(() => Promise.reject(locked))
      .point(redis, manifest(1))
      .catch((reason: unknown) => reason);
    expect(error).to.satisfy(isEngineError);
    expect(error).to.have.property('cause', locked);
  });

  it('fails for one, and serves the next', async () => {
    let fails = true;
    const broken = Object.assign(new Error('read-only'), { code: 'EROFS' });
    const index = open(async (directory) => {
      if (fails) throw broken;
      return takeIndexLock(directory);
    });
    expect(await index.point(redis, manifest(1)).catch((error: unknown) => error)).to.equal(broken);
    fails = false;
    await index.point(redis, manifest(1));
    expect(await index.find(redis)).to.include(manifest(1));
  });

  it('removes what a killed writer left beside it', async () => {
    await writeFile(join(work, 'index-0123456789abcdef'), '{"half');
    await writeFile(join(work, 'index.holder.0123'), '01');
    await open().point(redis, manifest(1));
    expect(await readdir(work)).to.deep.equal(['index.holder']);
  });
});

describe('The lock of the index', function () {
  this.timeout(30_000);
  const temporary = useTemporaryDirectory();

  it('is held by one at a time', async () => {
    let holders = 0;
    await Promise.all(
      Array.from({ length: 5 }, async () => {
        const lock = await takeIndexLock(temporary.path);
        holders += 1;
        expect(holders).to.equal(1);
        expect(lock.isOurs()).to.equal(true);
        holders -= 1;
        await lock.release();
      }),
    );
  });

  it('is taken over within seconds from one who does not come back, who then knows', async () => {
    const first = await takeIndexLock(temporary.path);
    // What a killed holder leaves: the lock, and nobody who keeps it fresh.
    await first.release();
    await mkdir(join(temporary.path, 'index.lock'));
    expect(first.isOurs()).to.equal(true);
    const started = performance.now();
    const second = await takeIndexLock(temporary.path);
    expect(performance.now() - started).to.be.within(2_000, 15_000);
    expect(first.isOurs()).to.equal(false);
    expect(second.isOurs()).to.equal(true);
    await second.release();
  });
});
