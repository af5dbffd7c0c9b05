import { expect } from 'chai';
import { readCreateImageCall, readPullCall, referenceOf } from '../../lib/drop-in/image-call.js';
import { isInvalidReferenceError } from '../../lib/errors/invalid-reference-error.js';

const callback = (): void => undefined;
const auth = { username: 'ann', password: 'secret' };
const digest = `sha256:${'a1'.repeat(32)}`;

const nameOf = (call: ReturnType<typeof readPullCall>): string | null => {
  if (call === null) throw new Error('it is no call for an image');
  return referenceOf(call)?.canonical ?? null;
};

describe('the arguments of docker.pull', () => {
  const forms: readonly (readonly [string, readonly unknown[], Readonly<Record<string, unknown>>])[] = [
    ['a name', ['redis:7'], { callback: null, authConfig: undefined, platform: '' }],
    [
      'a name and options',
      ['redis:7', { authconfig: auth, platform: 'linux/arm64' }],
      { authConfig: auth, platform: 'linux/arm64', callback: null },
    ],
    ['a name and a callback', ['redis:7', callback], { callback, authConfig: undefined }],
    ['options that are undefined', ['redis:7', undefined, callback], { callback, authConfig: undefined }],
    ['options that are null', ['redis:7', null, callback], { callback }],
    ['everything', ['redis:7', { authconfig: auth }, callback], { callback, authConfig: auth }],
    ['credentials at the end', ['redis:7', {}, callback, auth], { callback, authConfig: auth }],
    [
      'options without a value',
      ['redis:7', { authconfig: undefined, platform: undefined }],
      { authConfig: undefined, platform: '' },
    ],
  ];
  for (const [what, args, expected] of forms) {
    it(`may be ${what}`, () => {
      const call = readPullCall(args);
      expect(call).to.include(expected);
      expect(nameOf(call)).to.equal('docker.io/library/redis:7');
    });
  }

  it('mean latest where they say neither tag nor digest', () => {
    expect(nameOf(readPullCall(['quay.io/team/app']))).to.equal('quay.io/team/app:latest');
    expect(nameOf(readPullCall(['localhost:5000/app']))).to.equal('localhost:5000/app:latest');
  });

  it('drop a tag beside a digest, as dockerode and the daemon do: it is not moved', () => {
    expect(nameOf(readPullCall([`redis@${digest}`]))).to.equal(`docker.io/library/redis@${digest}`);
    expect(nameOf(readPullCall([`redis:7@${digest}`]))).to.equal(`docker.io/library/redis@${digest}`);
  });

  it('hand on the signal', () => {
    const { signal } = new AbortController();
    expect(readPullCall(['redis', { abortSignal: signal }])?.abortSignal).to.equal(signal);
  });

  it('are none for an image when the name is no text: dockerode says so itself', () => {
    expect(readPullCall([undefined])).to.equal(null);
    expect(readPullCall([{}])).to.equal(null);
  });
});

describe('the arguments of docker.createImage', () => {
  const options = { fromImage: 'redis', tag: '7' };
  const forms: readonly (readonly [string, readonly unknown[], Readonly<Record<string, unknown>>])[] = [
    ['options', [options], { callback: null, authConfig: undefined }],
    ['options with credentials', [{ ...options, authconfig: auth }], { authConfig: auth }],
    ['options and a callback', [options, callback], { callback }],
    ['credentials and options', [auth, options], { authConfig: auth, callback: null }],
    ['credentials, options and a callback', [auth, options, callback], { authConfig: auth, callback }],
    ['no credentials, options and a callback', [undefined, options, callback], { authConfig: undefined, callback }],
  ];
  for (const [what, args, expected] of forms) {
    it(`may be ${what}`, () => {
      const call = readCreateImageCall(args);
      expect(call).to.include(expected);
      expect(nameOf(call)).to.equal('docker.io/library/redis:7');
    });
  }

  const names: readonly (readonly [Readonly<Record<string, unknown>>, string | null])[] = [
    [{ fromImage: 'redis' }, null],
    [{ fromImage: 'redis', tag: '' }, null],
    [{ fromImage: 'localhost:5000/app' }, null],
    [{ fromImage: 'quay.io:443/team/app', tag: undefined }, null],
    [{ fromImage: 'redis:' }, null],
    [{ fromImage: 'redis:7' }, 'docker.io/library/redis:7'],
    [{ fromImage: 'redis:7', tag: '8' }, 'docker.io/library/redis:8'],
    [{ fromImage: 'redis', tag: 8 }, 'docker.io/library/redis:8'],
    [{ fromImage: 'localhost:5000/app:1' }, 'localhost:5000/app:1'],
    [{ fromImage: 'redis', tag: digest }, `docker.io/library/redis@${digest}`],
    [{ fromImage: 'redis:7', tag: digest }, `docker.io/library/redis@${digest}`],
    [{ fromImage: `redis@${digest}` }, `docker.io/library/redis@${digest}`],
  ];
  for (const [given, expected] of names) {
    it(`name ${expected ?? 'every tag'} by ${JSON.stringify(given)}`, () => {
      expect(nameOf(readCreateImageCall([given]))).to.equal(expected);
    });
  }

  it('are none for an image when an archive is imported, or the transport is spoken to', () => {
    expect(readCreateImageCall([{ fromSrc: '-', repo: 'mine' }])).to.equal(null);
    expect(readCreateImageCall([{ fromSrc: 'http://x/y.tar', fromImage: 'redis', tag: '7' }])).to.equal(null);
    expect(readCreateImageCall([{ ...options, _query: { fromImage: 'redis' } }])).to.equal(null);
    expect(readCreateImageCall([])).to.equal(null);
  });

  it('are refused where the name is none', () => {
    const call = readCreateImageCall([{ fromImage: 'Not/A name', tag: '1' }]);
    try {
      nameOf(call);
      expect.fail('it was taken');
    } catch (error) {
      expect(isInvalidReferenceError(error)).to.equal(true);
    }
  });
});
