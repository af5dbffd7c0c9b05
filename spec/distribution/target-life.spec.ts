import { expect } from 'chai';
import fc from 'fast-check';
import { headersOf } from '../../lib/distribution/headers.js';
import { targetLifeMs } from '../../lib/distribution/target-life.js';
import { startFakeTime, type FakeTime } from '../support/fake-time.js';

describe('the life of a redirect target', () => {
  /** Of the answer; the clock of this host may say what it likes. */
  const date = 'Wed, 26 Jul 2017 18:20:00 GMT';
  const nowSeconds = Date.UTC(2017, 6, 26, 18, 20) / 1_000;
  const life = (query: string, fields: Record<string, string> = { date }): number =>
    targetLifeMs(new URL(`https://storage.example/blob?${query}`), headersOf(fields));

  const seconds: readonly [string, string, number][] = [
    ['that says nothing', '', 300],
    ['that says nothing of time', 'sig=abc&X-Amz-Signature=abc', 300],
    ['of S3', 'X-Amz-Date=20170726T182000Z&X-Amz-Expires=120', 110],
    ['of S3, signed a minute ago', 'X-Amz-Date=20170726T181900Z&X-Amz-Expires=120', 50],
    ['of S3, signed for hours', 'X-Amz-Date=20170726T182000Z&X-Amz-Expires=86400', 300],
    ['of S3, without the date', 'X-Amz-Expires=60', 50],
    ['of S3, with a date that is none', 'X-Amz-Date=20171326T182000Z&X-Amz-Expires=60', 50],
    ['of S3, with its keys in lower case', 'x-amz-date=20170726T182000Z&x-amz-expires=60', 50],
    ['of Google', 'X-Goog-Date=20170726T182000Z&X-Goog-Expires=90', 80],
    ['of CloudFront', `Expires=${nowSeconds + 200}&Signature=abc&Key-Pair-Id=abc`, 190],
    ['of Azure', 'se=2017-07-26T18%3A21%3A40Z&sp=r&sig=abc', 90],
    ['of Azure, without seconds', 'se=2017-07-26T18%3A22Z', 110],
    ['of Azure, with parts of seconds', 'se=2017-07-26T18%3A21%3A40.5000000Z', 90.5],
    ['of Azure, to the end of a day', 'se=2017-07-27', 300],
    ['that says two things lives by the earlier', `X-Amz-Expires=200&Expires=${nowSeconds + 100}`, 90],
    ['that is short is used for half of it', 'X-Amz-Expires=10', 5],
    ['that is as short as can be', 'X-Amz-Expires=1', 0.5],
    ['that is over when it comes', `Expires=${nowSeconds}`, 0],
    ['that was over long ago', 'X-Amz-Date=20160726T182000Z&X-Amz-Expires=60', 0],
    ['whose expiry is no number', 'X-Amz-Expires=soon&Expires=-1&se=tomorrow', 300],
  ];
  for (const [title, query, expected] of seconds) {
    it(`${title}: ${expected} s`, () => expect(life(query)).to.equal(expected * 1_000));
  }

  describe('without a Date', () => {
    let time: FakeTime;
    before(() => {
      time = startFakeTime();
    });
    after(() => time.restore());
    it('is read by the clock of this host', () => {
      expect(life(`Expires=${nowSeconds + 100}`, {})).to.equal(90_000);
      expect(life(`Expires=${nowSeconds + 100}`, { date: 'yesterday' })).to.equal(90_000);
    });
  });

  it('is never below 0 nor above 5 minutes, whatever the URL says', () => {
    const keys = fc.constantFrom('X-Amz-Date', 'X-Amz-Expires', 'X-Goog-Date', 'X-Goog-Expires', 'Expires', 'se');
    const values = fc.oneof(
      fc.string({ maxLength: 30 }),
      fc.maxSafeNat().map(String),
      fc.date({ noInvalidDate: true }).map((at) => at.toISOString()),
      fc.date({ noInvalidDate: true }).map((at) => at.toISOString().replace(/[-:]|\.\d+/g, '')),
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(keys, values), { maxLength: 6 }), fc.option(values), (pairs, told) => {
        const query = pairs.map(([key, value]) => `${key}=${encodeURIComponent(value)}`).join('&');
        expect(life(query, told === null ? {} : { date: told })).to.be.within(0, 300_000);
      }),
    );
  });
});
