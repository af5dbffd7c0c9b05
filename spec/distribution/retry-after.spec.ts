import { expect } from 'chai';
import fc from 'fast-check';
import { headersOf } from '../../lib/distribution/headers.js';
import { maxAskedRetryAfterMs, retryAfterMsOf } from '../../lib/distribution/retry-after.js';
import { startFakeTime, type FakeTime } from '../support/fake-time.js';

describe('Retry-After', () => {
  let time: FakeTime;
  beforeEach(() => {
    time = startFakeTime(Date.UTC(2017, 6, 26, 18, 20));
  });
  afterEach(() => time.restore());
  const read = (value: string, date?: string): number | null =>
    retryAfterMsOf(headersOf({ 'retry-after': value, ...(date === undefined ? {} : { date }) }));

  it('in seconds becomes milliseconds', () => {
    expect(read('0')).to.equal(0);
    expect(read(' 120 ')).to.equal(120_000);
  });
  it('as a date is the time until then, in all three forms of a date', () => {
    expect(read('Wed, 26 Jul 2017 18:20:30 GMT')).to.equal(30_000);
    expect(read('Wednesday, 26-Jul-17 18:20:30 GMT')).to.equal(30_000);
    expect(read('Wed Jul 26 18:20:30 2017')).to.equal(30_000);
  });
  it("as a date is measured by the peer's own clock where it tells the time", () => {
    expect(read('Wed, 26 Jul 2017 20:00:30 GMT', 'Wed, 26 Jul 2017 20:00:00 GMT')).to.equal(30_000);
  });
  it('as a date that has passed means now', () => {
    expect(read('Wed, 26 Jul 2017 18:00:00 GMT')).to.equal(0);
  });
  it('is capped', () => {
    expect(read('999999999999999999999999')).to.equal(maxAskedRetryAfterMs);
    expect(read('Fri, 31 Dec 9999 23:59:59 GMT')).to.equal(maxAskedRetryAfterMs);
  });
  it('that is something else is ignored', () => {
    for (const value of ['', '-1', '1.5', '1e3', 'soon', '880.092µs', '2017-07-26', 'Wed, 99 Jul 2017 18:20:30 GMT']) {
      expect(read(value), value).to.equal(null);
    }
    expect(retryAfterMsOf(headersOf({}))).to.equal(null);
  });
  it('is null or within its bounds, whatever it holds', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.date({ noInvalidDate: true }).map((date) => date.toUTCString()),
        ),
        (value) => {
          const ms = read(value);
          expect(ms === null || (ms >= 0 && ms <= maxAskedRetryAfterMs)).to.equal(true);
        },
      ),
    );
  });
});
