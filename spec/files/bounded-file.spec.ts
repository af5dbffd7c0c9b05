import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { readBoundedFile, readBoundedFileSync, type FoundFile } from '../../lib/files/bounded-file.js';
import { fileErrorCode } from '../../lib/files/file-error.js';
import { failureOf } from '../support/failure-of.js';
import { useTemporaryDirectory } from '../support/temporary-directory.js';

const readers: readonly (readonly [string, (path: string, maxBytes: number) => Promise<FoundFile>])[] = [
  ['asynchronously', readBoundedFile],
  ['synchronously', async (path, maxBytes) => readBoundedFileSync(path, maxBytes)],
];

for (const [how, read] of readers) {
  describe(`a bounded file, read ${how}`, () => {
    const temporary = useTemporaryDirectory();
    const at = (name: string): string => join(temporary.path, name);

    for (const [size, kind] of [
      [0, 'text'],
      [1, 'text'],
      [99, 'text'],
      [100, 'text'],
      [101, 'too-large'],
      [10_000, 'too-large'],
    ] as const) {
      it(`of ${size} bytes, where 100 are allowed: ${kind}`, async () => {
        await writeFile(at('file'), 'x'.repeat(size));
        const found = await read(at('file'), 100);
        expect(found.kind).to.equal(kind);
        if (found.kind === 'text') expect(found.text).to.equal('x'.repeat(size));
        expect(found)
          .to.have.property('stats')
          .which.includes({ ino: (await stat(at('file'), { bigint: true })).ino, size: BigInt(size) });
      });
    }

    it('is counted in bytes and read as UTF-8', async () => {
      await writeFile(at('file'), 'é€');
      expect(await read(at('file'), 5)).to.include({ kind: 'text', text: 'é€' });
      expect(await read(at('file'), 4)).to.include({ kind: 'too-large' });
    });

    it('is read to its end, and no further than is allowed, where it is longer than its size says', async function () {
      // Its size is 0.
      const path = '/proc/self/status';
      if (!existsSync(path)) return this.skip();
      expect(await read(path, 1024 * 1024))
        .to.have.property('text')
        .which.matches(/^Name:.*\n(?:.*\n)+$/);
      expect(await read(path, 20)).to.include({ kind: 'too-large' });
    });

    it('is none where there is a directory or a pipe, which is not waited for', async function () {
      await mkdir(at('directory'));
      expect(await read(at('directory'), 100)).to.deep.equal({ kind: 'not-a-file' });
      if (process.platform === 'win32') return this.skip();
      execFileSync('mkfifo', [at('pipe')]);
      expect(await read(at('pipe'), 100)).to.deep.equal({ kind: 'not-a-file' });
    });

    it('fails as Node does where there is none', async () => {
      expect(fileErrorCode(await failureOf(read(at('file'), 100)))).to.equal('ENOENT');
      await writeFile(at('file'), '');
      expect(fileErrorCode(await failureOf(read(join(at('file'), 'below'), 100)))).to.equal('ENOTDIR');
    });
  });
}
