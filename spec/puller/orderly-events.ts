import { expect } from 'chai';
import type { PullEvent } from '../../lib/events/pull-event.js';

type EventOfPull = Extract<PullEvent, { readonly pullId: string }>;

const ends: ReadonlySet<string> = new Set(['pull:succeeded', 'pull:failed', 'pull:aborted']);

/** Everything that holds of the events of any puller, whatever happened. */
export function expectOrderly(events: readonly PullEvent[]): void {
  for (const [index, event] of events.entries()) {
    const before = events[index - 1];
    if (before !== undefined) {
      expect(event.seq, 'seq grows by one').to.equal(before.seq + 1);
      expect(event.atMs, 'time does not go back').to.be.at.least(before.atMs);
    }
    expect(JSON.parse(JSON.stringify(event)), `${event.type} survives JSON`).to.deep.equal(event);
    expect(structuredClone(event), `${event.type} survives a clone`).to.deep.equal(event);
    expectFrozen(event, event.type);
  }
  const ofPulls = events.filter(isOfPull);
  for (const id of new Set(ofPulls.map(({ pullId }) => pullId))) {
    expectOrderlyPull(ofPulls.filter(({ pullId }) => pullId === id));
  }
}

function expectOrderlyPull(events: readonly EventOfPull[]): void {
  const types = events.map(({ type }) => type);
  const told = types.join(', ');
  expect(types[0], told).to.equal('pull:started');
  expect(
    types.filter((type) => type === 'pull:started'),
    told,
  ).to.have.length(1);
  expect(
    types.filter((type) => ends.has(type)),
    `exactly one end: ${told}`,
  ).to.have.length(1);
  expect(ends.has(types.at(-1) ?? ''), `nothing after the end: ${told}`).to.equal(true);
  expect(types.filter((type) => type === 'pull:joined').length, `joins at most once: ${told}`).to.be.at.most(1);

  const [{ image, operation, engine } = { image: '', operation: null, engine: '' }] = events;
  for (const event of events) {
    expect({ image: event.image, operation: event.operation, engine: event.engine }).to.deep.equal({
      image,
      operation,
      engine,
    });
  }
  const failovers = events.flatMap((event) =>
    event.type === 'pull:failed-over' ? [`${event.phase} ${event.from} ${event.to}`] : [],
  );
  expect(new Set(failovers).size, `each failover once: ${failovers.join(', ')}`).to.equal(failovers.length);
  const parking = types.filter((type) => type === 'pull:parked' || type === 'pull:resumed');
  for (const [index, type] of parking.entries()) {
    expect(type, `parked and resumed take turns: ${told}`).to.equal(index % 2 === 0 ? 'pull:parked' : 'pull:resumed');
  }
}

function isOfPull(event: PullEvent): event is EventOfPull {
  return 'pullId' in event;
}

function expectFrozen(value: unknown, path: string): void {
  if (typeof value !== 'object' || value === null) return;
  expect(Object.isFrozen(value), `${path} is frozen`).to.equal(true);
  for (const [key, each] of Object.entries(value)) expectFrozen(each, `${path}.${key}`);
}
