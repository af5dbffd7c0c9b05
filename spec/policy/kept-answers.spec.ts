import { expect } from 'chai';
import { createKeptAnswers } from '../../lib/policy/kept-answers.js';
import { type FakeTime, startFakeTime } from '../support/fake-time.js';
import { failureOf } from '../support/failure-of.js';

describe('a kept answer', () => {
  let time: FakeTime;
  beforeEach(() => {
    time = startFakeTime();
  });
  afterEach(() => time.restore());
  const { signal } = new AbortController();

  function answers(maxKept = 2): {
    readonly asked: readonly string[];
    ask(key: string, answer?: string, by?: AbortSignal): Promise<string>;
    forget(key: string): void;
  } {
    const kept = createKeptAnswers<string>({ keptMs: (answer) => (answer === 'never' ? 0 : 1_000), maxKept });
    const asked: string[] = [];
    return {
      asked,
      ask: (key, answer = 'yes', by = signal) =>
        kept.of(
          key,
          async () => {
            asked.push(key);
            await Promise.resolve();
            if (answer === 'failure') throw new Error(answer);
            return answer;
          },
          by,
        ),
      forget: kept.forget,
    };
  }

  it('is asked for once, also by many at a time, until its time is over', async () => {
    const { ask, asked } = answers();
    expect(await Promise.all([ask('a'), ask('a', 'other')])).to.deep.equal(['yes', 'yes']);
    await time.passMs(999);
    expect(await ask('a', 'other')).to.equal('yes');
    await time.passMs(1);
    expect(await ask('a', 'other')).to.equal('other');
    expect(asked).to.deep.equal(['a', 'a']);
  });

  it('is not kept when it is worth nothing, failed, was forgotten, or others were asked for since', async () => {
    const { ask, asked, forget } = answers(1);
    await ask('a', 'never');
    await failureOf(ask('a', 'failure'));
    await ask('a');
    forget('a');
    await ask('a');
    await ask('b');
    await ask('a');
    expect(asked).to.deep.equal(['a', 'a', 'a', 'a', 'b', 'a']);
  });

  it('is waited for by each as long as it wants to', async () => {
    const { ask } = answers();
    const leaving = new AbortController();
    const both = [failureOf(ask('a', 'yes', leaving.signal)), ask('a')];
    leaving.abort('enough');
    expect(await Promise.all(both)).to.deep.equal(['enough', 'yes']);
    expect(await failureOf(ask('a', 'yes', leaving.signal))).to.equal('enough');
  });
});
