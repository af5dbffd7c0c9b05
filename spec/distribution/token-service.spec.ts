import { expect } from 'chai';
import fc from 'fast-check';
import { basicAuthorization, parseToken } from '../../lib/distribution/token-service.js';
import { ExchangeError } from '../../lib/distribution/wire-error.js';

describe('the answer of a token service', () => {
  it('has its token under either name', () => {
    expect(parseToken('{"token":"a"}', 0).value).to.equal('a');
    expect(parseToken('{"access_token":"b"}', 0).value).to.equal('b');
    expect(parseToken('{"token":"a","access_token":"b"}', 0).value).to.equal('a');
    expect(parseToken('{"token":"","access_token":"b"}', 0).value).to.equal('b');
  });
  const lives: readonly [string, unknown, number][] = [
    ['what it says, less a margin', 300, 240_000],
    ['60 seconds where it says nothing', undefined, 48_000],
    ['60 seconds where it says less', 5, 48_000],
    ['60 seconds where it says nonsense', 'soon', 48_000],
    ['60 seconds where it says less than nothing', -1, 48_000],
    ['what it says as text', '300', 240_000],
    ['no longer than 12 hours', 1e300, 12 * 3_600_000 * 0.8],
  ];
  for (const [title, seconds, expectedMs] of lives) {
    it(`lives ${title}, counted from when it was asked for`, () => {
      expect(parseToken(JSON.stringify({ token: 'a', expires_in: seconds }), 1_000).expiresAtMs).to.equal(
        1_000 + expectedMs,
      );
    });
  }
  for (const text of [
    '',
    'null',
    '[]',
    '{}',
    '"token"',
    '{"token":7}',
    '{"token":""}',
    '{"token":"a b"}',
    '{"token":"a\\r\\nx: y"}',
    '{"token":"ä"}',
    JSON.stringify({ token: 'x'.repeat(20_000) }),
  ]) {
    it(`is malformed as ${text.slice(0, 40)}, and never repeated`, () => {
      try {
        parseToken(text, 0);
      } catch (error) {
        expect(error).to.be.instanceOf(ExchangeError);
        const { evidence, phase, message } = error as ExchangeError;
        expect({ evidence, phase }).to.deep.equal({
          evidence: { kind: 'auth', code: 'token-malformed' },
          phase: 'metadata',
        });
        expect(message).not.to.include('xxxxx');
        return;
      }
      expect.fail('it was accepted');
    });
  }
  it('is a token that fits into a header, or malformed, whatever it holds', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.json(),
          fc.string().map((token) => JSON.stringify({ token })),
        ),
        (text) => {
          try {
            expect(parseToken(text, 0).value).to.match(/^[!-~]+$/);
          } catch (error) {
            expect(error).to.be.instanceOf(ExchangeError);
          }
        },
      ),
    );
  });
});

describe('Basic', () => {
  it('is user and password in UTF-8', () => {
    expect(basicAuthorization({ username: 'jürgen', password: 'p:ä' })).to.equal(
      `Basic ${Buffer.from('jürgen:p:ä', 'utf8').toString('base64')}`,
    );
  });
});
