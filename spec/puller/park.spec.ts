import { expect } from 'chai';
import { monotonicMs } from '../../lib/clock/time.js';
import { PullerClosedError } from '../../lib/errors/puller-closed-error.js';
import { createEventBus } from '../../lib/events/event-bus.js';
import { createCircuits, type Circuits } from '../../lib/health/circuit.js';
import { parseHealthOptions } from '../../lib/health/health-options.js';
import { Callers } from '../../lib/puller/callers.js';
import { CarPark, type ParkRequest } from '../../lib/puller/park.js';
import { Voice } from '../../lib/puller/voice.js';
import type { Reason } from '../../lib/vocabulary/reason.js';
import { type FakeTime, startFakeTime } from '../support/fake-time.js';

const reason: Reason = { cause: 'registry-storage', code: 'stalled', message: 'it stalled' };

const coolDownMs = 10_000;

describe('a parked pull tries again', () => {
  let time: FakeTime;
  let circuits: Circuits;
  let carPark: CarPark;
  let stop: AbortController;
  let resumed: { readonly why: string; readonly afterMs: number } | null;

  beforeEach(() => {
    time = startFakeTime();
    circuits = createCircuits(
      parseHealthOptions({ consecutiveFailures: 1, coolDownMs }, 'health'),
      {},
      {
        random: () => 0.5,
      },
    );
    carPark = new CarPark(circuits, coolDownMs);
    stop = new AbortController();
    resumed = null;
  });

  afterEach(async () => {
    stop.abort();
    await time.passMs(0);
    time.restore();
  });

  async function park(request: Partial<ParkRequest> = {}): Promise<void> {
    const callers = new Callers();
    const scope = { pullId: 'a', image: 'quay.io/team/app:1', operation: null, engine: 'images' };
    callers.add({ voice: new Voice(createEventBus(), scope), endsAtMs: Infinity, leave: () => {} });
    const sinceMs = monotonicMs();
    carPark
      .park({
        callers,
        waitMs: Infinity,
        reason,
        retryAfterMs: null,
        signal: stop.signal,
        ...request,
      })
      .then(
        ({ why }) => (resumed = { why, afterMs: monotonicMs() - sinceMs }),
        (error: unknown) => (resumed = { why: String(error), afterMs: monotonicMs() - sinceMs }),
      );
    await time.passMs(0);
  }

  /** A circuit that is closed again after its cool-down: three good pulls over five seconds. */
  async function heal(registry: string): Promise<void> {
    for (let good = 0; good < 3; good += 1) {
      circuits.record(registry, 'layers', 'good');
      await time.passMs(2_500);
    }
    circuits.record(registry, 'layers', 'good');
    await time.passMs(0);
  }

  it('at least every half minute, when nobody says that anything changed', async () => {
    await park();
    await time.passMs(29_999);
    expect(resumed).to.equal(null);
    await time.passMs(1);
    expect(resumed).to.deep.equal({ why: 'interval', afterMs: 30_000 });
  });

  it('when a cool-down is over', async () => {
    circuits.record('quay.io/team', 'layers', { ill: reason });
    const leftMs = circuits.nextChangeMs() ?? 0;
    expect(leftMs).to.be.within(5_000, 20_000);
    await park();
    await time.passMs(leftMs - 1);
    expect(resumed).to.equal(null);
    await time.passMs(1);
    expect(resumed).to.deep.equal({ why: 'cool-down-over', afterMs: leftMs });
  });

  it('when the cool-down of a circuit is over that opened while it was parked', async () => {
    await park();
    await time.passMs(5_000);
    circuits.record('quay.io/team', 'layers', { ill: reason });
    const leftMs = circuits.nextChangeMs() ?? 0;
    await time.passMs(leftMs - 1);
    expect(resumed).to.equal(null);
    await time.passMs(1);
    expect(resumed).to.deep.equal({ why: 'cool-down-over', afterMs: 5_000 + leftMs });
  });

  it('when somebody else notices that a cool-down is over', async () => {
    circuits.record('quay.io/team', 'layers', { ill: reason });
    const leftMs = circuits.nextChangeMs() ?? 0;
    await time.passMs(leftMs - 500);
    await park();
    await time.passMs(500);
    expect(circuits.place('quay.io/team', 'layers')).to.equal('half-open');
    await time.passMs(0);
    expect(resumed).to.deep.equal({ why: 'cool-down-over', afterMs: 500 });
  });

  it('a cool-down later, for a half-open circuit that this pull has just failed', async () => {
    circuits.record('quay.io/team', 'layers', { ill: reason });
    await time.passMs(20_000);
    expect(circuits.place('quay.io/team', 'layers')).to.equal('half-open');
    await park();
    await time.passMs(coolDownMs - 1);
    expect(resumed).to.equal(null);
    await time.passMs(1);
    expect(resumed).to.deep.equal({ why: 'cool-down-over', afterMs: coolDownMs });
  });

  it('when another pull has proved a registry well', async () => {
    circuits.record('quay.io/team', 'layers', { ill: reason });
    await time.passMs(20_000);
    expect(circuits.place('quay.io/team', 'layers')).to.equal('half-open');
    await time.passMs(1);
    await park();
    await heal('quay.io/team');
    expect(resumed?.why).to.equal('circuit-closed');
    expect(resumed?.afterMs).to.be.at.most(7_500);
  });

  it('when a Retry-After is over, but never in a tight loop', async () => {
    await park({ retryAfterMs: 7_000 });
    await time.passMs(7_000);
    expect(resumed).to.deep.equal({ why: 'retry-after-over', afterMs: 7_000 });
    await park({ retryAfterMs: 0 });
    await time.passMs(999);
    expect(carPark.list()).to.have.length(1);
    await time.passMs(1);
    expect(resumed).to.deep.equal({ why: 'retry-after-over', afterMs: 1_000 });
  });

  it('when its time is over: a last time', async () => {
    await park({ waitMs: 300 });
    await time.passMs(300);
    expect(resumed?.afterMs).to.equal(300);
  });

  it('not when its signal is aborted: that reason comes through', async () => {
    await park();
    stop.abort('enough');
    await time.passMs(0);
    expect(resumed).to.deep.equal({ why: 'enough', afterMs: 0 });
    expect(carPark.list()).to.deep.equal([]);
  });

  it('nowhere once the puller is closing', async () => {
    await park();
    carPark.close(new PullerClosedError());
    await time.passMs(0);
    expect(resumed?.why).to.match(/^PullerClosedError/);
    resumed = null;
    await park();
    expect(resumed)
      .to.have.property('why')
      .that.matches(/^PullerClosedError/);
    expect(carPark.list()).to.deep.equal([]);
  });
});
