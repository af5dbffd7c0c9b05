import { getEventListeners } from 'node:events';
import { expect } from 'chai';
import { isInvalidOptionError } from '../../lib/errors/invalid-option-error.js';
import { isInvalidReferenceError } from '../../lib/errors/invalid-reference-error.js';
import { isParkCancelledError } from '../../lib/errors/park-cancelled-error.js';
import { isPullDeadlineError } from '../../lib/errors/pull-deadline-error.js';
import { isPullExhaustedError } from '../../lib/errors/pull-exhausted-error.js';
import { isPullerClosedError } from '../../lib/errors/puller-closed-error.js';
import type { PullEvent } from '../../lib/events/pull-event.js';
import type { PullerOptions, PullOptions } from '../../lib/puller/options.js';
import type { Puller } from '../../lib/puller/puller.js';
import { expectOrderly } from '../puller/orderly-events.js';
import { failureOf } from '../support/failure-of.js';

/**
 * What happens to a pull of an image.
 *
 * - `healthy`: the first registry serves it
 * - `outage`: the first registry's layers fail, the second one serves
 * - `gone`: nobody can serve it
 * - `stuck`: nobody answers
 * - `parks`: nobody can serve it until `heal()`
 */
export type Fate = 'healthy' | 'outage' | 'gone' | 'stuck' | 'parks';

/** A puller, and images that meet a fate; the registries' prefixes are the order of its one replica set. */
export interface PullerUnderTest {
  readonly puller: Puller;
  readonly registries: readonly [first: string, second: string];
  /** The name of an image that meets this fate, another one each time. */
  image(fate: Fate): string;
  heal(): Promise<void>;
}

