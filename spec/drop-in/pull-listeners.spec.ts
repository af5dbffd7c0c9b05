import { expect } from 'chai';
import { PullListeners } from '../../lib/drop-in/pull-listeners.js';
import { createEventBus, type EventBus } from '../../lib/events/event-bus.js';

const scopeOf = (pullId: string, image = 'quay.io/a:1', engine = 'docker') => ({
  pullId,
  image,
  operation: null,
  engine,
});

function open() {
  const bus = createEventBus();
  const listeners = new PullListeners(bus);
  const heard: string[] = [];
  const expectPull = (who: string, image = 'quay.io/a:1', engine = 'docker'): (() => void) =>
    listeners.expect({
      image,
      engine,
      hear: (event) => heard.push(`${who} ${event.type} ${'pullId' in event ? event.pullId : ''}`),
    });
  return { bus, heard, expectPull };
}

const start = (bus: EventBus, ...args: Parameters<typeof scopeOf>): void =>
  bus.emit({ type: 'pull:started', ...scopeOf(...args) });
const begin = (bus: EventBus, ...args: Parameters<typeof scopeOf>): void =>
  bus.emit({ type: 'phase:started', phase: 'layers', ...scopeOf(...args) });

describe('whose events are whose', () => {
  it('gives each call the events of its own pull, in the order of the calls', () => {
    const { bus, heard, expectPull } = open();
    expectPull('first');
    expectPull('second');
    start(bus, '1');
    start(bus, '2');
    begin(bus, '2');
    begin(bus, '1');
    expect(heard).to.deep.equal([
      'first pull:started 1',
      'second pull:started 2',
      'second phase:started 2',
      'first phase:started 1',
    ]);
  });

  it('takes no notice of other images, other engines and pulls that began before', () => {
    const { bus, heard, expectPull } = open();
    start(bus, '0');
    expectPull('mine');
    begin(bus, '0');
    start(bus, '1', 'quay.io/b:1');
    start(bus, '2', 'quay.io/a:1', 'host-2');
    begin(bus, '1', 'quay.io/b:1');
    bus.emit({ type: 'circuit:closed', registry: 'quay.io', phase: 'layers', reason: null, seenBy: 'pull' });
    expect(heard).to.deep.equal([]);
    start(bus, '3');
    expect(heard).to.deep.equal(['mine pull:started 3']);
  });

  it('knows a pull that was asked for while another event was told', () => {
    const { bus, heard, expectPull } = open();
    bus.once('circuit:closed', () => {
      expectPull('late');
      start(bus, '7');
      expect(heard).to.deep.equal([]);
    });
    bus.emit({ type: 'circuit:closed', registry: 'quay.io', phase: 'layers', reason: null, seenBy: 'pull' });
    expect(heard).to.deep.equal(['late pull:started 7']);
  });

  it('leaves no listener behind when the last one stops, and can begin anew', () => {
    const { bus, heard, expectPull } = open();
    const stops = [expectPull('first'), expectPull('second')];
    start(bus, '1');
    for (const stop of stops) stop();
    begin(bus, '1');
    start(bus, '2');
    expect(heard).to.deep.equal(['first pull:started 1']);
    expectPull('third');
    start(bus, '3');
    expect(heard).to.deep.equal(['first pull:started 1', 'third pull:started 3']);
  });
});
