import { expect } from 'chai';
import fc from 'fast-check';
import type { Incident } from '../../lib/incidents/incident.js';
import {
  createIncidentRecorder,
  type IncidentRecorder,
  type IncidentRecorderOptions,
} from '../../lib/incidents/incident-recorder.js';
import type { CircuitNow, IncidentStart } from '../../lib/incidents/incident-watch.js';
import { readIncident } from '../../lib/incidents/read-incident.js';
import { clock, HostStory, hub, quay, stalled } from './support/host-story.js';
import { outageOf2017 } from './support/outage-of-2017.js';

describe('the record of an incident', () => {
  let recorder: IncidentRecorder;
  let story: HostStory;
  let opened: { readonly incident: Incident; readonly start: IncidentStart }[];
  let closed: Incident[];

  function record(options: IncidentRecorderOptions = {}): void {
    recorder = createIncidentRecorder({
      onOpened: (incident, start) => opened.push({ incident, start }),
      onClosed: (incident) => closed.push(incident),
      ...options,
    });
    story = new HostStory((event) => recorder.observe(event));
  }

  beforeEach(() => {
    opened = [];
    closed = [];
    record();
  });

  function current(): Incident {
    const incident = recorder.current();
    if (incident === null) throw new Error('no incident is open');
    return incident;
  }

  function operationOf(incident: Incident, pullId: string): Incident['operations'][number] | undefined {
    return incident.operations.find((operation) => operation.pullId === pullId);
  }

  describe('begins and ends with circuits', () => {
    it('opens with the first circuit, and says which and why', () => {
      story.saved();
      expect(recorder.current()).to.equal(null);
      story.at('18:36').opened();
      expect(opened.map(({ start }) => start)).to.deep.equal([{ registry: quay, phase: 'layers', reason: stalled }]);
      expect(current()).to.deep.include({ openedAtMs: clock('18:36'), closedAtMs: null, registries: [quay] });
      expect(opened[0]?.incident).to.deep.equal(current());
    });

    it('closes when no circuit is open or half-open any more, and is the newest of the list from then on', () => {
      story.at('18:36').opened();
      story.at('18:55').opened(quay, 'metadata');
      story.at('20:00').halfOpened();
      story.at('20:01').closed();
      expect(closed).to.be.empty;
      story.at('21:00').halfOpened(quay, 'metadata');
      expect(closed).to.be.empty;
      story.at('21:35').closed(quay, 'metadata');
      expect(recorder.current()).to.equal(null);
      expect(closed.map(({ closedAtMs }) => closedAtMs)).to.deep.equal([clock('21:35')]);
      expect(recorder.list()).to.deep.equal(closed);
    });

    it('opens once, however many circuits follow, and tells each of their changes', () => {
      story.at('18:36').opened();
      story.at('18:40').halfOpened();
      story.at('18:41').opened(quay, 'layers', 'probe');
      story.at('18:55').opened(hub, 'metadata', 'canary');
      expect(opened).to.have.length(1);
      expect(
        current().circuits.map(({ registry, phase, state, seenBy }) => [registry, phase, state, seenBy]),
      ).to.deep.equal([
        [quay, 'layers', 'open', 'pull'],
        [quay, 'layers', 'half-open', null],
        [quay, 'layers', 'open', 'probe'],
        [hub, 'metadata', 'open', 'canary'],
      ]);
      expect(current().registries).to.deep.equal([quay, hub]);
    });

    it('makes a new incident of a circuit that opens after all were closed', () => {
      story.at('18:36').opened();
      story.at('18:40').closed();
      story.at('19:36').opened();
      expect(current().openedAtMs).to.equal(clock('19:36'));
      expect(current().id).to.not.equal(closed[0]?.id);
      story.at('19:40').closed();
      expect(recorder.list().map(({ openedAtMs }) => openedAtMs)).to.deep.equal([clock('19:36'), clock('18:36')]);
    });

    it('takes nothing for its beginning that changed while no circuit was open', () => {
      story.halfOpened();
      story.closed();
      story.acted('set');
      expect(recorder.current()).to.equal(null);
      expect(recorder.list()).to.be.empty;
    });

    it('ends also when circuits closed without a word, once a pull is planned', () => {
      let now: readonly CircuitNow[] = [{ registry: quay, phase: 'layers', state: 'half-open' }];
      record({ circuits: () => now });
      story.at('18:36').opened();
      story.at('18:40').started();
      expect(closed).to.be.empty;
      now = [{ registry: quay, phase: 'layers', state: 'held' }];
      story.at('18:41').started();
      expect(closed, 'of one that is held nobody knows').to.be.empty;
      now = [{ registry: quay, phase: 'layers', state: 'closed' }];
      story.at('18:42').started();
      expect(closed.map(({ closedAtMs }) => closedAtMs)).to.deep.equal([clock('18:42')]);
    });

    it('keeps no more past incidents than it may', () => {
      record({ maxIncidents: 3 });
      for (let at = 0; at < 5; at += 1) {
        story.pass(60_000).opened();
        story.pass(60_000).closed();
      }
      const newest = closed.slice(-3).toReversed();
      expect(recorder.list()).to.deep.equal(newest);
    });
  });

  describe('holds its beginning', () => {
    it('with what this registry failed before anybody knew: operations, failures, failovers', () => {
      const first = story.at('18:20').saved('database', { engine: 'host-4' });
      const second = story.at('18:35').started();
      story.phase(second, 'layers');
      story.at('18:35:50').failed(second);
      story.at('18:36').opened();
      const incident = current();
      expect(incident.operations.map(({ pullId, outcome }) => [pullId, outcome])).to.deep.equal([
        [first.pullId, 'saved'],
        [second.pullId, 'running'],
      ]);
      expect(incident.failures).to.have.length(1);
      expect(incident.failures[0]).to.deep.include({
        registry: quay,
        phase: 'layers',
        count: 2,
        firstAtMs: clock('18:20:10'),
        lastAtMs: clock('18:35:50'),
        engines: ['host-4', 'host-17'],
      });
      expect(incident.failovers).to.have.length(1);
      expect(incident.fromMs).to.equal(clock('18:20:10'));
    });

    it('not with what is longer ago than 20 minutes, nor with the failures of others', () => {
      story.at('18:10').saved();
      const other = story.at('18:30').started();
      story.failed(other, { registry: hub });
      story.at('18:36').opened();
      expect(current().operations).to.be.empty;
      expect(current().failures).to.be.empty;
    });

    it('with those of a second registry when its circuit opens later', () => {
      const pull = story.at('18:30').started();
      story.failed(pull, { registry: hub });
      story.at('18:36').opened();
      story.at('18:37').opened(hub);
      expect(current().failures.map(({ registry }) => registry)).to.deep.equal([hub]);
      expect(current().operations.map(({ pullId }) => pullId)).to.deep.equal([pull.pullId]);
    });

    it('with what registries brought in the minute before', () => {
      const pull = story.at('18:35:30').started();
      story.progressed(pull, { [quay]: 1_000 });
      story.at('18:35:40').progressed(pull, { [quay]: 3_000 });
      story.at('18:36').opened();
      expect(current().throughput).to.deep.include({ fromMs: clock('18:35:30') });
      expect(current().throughput.registries).to.deep.equal([
        { registry: quay, bytes: 3_000, steps: [1_000, ...Array.from({ length: 9 }, () => 0), 2_000] },
      ]);
    });

    it("with operators' acts that were in force, and not with those that were over", () => {
      story.at('12:00').acted('set', { id: 'in-force' });
      story.at('13:00').acted('set', { id: 'over' });
      story.at('14:00').acted('expired', { id: 'over' });
      story.at('18:36').opened();
      story.at('18:37').acted('set', { id: 'new' });
      expect(current().operatorActs.map(({ control }) => control?.id)).to.deep.equal(['in-force', 'new']);
    });
  });

  describe('tells what became of each operation', () => {
    beforeEach(() => {
      story.at('18:36').opened();
    });

    it('saved, by whom its work moved to', () => {
      const pull = story.saved();
      expect(operationOf(current(), pull.pullId)).to.deep.equal({
        pullId: pull.pullId,
        kind: 'database',
        id: 'op-871',
        image: `${quay}/redis:3.0`,
        engine: 'host-17',
        phases: ['layers'],
        outcome: 'saved',
        savedBy: 'failover',
        startedAtMs: clock('18:36'),
        endedAtMs: clock('18:36:11'),
        lateMs: 0,
        reason: stalled,
        error: null,
      });
      expect(current().failovers).to.deep.equal([
        {
          phase: 'layers',
          from: quay,
          to: hub,
          reason: stalled,
          count: 1,
          firstAtMs: clock('18:36:10'),
          lastAtMs: clock('18:36:10'),
          bytesKept: 6_000_000,
        },
      ]);
    });

    it('late, by as long as it was parked', () => {
      const pull = story.started();
      story.failed(pull);
      story.pass(1_000).parked(pull);
      story.pass(60_000);
      story.opened(hub);
      expect(operationOf(current(), pull.pullId)).to.include({ outcome: 'running', lateMs: 60_000 });
      story.pass(30_000).resumed(pull, 90_000);
      story.pass(5_000).parked(pull);
      story.pass(10_000).resumed(pull, 10_000);
      story.pass(2_000).succeeded(pull);
      expect(operationOf(current(), pull.pullId)).to.include({ outcome: 'late', lateMs: 100_000, savedBy: 'retry' });
    });

    it('failed, with what the host was told', () => {
      const pull = story.started('app');
      story.failed(pull, { phase: 'metadata' });
      story.pass(1_000).gaveUp(pull);
      expect(operationOf(current(), pull.pullId)).to.deep.include({
        outcome: 'failed',
        phases: ['metadata'],
        savedBy: null,
        error: { code: 'ERR_PULL_EXHAUSTED', message: 'no registry could serve it' },
      });
    });

    it('failed while it was parked, late by then', () => {
      const pull = story.started();
      story.parked(pull);
      story.pass(7_000).gaveUp(pull);
      expect(operationOf(current(), pull.pullId)).to.include({ outcome: 'failed', lateMs: 7_000 });
    });

    it('aborted by its caller', () => {
      const pull = story.started();
      story.failed(pull);
      story.aborted(pull);
      expect(operationOf(current(), pull.pullId)).to.include({ outcome: 'aborted', savedBy: null });
    });

    it("saved by the engine's own copy", () => {
      const pull = story.started();
      story.failed(pull);
      const digest = `sha256:${'5f'.repeat(32)}` as const;
      story.tell({
        ...pull,
        type: 'pull:served-from-cache',
        digest: digest as never,
        why: 'exhausted',
        reason: stalled,
        ageMs: 1,
      });
      story.succeeded(pull);
      expect(operationOf(current(), pull.pullId)).to.deep.include({ savedBy: 'cache', phases: ['layers'] });
    });

    it('saved by the registry that had failed, where it served it after all', () => {
      const pull = story.started();
      story.failed(pull);
      story.succeeded(pull, { [quay]: 1 });
      expect(operationOf(current(), pull.pullId)).to.include({ outcome: 'saved', savedBy: 'retry' });
    });

    for (const place of ['circuit-open', 'circuit-half-open', 'limited', 'banned', 'held-open'] as const) {
      it(`saved by its plan, in the phases it carries out, where the registry it wanted is ${place}`, () => {
        const order = { metadata: [hub, quay], layers: [hub, quay] };
        const pull = story.started('app', { order, place: { metadata: place, layers: place } });
        expect(operationOf(current(), pull.pullId)?.phases).to.deep.equal(['metadata']);
        story.phase(pull, 'layers');
        story.succeeded(pull, { [hub]: 1 });
        expect(operationOf(current(), pull.pullId)).to.deep.include({
          outcome: 'saved',
          savedBy: 'plan',
          phases: ['metadata', 'layers'],
          reason: null,
        });
      });
    }

    for (const [what, plan] of [
      ['whom it wants first is asked first', { place: { layers: 'circuit-half-open' } }],
      ['an operator prefers another one', { order: { layers: [hub, quay] } }],
    ] as const) {
      it(`not touched where ${what}`, () => {
        const pull = story.started('app', plan);
        story.phase(pull, 'layers');
        story.succeeded(pull, { [quay]: 1 });
        expect(operationOf(current(), pull.pullId)).to.equal(undefined);
        expect(current().totals).to.have.length(1);
        expect(current().totals[0]).to.deep.include({ kind: 'app', pulls: 1 });
      });
    }

    it('not touched by a try that is repeated at once, nor by a registry that is well and lacks an image', () => {
      const pull = story.started();
      story.failed(pull, { verdict: 'again' });
      story.failed(pull, { verdict: 'next', registry: hub });
      story.gaveUp(pull);
      expect(current().operations).to.be.empty;
      expect(current().failures.map(({ count }) => count)).to.deep.equal([1, 1]);
    });

    it('touched where the ill registry lacks the image', () => {
      const pull = story.started();
      story.failed(pull, { verdict: 'next' });
      expect(operationOf(current(), pull.pullId)).to.include({ outcome: 'running' });
    });

    it('by kind and phase, each pull once per phase', () => {
      story.saved('database');
      const both = story.started('database');
      story.failed(both, { phase: 'metadata' });
      story.phase(both, 'layers');
      story.failed(both);
      story.gaveUp(both);
      story.succeeded(story.started('app'));
      story.failed(story.started(null), { phase: 'metadata' });
      const none = { saved: 0, late: 0, failed: 0, aborted: 0, running: 0 };
      expect(current().totals).to.deep.equal([
        {
          kind: 'database',
          pulls: 2,
          affected: { ...none, saved: 1, failed: 1 },
          byPhase: {
            metadata: { ...none, failed: 1 },
            layers: { ...none, saved: 1, failed: 1 },
            extract: none,
          },
        },
        { kind: 'app', pulls: 1, affected: none, byPhase: { metadata: none, layers: none, extract: none } },
        {
          kind: null,
          pulls: 1,
          affected: { ...none, running: 1 },
          byPhase: { metadata: { ...none, running: 1 }, layers: none, extract: none },
        },
      ]);
    });

    it('also when it ends after the incident', () => {
      const pull = story.started();
      story.failed(pull);
      story.parked(pull);
      story.at('21:35').closed();
      expect(operationOf(closed[0] as Incident, pull.pullId)).to.include({ outcome: 'running' });
      story.resumed(pull, 1);
      story.at('21:36').succeeded(pull);
      const [past] = recorder.list();
      expect(operationOf(past as Incident, pull.pullId)).to.include({ outcome: 'late', endedAtMs: clock('21:36') });
      expect(past).to.include({ closedAtMs: clock('21:35'), untilMs: clock('21:36') });
    });
  });

  describe('counts work that pulls share once', () => {
    it('failures, failovers and bytes, although every pull tells of them', () => {
      story.at('18:36').opened();
      const leader = story.started('database');
      story.phase(leader, 'layers');
      const joiner = story.joined(leader, 'app');
      for (const pull of [leader, joiner]) story.failed(pull);
      for (const pull of [leader, joiner]) story.failedOver(pull);
      for (const pull of [leader, joiner]) story.progressed(pull, { [quay]: 6_000, [hub]: 1_000 });
      for (const pull of [leader, joiner]) story.succeeded(pull, { [quay]: 6_000, [hub]: 14_000 });
      expect(current().failures.map(({ count }) => count)).to.deep.equal([1]);
      expect(current().failovers.map(({ count }) => count)).to.deep.equal([1]);
      expect(current().throughput.registries.map(({ registry, bytes }) => [registry, bytes])).to.deep.equal([
        [quay, 6_000],
        [hub, 14_000],
      ]);
      expect(current().operations.map(({ outcome }) => outcome)).to.deep.equal(['saved', 'saved']);
    });

    it('also when the pull that began it has left', () => {
      story.at('18:36').opened();
      const leader = story.started('database');
      const joiner = story.joined(leader, 'app');
      story.progressed(leader, { [hub]: 1_000 });
      story.progressed(joiner, { [hub]: 1_000 });
      story.aborted(leader);
      const late = story.joined(leader, 'build');
      story.failed(joiner);
      story.failed(late);
      story.succeeded(joiner, { [hub]: 5_000 });
      story.succeeded(late, { [hub]: 5_000 });
      expect(current().failures.map(({ count }) => count)).to.deep.equal([1]);
      expect(current().throughput.registries.map(({ bytes }) => bytes)).to.deep.equal([5_000]);
    });
  });

  describe('is bounded', () => {
    it('in its operations: the worst are kept, and all are counted', () => {
      story.at('18:36').opened();
      const failed = story.started('app');
      story.failed(failed);
      story.gaveUp(failed);
      for (let at = 0; at < 1_000; at += 1) story.saved();
      const { operations, totals, leftOut } = current();
      expect(operations).to.have.length(200);
      expect(operations[0]).to.include({ pullId: failed.pullId, outcome: 'failed' });
      expect(operations.at(-1)?.pullId).to.equal('pull-1001');
      expect(leftOut.operations).to.equal(801);
      expect(totals.map(({ kind, affected }) => [kind, affected.saved, affected.failed])).to.deep.equal([
        ['app', 0, 1],
        ['database', 1_000, 0],
      ]);
    });

    it('in operations that run at once', () => {
      story.at('18:36').opened();
      for (let at = 0; at < 300; at += 1) story.failed(story.started());
      expect(current().operations).to.have.length(200);
      expect(current().leftOut.operations).to.equal(100);
      expect(current().totals[0]?.affected.running).to.equal(300);
    });

    it('in its timeline: the beginning and the end are kept', () => {
      story.at('18:36').opened();
      for (let at = 0; at < 1_000; at += 1) {
        story.pass(1_000).halfOpened();
        story.pass(1_000).opened();
      }
      const { circuits, leftOut } = current();
      expect(circuits).to.have.length(400);
      expect(leftOut.circuitSteps).to.equal(1_601);
      expect(circuits[0]?.atMs).to.equal(clock('18:36'));
      expect(circuits.at(-1)?.atMs).to.equal(story.nowMs);
    });

    it('in its steps of throughput, however long it lasts, and loses no byte', () => {
      story.at('18:36').opened();
      const pull = story.started();
      for (let at = 1; at <= 2_000; at += 1) story.pass(60_000).progressed(pull, { [hub]: at * 10 });
      const { throughput } = current();
      const [only] = throughput.registries;
      expect(only?.steps.length).to.be.within(100, 240);
      expect(throughput.stepMs).to.equal(512_000);
      expect(only?.bytes).to.equal(20_000);
      expect(only?.steps.reduce((sum, bytes) => sum + bytes, 0)).to.equal(20_000);
    });

    it('in all that tenants can name: registries, engines, kinds, reasons', () => {
      story.at('18:36').opened();
      for (let at = 0; at < 500; at += 1) {
        const pull = story.started(`kind-${at}`, { engine: `host-${at}` });
        story.failed(pull, { registry: `r${at}.example` });
        story.failed(pull);
        story.succeeded(pull, { [`r${at}.example`]: 10 });
      }
      const { failures, totals, throughput, leftOut } = current();
      expect(failures).to.have.length(100);
      expect(failures.find(({ registry }) => registry === quay)?.engines).to.have.length(10);
      expect(leftOut.failures).to.equal(401);
      expect(totals).to.have.length(33);
      expect(totals.reduce((sum, { pulls }) => sum + pulls, 0)).to.equal(500);
      expect(throughput.registries).to.have.length(32);
      expect(throughput.registries.length * 10 + leftOut.bytes).to.equal(5_000);
    });

    it('in the messages it repeats', () => {
      story.at('18:36').opened();
      const pull = story.started();
      story.failed(pull);
      const error = { code: 'ERR_PULL_EXHAUSTED', message: 'x'.repeat(100_000), retryable: true } as const;
      story.tell({ ...pull, type: 'pull:failed', error, attempts: [] });
      expect(JSON.stringify(current()).length).to.be.below(5_000);
    });
  });

  it('is JSON-safe, and reads back as it was written', () => {
    const incident = outageOf2017();
    const written = JSON.stringify(incident);
    expect(JSON.parse(written)).to.deep.equal(incident);
    expect(readIncident(JSON.parse(written))).to.deep.equal(incident);
  });

  it('tells of the outage of 2017 what its postmortem would have', () => {
    const incident = outageOf2017();
    const { totals } = incident;
    const database = totals.find(({ kind }) => kind === 'database');
    expect(database?.affected).to.deep.include({ late: 2, failed: 0 });
    expect(totals.find(({ kind }) => kind === 'app')?.affected).to.deep.include({ failed: 1 });
    expect(incident.failures[0]?.engines).to.have.members(['host-4', 'host-17']);
    expect(incident.fromMs).to.be.below(clock('18:20'));
    expect((incident.closedAtMs ?? 0) - incident.openedAtMs).to.equal(clock('21:35') - clock('18:36'));
  });

  it('is open exactly while a circuit is, and always whole, whatever happens in whatever order', () => {
    const step = fc.record({
      what: fc.constantFrom('opened', 'halfOpened', 'closed', 'saved', 'started', 'failed', 'parked', 'succeeded'),
      registry: fc.constantFrom(quay, hub),
      phase: fc.constantFrom('metadata' as const, 'layers' as const),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        record();
        const open = new Set<string>();
        const running: ReturnType<HostStory['started']>[] = [];
        for (const { what, registry, phase } of steps) {
          story.pass(1_000);
          const key = `${phase} ${registry}`;
          const wasOpen = open.size > 0;
          switch (what) {
            case 'opened':
              story.opened(registry, phase);
              open.add(key);
              break;
            case 'halfOpened':
              story.halfOpened(registry, phase);
              if (wasOpen) open.add(key);
              break;
            case 'closed':
              story.closed(registry, phase);
              open.delete(key);
              break;
            case 'saved':
              story.saved();
              break;
            case 'started':
              running.push(story.started());
              break;
            default: {
              const pull = running.at(-1);
              if (pull === undefined) break;
              if (what === 'failed') story.failed(pull, { registry, phase });
              else if (what === 'parked') story.parked(pull);
              else story.succeeded(running.pop() ?? pull, { [registry]: 1_000 });
            }
          }
          expect(recorder.current() === null).to.equal(open.size === 0);
        }
        for (const incident of [...recorder.list(), ...(recorder.current() === null ? [] : [current()])]) {
          expect(readIncident(JSON.parse(JSON.stringify(incident)))).to.deep.equal(incident);
          expect(incident.fromMs).to.be.at.most(incident.openedAtMs);
          expect(incident.untilMs).to.be.at.least(incident.closedAtMs ?? incident.openedAtMs);
          const counted = incident.totals.reduce(
            (sum, { affected }) => sum + Object.values(affected).reduce((all, each) => all + each, 0),
            0,
          );
          expect(counted).to.equal(incident.operations.length + incident.leftOut.operations);
        }
      }),
      { numRuns: 200 },
    );
  });
});