/** Runs the rules of any `Puller`. `start` is called once per test; it ends what it started after the test by itself. */
export function describePuller(start: (options: PullerOptions) => Promise<PullerUnderTest>): void {
  let under: PullerUnderTest;
  let heard: PullEvent[];

  async function begin(options: PullerOptions = {}): Promise<void> {
    under = await start(options);
    heard = [];
    under.puller.events.on('*', (event) => heard.push(event));
  }

  afterEach(async () => {
    await under.puller.close();
    expectOrderly(heard);
  });

  const pull = (fate: Fate, options: PullOptions = {}): ReturnType<Puller['pullWithFailover']> =>
    under.puller.pullWithFailover(under.image(fate), options);
  const types = (): readonly string[] => heard.map(({ type }) => type).filter((type) => type !== 'pull:progressed');

  it('tells a pull that succeeds from its start to its report', async () => {
    await begin();
    const [first] = under.registries;
    const name = under.image('healthy');
    const report = await under.puller.pullWithFailover(name, { operation: { kind: 'database', id: 'op-871' } });
    expect(types()).to.deep.equal([
      ...['pull:started', 'pull:planned', 'phase:started', 'phase:ended', 'phase:started', 'phase:ended'],
      ...['phase:started', 'phase:ended', 'pull:succeeded'],
    ]);
    expect(heard.at(-1)).to.deep.include({ type: 'pull:succeeded', report });
    expect(report).to.deep.include({
      image: name,
      reference: name,
      operation: { kind: 'database', id: 'op-871' },
      source: 'registry',
      resolution: 'first-registry',
      replicaSet: 'default',
      route: 'layout',
      attempts: [],
      failovers: [],
    });
    expect(report.served.map(({ registry }) => registry)).to.deep.equal([first]);
    expect(report.bytes.fetched).to.equal(report.served.reduce((sum, { bytes }) => sum + bytes, 0));
    expect(report.bytes.fetched + report.bytes.kept + report.bytes.local).to.be.at.least(report.bytes.total);
    expect(Object.keys(report).toSorted()).to.deep.equal([
      ...['attempts', 'bytes', 'cachedAgeMs', 'digest', 'engine', 'failovers', 'image', 'imageId', 'manifestDigest'],
      ...['operation', 'platform', 'pullId', 'reference', 'replicaSet', 'resolution', 'route', 'routeReason'],
      ...['served', 'source', 'timings'],
    ]);
    expect((await under.puller.explain(name)).rememberedDigest).to.equal(report.digest);
  });

  it('tells an outage: the failed try, the failover, the success', async () => {
    await begin();
    const [from, to] = under.registries;
    const report = await pull('outage');
    const told = types().filter((type) => /failed|succeeded/.test(type));
    expect(told.slice(-2)).to.deep.equal(['pull:failed-over', 'pull:succeeded']);
    expect(told[0]).to.equal('registry:failed');
    const failed = heard.find((event) => event.type === 'registry:failed');
    expect(failed).to.deep.include({ registry: from, phase: 'layers', verdict: 'ill' });
    const moved = heard.find((event) => event.type === 'pull:failed-over');
    expect(moved).to.deep.include({ from, to, phase: 'layers' });
    expect(moved?.reason).to.deep.equal(report.failovers[0]?.reason);
    expect(report.failovers).to.have.length(1);
    expect(report.attempts.map(({ registry }) => registry)).to.include(from);
    expect(report.served.map(({ registry }) => registry)).to.include(to);
  });

  it('opens a circuit after two ill pulls in a row, and plans with it', async () => {
    await begin();
    const [first, second] = under.registries;
    await pull('outage');
    await pull('outage');
    expect(types()).to.include('circuit:opened');
    const health = under.puller.health().find(({ registry, phase }) => registry === first && phase === 'layers');
    expect(health?.state).to.equal('open');
    const { order } = await under.puller.explain(under.image('healthy'));
    expect(order).to.deep.equal({ metadata: [first, second], layers: [second, first] });
  });

  it('rejects with every attempt when nobody can serve', async () => {
    await begin();
    const error = await failureOf(pull('gone'));
    if (!isPullExhaustedError(error)) throw error;
    expect(new Set(error.attempts.map(({ registry }) => registry))).to.deep.equal(new Set(under.registries));
    const { code, message, retryable, attempts } = error;
    expect(heard.at(-1)).to.deep.include({ type: 'pull:failed', error: { code, message, retryable }, attempts });
    expect(types().filter((type) => type === 'registry:failed')).to.have.length(attempts.length);
  });

  it('rethrows the caller’s own reason, promptly, and keeps no listener on its signal', async () => {
    await begin();
    for (const reason of [new Error('mine'), 'a string', null]) {
      const caller = new AbortController();
      const stuck = failureOf(pull('stuck', { signal: caller.signal }));
      await under.puller.events.waitFor('phase:started');
      caller.abort(reason);
      expect(await stuck).to.equal(reason);
      expect(heard.at(-1)?.type).to.equal('pull:aborted');
      expect(getEventListeners(caller.signal, 'abort')).to.deep.equal([]);
    }
    const already = AbortSignal.abort('already');
    const before = heard.length;
    expect(await failureOf(pull('healthy', { signal: already }))).to.equal('already');
    expect(heard).to.have.length(before);
  });

  it('keeps a deadline', async () => {
    await begin();
    const error = await failureOf(pull('stuck', { deadlineMs: 120 }));
    expect(isPullDeadlineError(error) && error.timeoutMs).to.equal(120);
    expect(heard.at(-1)?.type).to.equal('pull:failed');
  });

  it('joins identical pulls, each with its own id, operation and end', async () => {
    await begin();
    const caller = new AbortController();
    const name = under.image('stuck');
    const leader = under.puller.pullWithFailover(name, { signal: caller.signal, operation: { kind: 'app', id: '1' } });
    const follower = under.puller.pullWithFailover(name, {
      signal: caller.signal,
      operation: { kind: 'app', id: '2' },
    });
    await under.puller.events.waitFor('pull:joined');
    caller.abort('enough');
    expect(await failureOf(leader)).to.equal('enough');
    expect(await failureOf(follower)).to.equal('enough');
    const ends = heard.filter((event) => event.type === 'pull:aborted');
    expect(ends.map(({ operation }) => operation?.id)).to.have.members(['1', '2']);
    expect(new Set(ends.map(({ pullId }) => pullId)).size).to.equal(2);
  });

  it('parks where the policy says so; a promoted pull goes on', async () => {
    await begin({ whenExhausted: { waitMs: 60_000 } });
    const name = under.image('parks');
    const parked = under.puller.pullWithFailover(name, { operation: { kind: 'database', id: 'op-9' } });
    const { pullId, reason } = await under.puller.events.waitFor('pull:parked');
    const [listed] = under.puller.parked.list();
    expect(listed).to.deep.include({ pullId, image: name, operation: { kind: 'database', id: 'op-9' }, reason });
    await under.heal();
    expect(under.puller.parked.promote('another')).to.equal(false);
    expect(under.puller.parked.promote(pullId)).to.equal(true);
    const report = await parked;
    expect(report.attempts).to.not.be.empty;
    expect(heard.find((event) => event.type === 'pull:resumed')?.why).to.equal('promoted');
    expect(types().filter((type) => type === 'pull:planned')).to.have.length(2);
    expect(under.puller.parked.list()).to.deep.equal([]);
  });

  it('ends a parked pull that is cancelled', async () => {
    await begin({ whenExhausted: { waitMs: 60_000 } });
    const parked = failureOf(pull('parks'));
    const { pullId } = await under.puller.events.waitFor('pull:parked');
    expect(under.puller.parked.cancel(pullId)).to.equal(true);
    expect(under.puller.parked.list()).to.deep.equal([]);
    expect(isParkCancelledError(await parked)).to.equal(true);
  });

  it('closes: refuses new pulls, gives parked ones back, ends running ones, once', async () => {
    await begin();
    const running = failureOf(pull('stuck'));
    await under.puller.events.waitFor('phase:started');
    const parked = failureOf(pull('parks', { whenExhausted: { waitMs: 60_000 } }));
    await under.puller.events.waitFor('pull:parked');
    await Promise.all([under.puller.close({ graceMs: 50 }), under.puller.close()]);
    for (const ended of [running, parked, failureOf(pull('healthy'))]) {
      const error = await ended;
      expect(isPullerClosedError(error) && error.retryable).to.equal(true);
    }
  });

  it('refuses options and images that are wrong, and says nothing of them', async () => {
    await begin();
    const wrong: readonly unknown[] = [{ retries: 3 }, { deadlineMs: 0 }, { operation: { id: 'x' } }, null];
    for (const options of wrong) {
      expect(isInvalidOptionError(await failureOf(pull('healthy', options as PullOptions)))).to.equal(true);
    }
    expect(isInvalidReferenceError(await failureOf(under.puller.pullWithFailover('Not an image')))).to.equal(true);
    expect(isInvalidReferenceError(await failureOf(under.puller.explain('Not an image')))).to.equal(true);
    expect(isInvalidOptionError(await failureOf(under.puller.close({ graceMs: -1 })))).to.equal(true);
    expect(heard).to.deep.equal([]);
  });

  it('explains a plan and tells the health of every registry and phase', async () => {
    await begin();
    const [first, second] = under.registries;
    const name = under.image('healthy');
    const plan = await under.puller.explain(name);
    expect(plan).to.deep.include({ image: name, replicaSet: 'default', rememberedDigest: null });
    expect(plan.candidates.map(({ registry }) => registry)).to.deep.equal([first, second]);
    expect(under.puller.health().map(({ registry, phase, state }) => `${registry} ${phase} ${state}`)).to.have.members([
      ...[`${first} metadata closed`, `${first} layers closed`, `${second} metadata closed`, `${second} layers closed`],
    ]);
    expect(heard).to.deep.equal([]);
  });

  it('is harmed by no listener', async () => {
    await begin();
    under.puller.events.on('*', () => {
      throw new Error('a listener that throws');
    });
    under.puller.events.on('*', async () => {
      throw new Error('a listener that rejects');
    });
    expect((await pull('outage')).source).to.equal('registry');
  });
}
