import { expect } from 'chai';
import { discardBody } from '../../lib/distribution/discard-body.js';
import { createBodyIntake, type BodyIntake } from '../../lib/distribution/incoming-body.js';
import { startFakeTime, type FakeTime } from '../support/fake-time.js';
import { turns } from './rig.js';

describe('a body that nobody wants', () => {
  let time: FakeTime;
  let stopped: number;
  beforeEach(() => {
    time = startFakeTime();
    stopped = 0;
  });
  afterEach(() => time.restore());
  function discarded(): BodyIntake {
    const intake = createBodyIntake(
      {
        pause: () => undefined,
        resume: () => undefined,
        stop: () => {
          stopped += 1;
        },
      },
      0,
    );
    discardBody(intake.body);
    return intake;
  }

  it('is read to its end, and its connection kept', async () => {
    const intake = discarded();
    intake.push(new Uint8Array(60_000));
    intake.end();
    await turns(5);
    await time.passMs(10_000);
    expect(stopped).to.equal(0);
  });
  it('is ended with its connection when it is longer than a new connection is worth', async () => {
    const intake = discarded();
    intake.push(new Uint8Array(64 * 1024));
    await turns(5);
    expect(stopped).to.equal(0);
    intake.push(new Uint8Array(1));
    await turns(5);
    expect(stopped).to.equal(1);
  });
  it('is ended with its connection after a second', async () => {
    discarded().push(new Uint8Array(1));
    await time.passMs(900);
    await turns(5);
    expect(stopped).to.equal(0);
    await time.passMs(200);
    await turns(5);
    expect(stopped).to.equal(1);
  });
  it('may fail by itself, which is nobody’s business', async () => {
    discarded().fail(new Error('reset'));
    await turns(5);
    await time.passMs(2_000);
    await turns(5);
    expect(stopped).to.equal(0);
  });
});
