import { expect } from 'chai';
import fc from 'fast-check';
import { epochMs, monotonicMs } from '../../lib/clock/time.js';
import {
  createCircuits,
  maxUnlistedRegistries,
  plansPerTrial,
  type Circuits,
  type CircuitsOptions,
} from '../../lib/health/circuit.js';
import { goodSpanMs, goodToClose } from '../../lib/health/circuit-state.js';
import { coolDownJitter, coolDownOf } from '../../lib/health/cool-down.js';
import { parseHealthOptions, type HealthOptions } from '../../lib/health/health-options.js';
import { maxRetryAfterMs } from '../../lib/health/verdict.js';
import type { SeenBy } from '../../lib/events/pull-event.js';
import type { RegistryPhase } from '../../lib/vocabulary/phase.js';
import type { Reason } from '../../lib/vocabulary/reason.js';
import { startFakeTime, type FakeTime } from '../support/fake-time.js';

const quay = 'quay.io/aptible';
const hub = 'docker.io/aptible';
const stalled: Reason = { cause: 'registry-storage', code: 'stalled', message: 'quay.io/aptible stopped sending' };
const late: Reason = { cause: 'registry-api', code: 'request-late', message: 'quay.io/aptible did not answer' };

interface Told {
  readonly what: 'opened' | 'half-opened' | 'closed';
  readonly registry: string;
  readonly phase: RegistryPhase;
  readonly atMs: number;
  readonly untilMs?: number;
  readonly reason: Reason;
  readonly seenBy?: SeenBy;
}

const follows: Readonly<Record<Told['what'], readonly Told['what'][]>> = {
  closed: ['opened'],
  opened: ['half-opened'],
  'half-opened': ['opened', 'closed'],
};

