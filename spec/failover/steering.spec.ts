import { expect } from 'chai';
import type { Candidate } from '../../lib/failover/candidate.js';
import { Steering, type NewCourse } from '../../lib/failover/steering.js';
import type { Reason } from '../../lib/vocabulary/reason.js';

const reason: Reason = { cause: 'caller', code: 'steered', message: 'an operator wants it' };

/** Only who they are matters here. */
const [a, b, c] = ['A', 'B', 'C'].map((registry) => ({ registry })) as unknown as [Candidate, Candidate, Candidate];

describe('the course of a pull', () => {
  const all = [a, b, c];
  const open = (): Steering => new Steering(all, { metadata: all, layers: all });
  const course = (layers: readonly string[], inFlight: NewCourse['inFlight'] = 'move'): NewCourse => ({
    order: { metadata: ['A', 'B', 'C'], layers },
    reason,
    inFlight,
  });

  it('is the plan, until it is steered, phase by phase', () => {
    const steering = open();
    steering.steer(course(['C', 'A']));
    expect(steering.order('layers')).to.deep.equal([c, a]);
    expect(steering.order('metadata')).to.deep.equal(all);
    expect(steering.isBarred(b, 'layers')).to.equal(true);
    expect(steering.isBarred(b, 'metadata')).to.equal(false);
    expect(steering.candidates, 'it may come back').to.deep.equal(all);
  });

  it('says why a candidate is asked later than before, or not at all, until it has its place again', () => {
    const steering = open();
    steering.steer(course(['C', 'A']));
    expect(all.map((each) => steering.whyPassed(each, 'layers'))).to.deep.equal([reason, reason, null]);
    expect(steering.whyPassed(a, 'metadata')).to.equal(null);
    steering.steer(course(['A', 'B', 'C']));
    expect(steering.whyPassed(a, 'layers')).to.equal(null);
    expect(steering.whyPassed(b, 'layers')).to.equal(null);
  });

  it('is told to whoever listens when bytes under way are to move, and only then', () => {
    const steering = open();
    let told = 0;
    const stop = steering.onSteered(() => {
      told += 1;
    });
    steering.steer(course(['B', 'A', 'C'], 'finish'));
    expect(told).to.equal(0);
    steering.steer(course(['C', 'B', 'A']));
    expect(told).to.equal(1);
    stop();
    steering.steer(course(['A', 'B', 'C']));
    expect(told).to.equal(1);
  });

  it('takes no notice of prefixes that are not in the plan', () => {
    const steering = open();
    steering.steer(course(['X', 'B']));
    expect(steering.order('layers')).to.deep.equal([b]);
  });
});
