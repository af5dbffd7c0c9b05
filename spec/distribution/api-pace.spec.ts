import { expect } from 'chai';
import { createApiPace, type ApiPace } from '../../lib/distribution/api-pace.js';
import { ExchangeError } from '../../lib/distribution/wire-error.js';
import { failureOf } from '../support/failure-of.js';
import { startFakeTime, type FakeTime } from '../support/fake-time.js';

describe('the pace at the API of a registry', () => {
  let time: FakeTime;
  let pace: ApiPace;
  /** How many have had their turn. */
  let done: number;
  beforeEach(() => {
    time = startFakeTime();
    pace = createApiPace();
    done = 0;
  });
  afterEach(() => time.restore());

  const never = new AbortController().signal;
  function ask(count: number, signal = never): Promise<void[]> {
    const turns = Array.from({ length: count }, async () => {
      await pace.turn(signal, () => undefined);
      done += 1;
    });
    return Promise.all(turns);
  }
  async function doneAfterMs(ms: number): Promise<number> {
    await time.passMs(ms);
    return done;
  }
  const tooMany = (
    from: 'registry' | 'storage' = 'registry',
    status = 429,
    phase: 'layers' | 'metadata' = 'layers',
  ): ExchangeError =>
    new ExchangeError(`the ${from} answered ${status}`, {
      evidence: { kind: 'status', status, from, specCodes: [], retryAfterMs: 7_000 },
      phase,
    });

  it('is five in 1.05 s where it redirects, first come, first served', async () => {
    pace.learn('redirected');
    const order: number[] = [];
    for (let at = 0; at < 12; at += 1) void pace.turn(never, () => undefined).then(() => order.push(at));
    await time.passMs(1_040);
    expect(order).to.deep.equal([0, 1, 2, 3, 4]);
    await time.passMs(20);
    expect(order).to.have.length(10);
    await time.passMs(1_050);
    expect(order).to.deep.equal([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
  });

  it('counts what waits for nobody', async () => {
    pace.learn('redirected');
    pace.count();
    pace.count();
    pace.count();
    void ask(3);
    expect(await doneAfterMs(1)).to.equal(2);
    expect(await doneAfterMs(1_060)).to.equal(3);
  });

  it('counts a request from its answer, and until that comes from when it was sent', async () => {
    pace.learn('redirected');
    const requests = await Promise.all(Array.from({ length: 5 }, () => pace.turn(never, () => undefined)));
    await time.passMs(500);
    for (const request of requests.slice(1)) request.answered();
    void ask(5);
    expect(await doneAfterMs(560)).to.equal(1);
    for (const request of requests) request.answered();
    expect(await doneAfterMs(480)).to.equal(1);
    expect(await doneAfterMs(20)).to.equal(4);
  });

  it('never lets more than five go in any 1.05 s, however they come', async () => {
    pace.learn('redirected');
    const atMs: number[] = [];
    for (let step = 0; step < 30; step += 1) {
      void pace.turn(never, () => undefined).then(() => atMs.push(Date.now()));
      await time.passMs((step * 37) % 200);
    }
    await time.passMs(10_000);
    expect(atMs).to.have.length(30);
    for (const [index, each] of atMs.slice(5).entries()) expect(each - (atMs[index] ?? 0)).to.be.at.least(1_050);
  });

  it('holds nobody back where the registry serves its blobs itself', async () => {
    pace.learn('served');
    void ask(500);
    expect(await doneAfterMs(0)).to.equal(500);
    expect(pace.redirects).to.equal(false);
  });

  it('is kept until the first blob was answered, which lets all go that the registry serves itself', async () => {
    void ask(20);
    expect(await doneAfterMs(10)).to.equal(5);
    pace.learn('served');
    expect(await doneAfterMs(0)).to.equal(20);
  });

  it('is kept where some blobs are served and others redirected, and left where 16 in a row were served', async () => {
    pace.learn('redirected');
    for (let count = 0; count < 15; count += 1) pace.learn('served');
    expect(pace.redirects).to.equal(true);
    pace.learn('redirected');
    for (let count = 0; count < 16; count += 1) pace.learn('served');
    expect(pace.redirects).to.equal(false);
    void ask(100);
    expect(await doneAfterMs(0)).to.equal(100);
  });

  it('stays as it is, pull after pull of ten layers', async () => {
    pace.learn('redirected');
    for (let pull = 0; pull < 20; pull += 1) {
      done = 0;
      void ask(14);
      expect(await doneAfterMs(1_040), `${pull}`).to.equal(5);
      await time.passMs(5_000);
    }
  });

  it('grows for a fleet while there is no 429: some 16 s for a thousand', async () => {
    pace.learn('redirected');
    void ask(1_000);
    expect(await doneAfterMs(8_000)).to.equal(40);
    expect(await doneAfterMs(3_400)).to.be.within(75, 200);
    expect(await doneAfterMs(5_000)).to.equal(1_000);
  });

  it('learns from manifests, which wait for nobody, that more is allowed', async () => {
    pace.learn('redirected');
    const manifests = Array.from({ length: 30 }, () => pace.count());
    await time.passMs(100);
    for (const manifest of manifests) manifest.answered();
    await time.passMs(1_100);
    void ask(40);
    expect(await doneAfterMs(0)).to.equal(30);
  });

  it('learns nothing from answers that took longer than a second, from none, nor in the time after a 429', async () => {
    pace.learn('redirected');
    const late = Array.from({ length: 30 }, () => pace.count());
    await time.passMs(1_010);
    for (const manifest of late) manifest.answered();
    await time.passMs(1_100);
    for (let sent = 0; sent < 30; sent += 1) pace.count();
    await time.passMs(1_100);
    pace.failed(tooMany('registry', 429, 'metadata'));
    for (let sent = 0; sent < 30; sent += 1) pace.count().answered();
    await time.passMs(1_100);
    void ask(10);
    expect(await doneAfterMs(0)).to.equal(2);
  });

  it('lets one blob go in 2.1 s at the least, however many manifests are asked for', async () => {
    pace.learn('redirected');
    pace.failed(tooMany());
    const manifests = setInterval(() => pace.count().answered(), 50);
    await time.passMs(1_000);
    void ask(5);
    expect(await doneAfterMs(2_090)).to.equal(0);
    expect(await doneAfterMs(20)).to.equal(1);
    expect(await doneAfterMs(8_400)).to.equal(5);
    clearInterval(manifests);
  });

  it('is halved by a 429, which those who wait are told, too', async () => {
    pace.learn('redirected');
    void ask(5);
    await time.passMs(0);
    const waiting = Promise.all(Array.from({ length: 3 }, () => failureOf(ask(1))));
    await time.passMs(0);
    pace.failed(tooMany());
    for (const error of await waiting) {
      expect(error).to.deep.include({ phase: 'layers', message: 'the registry answered 429' });
      expect(error).to.have.nested.property('evidence.retryAfterMs', 7_000);
    }
    await time.passMs(5_000);
    done = 0;
    void ask(6);
    expect(await doneAfterMs(0)).to.equal(2);
    expect(await doneAfterMs(1_060)).to.equal(4);
  });

  it('is halved by the 429 of a manifest, which those who wait for blobs are not told', async () => {
    pace.learn('redirected');
    void ask(8);
    await time.passMs(0);
    pace.failed(tooMany('registry', 429, 'metadata'));
    expect(await doneAfterMs(1_060)).to.equal(7);
    expect(await doneAfterMs(1_060)).to.equal(8);
  });

  it('is halved once by the 429s of one moment, and never to nothing', async () => {
    pace.learn('redirected');
    for (let count = 0; count < 5; count += 1) pace.failed(tooMany());
    void ask(2);
    expect(await doneAfterMs(0)).to.equal(2);
    for (let count = 0; count < 5; count += 1) {
      await time.passMs(2_000);
      pace.failed(tooMany());
    }
    await time.passMs(2_000);
    done = 0;
    void ask(3);
    expect(await doneAfterMs(0)).to.equal(1);
    expect(await doneAfterMs(2_110)).to.equal(3);
  });

  it('does not grow for ten minutes after a 429', async () => {
    pace.learn('redirected');
    pace.failed(tooMany());
    await time.passMs(2_000);
    void ask(2_000);
    const before = await doneAfterMs(590_000);
    expect(before).to.be.within(1_110, 1_130);
    expect(await doneAfterMs(60_000)).to.equal(2_000);
  });

  for (const error of [tooMany('storage'), tooMany('registry', 503), new Error('429')]) {
    it(`is not changed by: ${error.message}`, async () => {
      pace.learn('redirected');
      pace.failed(error);
      void ask(10);
      expect(await doneAfterMs(0)).to.equal(5);
    });
  }

  it('lets one leave who waits, with the signal’s own reason, and takes nobody’s turn', async () => {
    pace.learn('redirected');
    void ask(5);
    const leaving = new AbortController();
    const told: string[] = [];
    const left = failureOf(pace.turn(leaving.signal, () => told.push('waits')));
    void ask(1);
    await time.passMs(100);
    leaving.abort('enough');
    expect(await left).to.equal('enough');
    expect(told).to.deep.equal(['waits']);
    expect(await failureOf(pace.turn(leaving.signal, () => undefined))).to.equal('enough');
    expect(await doneAfterMs(1_000)).to.equal(6);
  });
});
