import { expect } from 'chai';
import { createBodyIntake, maxBufferedBytes, type BodyIntake } from '../../lib/distribution/incoming-body.js';
import { lostMs } from '../../lib/policy/loop-timer.js';
import { startFakeTime, type FakeTime } from '../support/fake-time.js';
import { failureOf } from '../support/failure-of.js';

describe('an incoming body', () => {
  let calls: string[] = [];
  beforeEach(() => {
    calls = [];
  });
  function intake(onResume: () => void = () => undefined): BodyIntake {
    return createBodyIntake(
      {
        pause: () => calls.push('pause'),
        resume: () => {
          calls.push('resume');
          onResume();
        },
        stop: () => calls.push('stop'),
      },
      lostMs(),
    );
  }
  const chunk = (length: number): Uint8Array => new Uint8Array(length).fill(7);

  it('gives what arrived in order, without copying, then null', async () => {
    const { body, push, end } = intake();
    const [first, second] = [chunk(3), chunk(4)];
    push(first);
    const reading = body.read();
    expect(await reading).to.equal(first);
    const waiting = body.read();
    push(second);
    expect(await waiting).to.equal(second);
    end();
    expect(await body.read()).to.equal(null);
    expect(await body.read()).to.equal(null);
    expect(body).to.include({ bytes: 7, complete: true });
    expect(calls).to.deep.equal([]);
  });

  it('stops a peer that is faster than its reader, and lets it go on when half is read', async () => {
    const { body, push } = intake();
    const size = maxBufferedBytes / 4;
    for (let count = 0; count < 4; count += 1) push(chunk(size));
    expect(calls).to.deep.equal(['pause']);
    await body.read();
    expect(calls).to.deep.equal(['pause']);
    await body.read();
    expect(calls).to.deep.equal(['pause', 'resume']);
  });

  it('counts chunks as well, so that tiny ones cannot fill the memory', () => {
    const { push } = intake();
    for (let count = 0; count < 1_024; count += 1) push(chunk(1));
    expect(calls).to.deep.equal(['pause']);
  });

  it('takes what comes while it resumes', async () => {
    const made = intake(() => {
      made.push(chunk(1));
      made.end();
    });
    made.push(chunk(maxBufferedBytes));
    const read: (number | null)[] = [];
    for (let next = await made.body.read(); next !== null; next = await made.body.read()) read.push(next.length);
    expect(read).to.deep.equal([maxBufferedBytes, 1]);
  });

  it('gives what arrived before a failure, then the failure, every time', async () => {
    const { body, push, fail, end } = intake();
    push(chunk(2));
    const failure = new Error('reset');
    fail(failure);
    fail(new Error('second'));
    end();
    expect((await body.read())?.length).to.equal(2);
    expect(await failureOf(body.read())).to.equal(failure);
    expect(await failureOf(body.read())).to.equal(failure);
    expect(body.complete).to.equal(false);
  });

  it('says when something has arrived: a byte, the end, or a failure', async () => {
    const first = intake();
    const arrival = first.body.arrived();
    first.push(chunk(1));
    await arrival;
    await first.body.arrived();
    const second = intake();
    const ending = second.body.arrived();
    second.end();
    await ending;
    const third = intake();
    const failing = third.body.arrived();
    third.fail('no');
    expect(await failureOf(failing)).to.equal('no');
    expect(await failureOf(third.body.arrived())).to.equal('no');
  });

  it('ends at once when cancelled: the waiting read, the buffer, the connection', async () => {
    const { body, push } = intake();
    const waiting = body.read();
    body.cancel('enough');
    expect(await failureOf(waiting)).to.equal('enough');
    push(chunk(5));
    expect(await failureOf(body.read())).to.equal('enough');
    body.cancel('again');
    expect(calls).to.deep.equal(['stop']);
  });

  it('is no clean end for a later read when cancelled after everything had arrived, and keeps the connection', async () => {
    const { body, push, end } = intake();
    push(chunk(5));
    end();
    body.cancel('enough');
    expect(await failureOf(body.read())).to.equal('enough');
    expect(calls).to.deep.equal([]);
  });

  it('refuses a second read while one is waiting', async () => {
    const { body, push } = intake();
    const first = body.read();
    expect(await failureOf(body.read())).to.be.instanceOf(TypeError);
    push(chunk(1));
    expect((await first)?.length).to.equal(1);
  });

  describe('over time', () => {
    let time: FakeTime;
    beforeEach(() => {
      time = startFakeTime();
    });
    afterEach(() => time.restore());

    it('counts as late what a slow reader made the peer wait, and nothing else', async () => {
      const { body, push } = intake();
      await time.passMs(500);
      push(chunk(10));
      await time.passMs(500);
      expect(body.lateMs).to.equal(0);
      push(chunk(maxBufferedBytes));
      await time.passMs(700);
      expect(body.lateMs).to.equal(700);
      await body.read();
      await body.read();
      await time.passMs(500);
      expect(body.lateMs).to.equal(700);
    });
  });
});
