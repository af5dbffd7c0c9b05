import { runInNewContext } from 'node:vm';
import { expect } from 'chai';
import { fileErrorCode, isOutOfRoom, unlessMissing } from '../../lib/files/file-error.js';
import { explainFailure } from '../../lib/health/explain-failure.js';
import { failureOf } from '../support/failure-of.js';

/** As Jest has it: what Node throws is no instance of the `Error` that the test file sees. */
const foreign = (code: string): unknown =>
  runInNewContext('Object.assign(new Error("from another realm"), { code })', { code });

describe('an error of the file system', () => {
  it('is known by its code, in whatever realm it was made', async () => {
    for (const make of [foreign, (code: string): unknown => Object.assign(new Error('here'), { code })]) {
      expect(fileErrorCode(make('ENOENT'))).to.equal('ENOENT');
      expect(isOutOfRoom(make('EDQUOT'))).to.equal(true);
      expect(await unlessMissing(Promise.reject(make('ENOTDIR') as Error))).to.equal(null);
      const other = make('EACCES');
      expect(await failureOf(unlessMissing(Promise.reject(other as Error)))).to.equal(other);
    }
  });

  it('has no code when it is none', () => {
    for (const value of [null, undefined, 'ENOENT', 7, {}, { code: 7 }, new Error('ENOENT')]) {
      expect(fileErrorCode(value)).to.equal(null);
    }
  });

  it('is explained, as an abort of another realm is', () => {
    const abort: unknown = runInNewContext('Object.assign(new Error("stop"), { name: "AbortError" })');
    expect(explainFailure(abort)).to.match(/the caller ended the pull/i);
    expect(explainFailure(foreign('ENOSPC'))).to.match(/this host failed/i);
  });
});