describe('circuits', () => {
  let time: FakeTime;
  let told: Told[];

  beforeEach(() => {
    time = startFakeTime();
    told = [];
  });

  afterEach(() => {
    time.restore();
  });

  function open(health: HealthOptions = {}, options: CircuitsOptions = { random: () => 0 }): Circuits {
    const tell =
      (what: Told['what']) =>
      (change: Omit<Told, 'what' | 'atMs'>): void => {
        told.push({ what, atMs: monotonicMs(), ...change });
      };
    return createCircuits(
      parseHealthOptions(health),
      { opened: tell('opened'), halfOpened: tell('half-opened'), closed: tell('closed') },
      options,
    );
  }

  function trip(circuits: Circuits, registry = quay, phase: RegistryPhase = 'layers'): void {
    circuits.record(registry, phase, { ill: stalled });
    circuits.record(registry, phase, { ill: stalled });
  }

  const words = (): readonly string[] => told.map((each) => each.what);

  it('open at the second ill pull in a row, with its reason, and put the registry last until the cool-down ends', async () => {
    const circuits = open();
    circuits.record(quay, 'layers', { ill: late });
    expect(circuits.place(quay, 'layers')).to.equal('closed');
    circuits.record(quay, 'layers', { ill: stalled });
    expect(told).to.deep.equal([
      {
        what: 'opened',
        registry: quay,
        phase: 'layers',
        atMs: 0,
        untilMs: epochMs() + 15_000,
        reason: stalled,
        seenBy: 'pull',
      },
    ]);
    expect(circuits.place(quay, 'layers')).to.equal('open');
    await time.passMs(14_999);
    expect(circuits.place(quay, 'layers')).to.equal('open');
    await time.passMs(1);
    expect(circuits.place(quay, 'layers')).to.equal('half-open');
    expect(words()).to.deep.equal(['opened', 'half-opened']);
  });

  it('open at the first ill pull where the host says so', () => {
    const circuits = open({ consecutiveFailures: 1 });
    circuits.record(quay, 'metadata', { ill: late });
    expect(circuits.place(quay, 'metadata')).to.equal('open');
  });

  it('leave the other phase and the other registries alone', () => {
    const circuits = open();
    trip(circuits);
    expect(circuits.place(quay, 'metadata')).to.equal('closed');
    expect(circuits.place(hub, 'layers')).to.equal('closed');
  });

  it('start to count again after a good pull', () => {
    const circuits = open();
    circuits.record(quay, 'layers', { ill: stalled });
    circuits.record(quay, 'layers', 'good');
    circuits.record(quay, 'layers', { ill: stalled });
    expect(circuits.place(quay, 'layers')).to.equal('closed');
  });

  it('are not moved by outcomes that come while they are open', async () => {
    const circuits = open();
    trip(circuits);
    for (let pull = 0; pull < 10; pull += 1) {
      circuits.record(quay, 'layers', { ill: late });
      circuits.record(quay, 'layers', 'good');
    }
    await time.passMs(15_000);
    expect(circuits.place(quay, 'layers')).to.equal('half-open');
    expect(words()).to.deep.equal(['opened', 'half-opened']);
  });

  it('half-open at a record too, when the cool-down is over', async () => {
    const circuits = open();
    trip(circuits);
    await time.passMs(15_000);
    circuits.record(quay, 'layers', { ill: late });
    expect(words()).to.deep.equal(['opened', 'half-opened', 'opened']);
    expect(told.at(-1)?.reason).to.equal(late);
  });

  it('close after three good pulls over five seconds', async () => {
    const circuits = open();
    trip(circuits);
    await time.passMs(15_000);
    circuits.record(quay, 'layers', 'good');
    circuits.record(quay, 'layers', 'good');
    circuits.record(quay, 'layers', 'good');
    await time.passMs(goodSpanMs - 1);
    circuits.record(quay, 'layers', 'good');
    expect(circuits.place(quay, 'layers')).to.equal('half-open');
    await time.passMs(1);
    circuits.record(quay, 'layers', 'good');
    expect(circuits.place(quay, 'layers')).to.equal('closed');
    expect(told.at(-1)).to.include({ what: 'closed', reason: stalled });
  });

  it('do not close on two good pulls, however far apart', async () => {
    const circuits = open();
    trip(circuits);
    await time.passMs(15_000);
    circuits.record(quay, 'layers', 'good');
    await time.passMs(60_000);
    circuits.record(quay, 'layers', 'good');
    expect(circuits.place(quay, 'layers')).to.equal('half-open');
  });

  it('want no longer span of good pulls than a short cool-down', async () => {
    const circuits = open({ coolDownMs: 100 });
    trip(circuits);
    await time.passMs(100);
    circuits.record(quay, 'layers', 'good');
    circuits.record(quay, 'layers', 'good');
    await time.passMs(100);
    circuits.record(quay, 'layers', 'good');
    expect(circuits.place(quay, 'layers')).to.equal('closed');
  });

  it('reopen at the first ill pull while half-open, each time for twice as long, up to the maximum', async () => {
    const circuits = open();
    trip(circuits);
    for (const coolDownMs of [15_000, 30_000, 60_000, 120_000, 240_000, 300_000, 300_000]) {
      expect((told.at(-1)?.untilMs ?? 0) - epochMs()).to.equal(coolDownMs);
      await time.passMs(coolDownMs);
      circuits.record(quay, 'layers', { ill: stalled });
    }
  });

  async function heal(circuits: Circuits): Promise<void> {
    await time.passMs(circuits.nextChangeMs() ?? 0);
    circuits.record(quay, 'layers', 'good');
    await time.passMs(goodSpanMs);
    for (let pull = 1; pull < goodToClose; pull += 1) circuits.record(quay, 'layers', 'good');
    expect(circuits.place(quay, 'layers')).to.equal('closed');
  }

  it('lengthen the cool-down also when they had closed for a moment in between', async () => {
    const circuits = open();
    trip(circuits);
    await heal(circuits);
    trip(circuits);
    expect(circuits.nextChangeMs()).to.equal(30_000);
  });

  it('forget earlier openings once they stayed closed for the longest cool-down', async () => {
    const circuits = open();
    trip(circuits);
    await heal(circuits);
    await time.passMs(300_000);
    trip(circuits);
    expect(circuits.nextChangeMs()).to.equal(15_000);
  });

  it('switch a bounded number of times under a registry that flaps for an hour', async () => {
    const circuits = open();
    for (let second = 0; second < 3_600; second += 1) {
      if (circuits.place(quay, 'layers') !== 'open') {
        circuits.record(quay, 'layers', second % 10 < 7 ? 'good' : { ill: stalled });
      }
      await time.passMs(1_000);
    }
    expect(words().filter((word) => word === 'opened').length).to.be.within(2, 20);
  });

  describe('of a limited registry', () => {
    it('put it last until Retry-After, without calling it ill', async () => {
      const circuits = open();
      circuits.limit(quay, 'metadata', monotonicMs() + 30_000);
      expect(circuits.place(quay, 'metadata')).to.equal('limited');
      expect(circuits.place(quay, 'layers')).to.equal('closed');
      expect(circuits.limitedUntilMs(quay, 'metadata')).to.equal(monotonicMs() + 30_000);
      expect(circuits.nextChangeMs()).to.equal(30_000);
      await time.passMs(30_000);
      expect(circuits.place(quay, 'metadata')).to.equal('closed');
      expect(circuits.limitedUntilMs(quay, 'metadata')).to.equal(null);
      expect(circuits.nextChangeMs()).to.equal(null);
      expect(told).to.deep.equal([]);
    });

    it('keep the longest of several, but none beyond an hour', () => {
      const circuits = open();
      circuits.limit(quay, 'metadata', monotonicMs() + 60_000);
      circuits.limit(quay, 'metadata', monotonicMs() + 30_000);
      expect(circuits.limitedUntilMs(quay, 'metadata')).to.equal(monotonicMs() + 60_000);
      circuits.limit(quay, 'metadata', Infinity);
      expect(circuits.limitedUntilMs(quay, 'metadata')).to.equal(monotonicMs() + maxRetryAfterMs);
    });

    for (const untilMs of [-1, 0, Number.NaN]) {
      it(`take no notice of ${untilMs} ms from now`, () => {
        const circuits = open();
        circuits.limit(quay, 'metadata', monotonicMs() + untilMs);
        expect(circuits.place(quay, 'metadata')).to.equal('closed');
      });
    }

    it('say limited rather than open where it is both', async () => {
      const circuits = open();
      trip(circuits);
      circuits.limit(quay, 'layers', monotonicMs() + 20_000);
      expect(circuits.place(quay, 'layers')).to.equal('limited');
      expect(circuits.nextChangeMs()).to.equal(15_000);
      await time.passMs(15_000);
      expect(circuits.place(quay, 'layers')).to.equal('limited');
      expect(circuits.nextChangeMs()).to.equal(5_000);
      await time.passMs(5_000);
      expect(circuits.place(quay, 'layers')).to.equal('half-open');
    });
  });

  describe('of a half-open registry', () => {
    async function halfOpen(): Promise<Circuits> {
      const circuits = open();
      trip(circuits);
      await time.passMs(15_000);
      return circuits;
    }

    it('let the first pull try it, and then one in four', async () => {
      const circuits = await halfOpen();
      const places = Array.from({ length: plansPerTrial * 2 }, () => circuits.place(quay, 'layers', { trial: true }));
      const full = Array.from({ length: plansPerTrial - 1 }, () => 'half-open-full' as const);
      expect(places).to.deep.equal(['half-open', ...full, 'half-open', ...full]);
    });

    it('let nobody use that up who only asks', async () => {
      const circuits = await halfOpen();
      for (let asked = 0; asked < 10; asked += 1) expect(circuits.place(quay, 'layers')).to.equal('half-open');
      circuits.place(quay, 'layers', { trial: true });
      for (let asked = 0; asked < 10; asked += 1) expect(circuits.place(quay, 'layers')).to.equal('half-open-full');
    });

    it('let the first pull try it again each time it half-opens', async () => {
      const circuits = await halfOpen();
      circuits.place(quay, 'layers', { trial: true });
      circuits.record(quay, 'layers', { ill: late });
      await time.passMs(30_000);
      expect(circuits.place(quay, 'layers', { trial: true })).to.equal('half-open');
    });

    it('let no pull try it before a probe that is to come found it well', async () => {
      const circuits = await halfOpen();
      circuits.expectProbe(quay, 'layers', monotonicMs());
      expect(circuits.place(quay, 'layers', { trial: true })).to.equal('half-open-full');
      circuits.record(quay, 'layers', 'good', 'probe');
      expect(circuits.place(quay, 'layers', { trial: true })).to.equal('half-open');
    });

    it('let pulls try it where no probe will come', async () => {
      const circuits = await halfOpen();
      circuits.expectProbe(quay, 'layers', monotonicMs());
      circuits.expectProbe(quay, 'layers', null);
      expect(circuits.place(quay, 'layers', { trial: true })).to.equal('half-open');
    });

    it('close on good probes alone, and say so', async () => {
      const circuits = await halfOpen();
      for (let probe = 0; probe < goodToClose; probe += 1) {
        circuits.record(quay, 'layers', 'good', 'probe');
        await time.passMs(goodSpanMs / 2);
      }
      expect(circuits.place(quay, 'layers')).to.equal('closed');
      expect(told.at(-1)).to.include({ what: 'closed', seenBy: 'probe' });
    });

    it('begin the next, longer cool-down with a probe that fails', async () => {
      const circuits = await halfOpen();
      circuits.record(quay, 'layers', { ill: late }, 'probe');
      expect(circuits.nextChangeMs()).to.equal(30_000);
      expect(told.at(-1)).to.include({ what: 'opened', seenBy: 'probe', reason: late });
    });
  });

  describe('that canaries look at', () => {
    it('open at the second bad look in a row', () => {
      const circuits = open();
      circuits.record(quay, 'layers', { ill: stalled }, 'canary');
      circuits.record(quay, 'layers', { ill: stalled }, 'canary');
      expect(told.at(-1)).to.include({ what: 'opened', seenBy: 'canary' });
    });

    it('open although every canary between two ill pulls is good', () => {
      const circuits = open();
      circuits.record(quay, 'layers', { ill: stalled });
      for (let look = 0; look < 20; look += 1) circuits.record(quay, 'layers', 'good', 'canary');
      circuits.record(quay, 'layers', { ill: stalled });
      expect(told.at(-1)).to.include({ what: 'opened', seenBy: 'pull' });
    });

    it('do not open on a bad look after which the next was good', () => {
      const circuits = open();
      circuits.record(quay, 'layers', { ill: stalled }, 'canary');
      circuits.record(quay, 'layers', 'good', 'canary');
      circuits.record(quay, 'layers', { ill: stalled }, 'canary');
      expect(circuits.place(quay, 'layers')).to.equal('closed');
    });
  });

  describe('that an operator holds', () => {
    for (const as of ['open', 'closed'] as const) {
      it(`count as ${as}, whatever happens, and learn in silence`, async () => {
        const circuits = open({}, { registries: [quay], random: () => 0 });
        await time.passMs(1_000);
        circuits.hold(quay, 'layers', as);
        trip(circuits);
        await time.passMs(20_000);
        expect(circuits.place(quay, 'layers', { trial: true })).to.equal(`held-${as}`);
        expect(circuits.place(quay, 'metadata')).to.equal('closed');
        expect(circuits.health().find(({ phase }) => phase === 'layers')).to.deep.include({
          state: 'held',
          heldAs: as,
          sinceMs: epochMs() - 20_000,
          untilMs: null,
        });
        expect(told).to.deep.equal([]);
      });
    }

    it('tell what was learnt when the hold ends', async () => {
      const circuits = open();
      circuits.hold(quay, 'layers', 'closed');
      trip(circuits);
      await time.passMs(15_000);
      circuits.hold(quay, 'layers', null);
      expect(circuits.place(quay, 'layers')).to.equal('half-open');
      expect(words()).to.deep.equal(['opened', 'half-opened']);
    });

    it('say nothing new where nothing was learnt', () => {
      const circuits = open();
      trip(circuits);
      circuits.hold(quay, 'layers', 'open');
      circuits.hold(quay, 'layers', null);
      expect(words()).to.deep.equal(['opened']);
      expect(circuits.place(quay, 'layers')).to.equal('open');
    });

    it('tell whoever waits for a change, once each time', () => {
      const circuits = open();
      let count = 0;
      circuits.onChange(() => (count += 1));
      for (const as of ['open', 'open', 'closed', null, null] as const) circuits.hold(quay, 'layers', as);
      expect(count).to.equal(3);
    });

    it('are remembered, however many others come', () => {
      const circuits = open();
      circuits.hold(quay, 'metadata', 'open');
      for (let tenant = 0; tenant < maxUnlistedRegistries * 3; tenant += 1) {
        circuits.record(`tenant-${tenant}.example`, 'metadata', { ill: late });
      }
      expect(circuits.place(quay, 'metadata')).to.equal('held-open');
    });
  });

  describe('tell a parked pull', () => {
    it('of every change, after it happened, until it has enough', async () => {
      const circuits = open();
      const seen: string[] = [];
      const stop = circuits.onChange(() => seen.push(circuits.place(quay, 'layers')));
      trip(circuits);
      circuits.limit(quay, 'layers', monotonicMs() + 1_000);
      await time.passMs(15_000);
      expect(circuits.place(quay, 'layers')).to.equal('half-open');
      stop();
      circuits.record(quay, 'layers', { ill: late });
      expect(seen).to.deep.equal(['open', 'limited', 'half-open']);
    });

    it('each by itself, also when one function listens twice', () => {
      const circuits = open();
      let count = 0;
      const listener = (): void => {
        count += 1;
      };
      const stop = circuits.onChange(listener);
      circuits.onChange(listener);
      stop();
      trip(circuits);
      expect(count).to.equal(1);
    });

    it('when the first of several cool-downs ends', async () => {
      const circuits = open();
      expect(circuits.nextChangeMs()).to.equal(null);
      trip(circuits, quay);
      await time.passMs(5_000);
      trip(circuits, hub);
      expect(circuits.nextChangeMs()).to.equal(10_000);
      await time.passMs(10_000);
      expect(circuits.nextChangeMs(), 'what is over needs no waiting').to.equal(5_000);
      expect(words()).to.deep.equal(['opened', 'opened', 'half-opened']);
    });

    it('nothing any more once they are closed', async () => {
      const circuits = open();
      let count = 0;
      circuits.onChange(() => (count += 1));
      circuits.close();
      trip(circuits);
      circuits.limit(quay, 'layers', monotonicMs() + 1_000);
      await time.passMs(15_000);
      circuits.record(quay, 'layers', { ill: late });
      expect(count).to.equal(0);
      expect(told).to.deep.equal([]);
    });
  });

  describe('show their health', () => {
    it('of every listed registry in both phases before anything happened', () => {
      const circuits = open({}, { registries: [quay, hub] });
      const nothing = {
        state: 'closed',
        sinceMs: epochMs(),
        reason: null,
        untilMs: null,
        limitedUntilMs: null,
        heldAs: null,
        nextProbeAtMs: null,
      };
      expect(circuits.health()).to.deep.equal([
        { registry: quay, phase: 'metadata', ...nothing },
        { registry: quay, phase: 'layers', ...nothing },
        { registry: hub, phase: 'metadata', ...nothing },
        { registry: hub, phase: 'layers', ...nothing },
      ]);
    });

    it('as JSON, with times that people read', async () => {
      const circuits = open();
      const startMs = epochMs();
      trip(circuits);
      circuits.limit(quay, 'layers', monotonicMs() + 60_000);
      const [shown] = circuits.health();
      expect(shown).to.deep.equal({
        registry: quay,
        phase: 'layers',
        state: 'open',
        sinceMs: startMs,
        reason: stalled,
        untilMs: startMs + 15_000,
        limitedUntilMs: startMs + 60_000,
        heldAs: null,
        nextProbeAtMs: null,
      });
      expect(JSON.parse(JSON.stringify(shown))).to.deep.equal(shown);
      await time.passMs(20_000);
      expect(circuits.health()[0]).to.deep.include({ state: 'half-open', sinceMs: startMs + 15_000, untilMs: null });
    });
  });

  it('remember a bounded number of registries that nobody listed, and every listed one', () => {
    const circuits = open({}, { registries: [hub], random: () => 0 });
    for (let tenant = 0; tenant < maxUnlistedRegistries * 3; tenant += 1) {
      trip(circuits, `tenant-${tenant}.example`, 'metadata');
    }
    expect(circuits.health()).to.have.length.at.most((maxUnlistedRegistries + 1) * 2);
    expect(circuits.health().filter(({ registry }) => registry === hub)).to.have.length(2);
    expect(circuits.place(`tenant-${maxUnlistedRegistries * 3 - 1}.example`, 'metadata')).to.equal('open');
  });

  it('forget registries at which all is well before those that are open', async () => {
    const circuits = open({ maxCoolDownMs: 3_600_000, coolDownMs: 3_600_000 });
    trip(circuits, quay, 'metadata');
    for (let tenant = 0; tenant < maxUnlistedRegistries * 5; tenant += 1) {
      circuits.record(`tenant-${tenant}.example`, 'metadata', 'good');
      if (tenant % 100 === 0) await time.passMs(30_000);
    }
    expect(circuits.place(quay, 'metadata')).to.equal('open');
  });

  it('keep no trace of a registry that was only asked for', () => {
    const circuits = open();
    expect(circuits.place('tenant.example', 'metadata')).to.equal('closed');
    expect(circuits.limitedUntilMs('tenant.example', 'metadata')).to.equal(null);
    expect(circuits.health()).to.deep.equal([]);
  });

  it('hold what they promise over any sequence of pulls, pauses and times', async () => {
    const step = fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({
          do: fc.constant('ill' as const),
          phase: fc.constantFrom('metadata' as const, 'layers' as const),
        }),
      },
      {
        weight: 4,
        arbitrary: fc.record({
          do: fc.constant('good' as const),
          phase: fc.constantFrom('metadata' as const, 'layers' as const),
        }),
      },
      {
        weight: 3,
        arbitrary: fc.record({
          do: fc.constant('pass' as const),
          ms: fc.constantFrom(1, 500, 4_999, 5_000, 14_999, 15_000, 400_000),
        }),
      },
      {
        weight: 1,
        arbitrary: fc.record({
          do: fc.constant('limit' as const),
          phase: fc.constantFrom('metadata' as const, 'layers' as const),
          ms: fc.integer({ min: 0, max: 60_000 }),
        }),
      },
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 60 }),
        fc.double({ min: 0, max: 0.99, noNaN: true }),
        async (steps, jitter) => {
          told = [];
          const circuits = open({}, { random: () => jitter });
          const model = { metadata: new ModelCircuit(jitter), layers: new ModelCircuit(jitter) };
          const limitedUntilMs = { metadata: -Infinity, layers: -Infinity };
          for (const each of steps) {
            switch (each.do) {
              case 'ill':
                circuits.record(quay, each.phase, { ill: stalled });
                model[each.phase].pulled(true, monotonicMs());
                break;
              case 'good':
                circuits.record(quay, each.phase, 'good');
                model[each.phase].pulled(false, monotonicMs());
                break;
              case 'pass':
                await time.passMs(each.ms);
                break;
              case 'limit':
                circuits.limit(quay, each.phase, monotonicMs() + each.ms);
                limitedUntilMs[each.phase] = Math.max(limitedUntilMs[each.phase], monotonicMs() + each.ms);
                break;
            }
            for (const phase of ['metadata', 'layers'] as const) {
              const expected = model[phase].at(monotonicMs());
              const isLimited = limitedUntilMs[phase] > monotonicMs();
              expect(circuits.place(quay, phase)).to.equal(isLimited ? 'limited' : expected);
            }
            expect(circuits.nextChangeMs() ?? 1).to.be.greaterThan(0);
          }
          for (const phase of ['metadata', 'layers'] as const) {
            let last: Told['what'] = 'closed';
            for (const { what } of told.filter((each) => each.phase === phase)) {
              expect(follows[last]).to.include(what);
              last = what;
            }
          }
        },
      ),
      { numRuns: 150 },
    );
  });
});

