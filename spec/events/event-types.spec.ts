import { expectTypeOf } from 'expect-type';
import { createEventBus, type EventBus, type PullEvents } from '../../lib/events/event-bus.js';
import type { CircuitOpened, PullEvent, PullFailedOver } from '../../lib/events/pull-event.js';

describe('the types of the events', () => {
  const bus: EventBus = createEventBus();

  it('give a listener the payload of its name', () => {
    bus.on('pull:failed-over', (event) => expectTypeOf(event).toEqualTypeOf<PullFailedOver>());
    bus.once('circuit:opened', (event) => expectTypeOf(event).toEqualTypeOf<CircuitOpened>());
    bus.on('*', (event) => expectTypeOf(event).toEqualTypeOf<PullEvent>());
    expectTypeOf(bus.waitFor<'circuit:opened'>).returns.resolves.toEqualTypeOf<CircuitOpened>();
  });

  it('let a host subscribe, and not emit', () => {
    expectTypeOf<PullEvents>().not.toHaveProperty('emit');
    expectTypeOf<EventBus>().toExtend<PullEvents>();
  });

  it('refuse an unknown name, and a draft that lacks a field', () => {
    expectTypeOf<Parameters<PullEvents['on']>[0]>().not.toExtend<'pull:finished'>();
    expectTypeOf<{ type: 'pull:started'; pullId: string }>().not.toExtend<Parameters<EventBus['emit']>[0]>();
    expectTypeOf<Parameters<EventBus['emit']>[0]>().not.toHaveProperty('seq');
  });
});
