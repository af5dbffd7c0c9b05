import { expect } from 'chai';
import { ResumeTurns } from '../../lib/puller/resume-turns.js';

describe('the turns of parked pulls', () => {
  it('come to so many at the same time, the oldest first, the next one when one has ended', () => {
    const turns = new ResumeTurns(2);
    const begun: number[] = [];
    const ends: (() => void)[] = [];
    for (const order of [3, 1, 2, 5, 4]) {
      turns.take({
        order,
        atOnce: false,
        begin: (ended) => {
          begun.push(order);
          ends.push(ended);
        },
      });
    }
    expect(begun).to.deep.equal([3, 1]);
    ends[0]?.();
    expect(begun).to.deep.equal([3, 1, 2]);
    ends[0]?.();
    expect(begun, 'a try ends once').to.deep.equal([3, 1, 2]);
    ends[1]?.();
    ends[2]?.();
    expect(begun).to.deep.equal([3, 1, 2, 4, 5]);
  });

  it('can be given up, and need not be waited for', () => {
    const turns = new ResumeTurns(1);
    const begun: number[] = [];
    let end = (): void => {};
    const take = (order: number, atOnce = false): (() => void) =>
      turns.take({
        order,
        atOnce,
        begin: (ended) => {
          begun.push(order);
          end = ended;
        },
      });
    take(1);
    const endFirst = end;
    const giveUp = take(2);
    take(3);
    take(9, true);
    giveUp();
    expect(begun).to.deep.equal([1, 9]);
    endFirst();
    expect(begun, 'the one that did not wait counts').to.deep.equal([1, 9]);
    end();
    expect(begun).to.deep.equal([1, 9, 3]);
  });
});