/** The circuit by its definition: the whole history is kept, and read anew at each step. */
class ModelCircuit {
  readonly #jitter: number;
  #pulls: { readonly isIll: boolean; readonly atMs: number }[] = [];
  #goods: number[] = [];
  #state: 'closed' | 'open' | 'half-open' = 'closed';
  #closedAtMs = 0;
  #openUntilMs = 0;
  #openings = 0;

  constructor(jitter: number) {
    this.#jitter = jitter;
  }

  at(nowMs: number): 'closed' | 'open' | 'half-open' {
    if (this.#state === 'open' && nowMs >= this.#openUntilMs) {
      this.#state = 'half-open';
      this.#goods = [];
    }
    return this.#state;
  }

  pulled(isIll: boolean, nowMs: number): void {
    switch (this.at(nowMs)) {
      case 'open':
        return;
      case 'half-open':
        if (isIll) return this.#open(nowMs);
        this.#goods.push(nowMs);
        if (this.#goods.length >= 3 && nowMs - (this.#goods[0] ?? nowMs) >= 5_000) {
          this.#state = 'closed';
          this.#closedAtMs = nowMs;
          this.#pulls = [];
        }
        return;
      case 'closed': {
        this.#pulls.push({ isIll, atMs: nowMs });
        const recent = this.#pulls.filter((pull) => nowMs - pull.atMs < 30_000);
        const ills = recent.filter((pull) => pull.isIll).length;
        const twoInARow = this.#pulls.length >= 2 && this.#pulls.slice(-2).every((pull) => pull.isIll);
        if (isIll && (twoInARow || (recent.length >= 6 && ills * 2 >= recent.length))) {
          if (nowMs - this.#closedAtMs >= 300_000) this.#openings = 0;
          this.#open(nowMs);
        }
      }
    }
  }

  #open(nowMs: number): void {
    this.#openings += 1;
    this.#state = 'open';
    const fullMs = Math.min(15_000 * 2 ** (this.#openings - 1), 300_000);
    this.#openUntilMs = nowMs + Math.max(1, Math.round(fullMs * (1 - 0.2 * this.#jitter)));
  }
}

describe('a cool-down', () => {
  const settings = { coolDownMs: 15_000, maxCoolDownMs: 300_000 };

  it('is never longer than configured, nor shorter by more than the jitter', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5_000 }),
        fc.double({ min: 0, max: 0.999_999, noNaN: true }),
        (openings, random) => {
          const fullMs = coolDownOf(openings, settings, () => 0);
          const ms = coolDownOf(openings, settings, () => random);
          expect(ms).to.be.within(Math.floor(fullMs * (1 - coolDownJitter)), fullMs);
          expect(fullMs).to.be.within(15_000, 300_000);
        },
      ),
    );
  });

  it('lasts at least a millisecond', () => {
    expect(coolDownOf(1, { coolDownMs: 1, maxCoolDownMs: 1 }, () => 0.99)).to.equal(1);
  });
});
