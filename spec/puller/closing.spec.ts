import { getEventListeners } from 'node:events';
import { expect } from 'chai';
import { isNotConfiguredError } from '../../lib/errors/not-configured-error.js';
import { isInvalidOptionError } from '../../lib/errors/invalid-option-error.js';
import { isPullerClosedError } from '../../lib/errors/puller-closed-error.js';
import type { PullEvent } from '../../lib/events/pull-event.js';
import { createPuller } from '../../lib/puller/create-puller.js';
import { configure, events, pullWithFailover } from '../../lib/puller/default-puller.js';
import { connection, layers, metadata } from '../../lib/testing/fault-groups.js';
import type { RegistryDouble } from '../../lib/testing/registry-double.js';
import { seededImage } from '../../lib/testing/seeded-image.js';
import { expectOrderly } from './orderly-events.js';
import { expectWhole, leftovers, usePullRig } from './pull-rig.js';
import { failureOf } from '../support/failure-of.js';
import { until } from '../support/until.js';

const image = seededImage({ layers: 2, bytes: 50_000, seed: 'closing' });
const images = { 'team/app:1': image };

/** What keeps a process alive, of the kinds that a puller could leave. */
function alive(): readonly string[] {
  return process
    .getActiveResourcesInfo()
    .filter((kind) => /Timeout|TCPSocketWrap|TLSWrap|FSReq|GetAddrInfo/.test(kind));
}

describe('closing a puller', () => {
  const rig = usePullRig();
  let registry: RegistryDouble;
  let name: string;

  beforeEach(async () => {
    registry = await rig.registry({ images });
    name = `${registry.host}/team/app:1`;
  });

  const askedForLayers = (): Promise<void> =>
    until(() => registry.requests.some(({ kind }) => kind === 'blob'), 'a blob is asked for');

  it('refuses new pulls at once, by a retryable error, and says nothing of them', async () => {
    const puller = rig.puller();
    const closing = puller.close();
    const error = await failureOf(puller.pullWithFailover(name));
    expect(isPullerClosedError(error) && error.retryable).to.equal(true);
    await closing;
    expect(isPullerClosedError(await failureOf(puller.pullWithFailover(name)))).to.equal(true);
    expect(puller.heard).to.deep.equal([]);
    expect(registry.requests).to.deep.equal([]);
  });

  it('lets running pulls finish within the grace', async () => {
    await registry.setFaults([layers.delay({ ms: 200 })]);
    const puller = rig.puller();
    const running = puller.pullWithFailover(name);
    await askedForLayers();
    const closing = puller.close({ graceMs: 30_000 });
    const startedAtMs = performance.now();
    const report = await running;
    await closing;
    expect(performance.now() - startedAtMs, 'and no longer than they take').to.be.below(10_000);
    expect(report.source).to.equal('registry');
    await expectWhole(rig.engine(), name, image);
  });

  it('ends running pulls when the grace is over, and at once without one', async () => {
    for (const graceMs of [0, 150, undefined]) {
      await registry.setFaults([layers.noHeaders()]);
      const puller = rig.puller({ engine: rig.engine(`grace ${graceMs}`) });
      const before = registry.requests.length;
      const running = puller.pullWithFailover(name);
      await until(() => registry.requests.slice(before).some(({ kind }) => kind === 'blob'), 'a blob is asked for');
      const startedAtMs = performance.now();
      const closing = puller.close(graceMs === undefined ? {} : { graceMs });
      const error = await failureOf(running);
      expect(isPullerClosedError(error) && error.retryable).to.equal(true);
      expect(performance.now() - startedAtMs).to.be.at.least((graceMs ?? 0) - 5);
      await closing;
      expect(puller.heard.at(-1)).to.deep.include({ type: 'pull:failed' });
      expect(puller.heard.at(-1)).to.have.nested.property('error.code', 'ERR_PULLER_CLOSED');
    }
  });

  it('happens once, however often it is asked for', async () => {
    const puller = rig.puller();
    await puller.pullWithFailover(name);
    await Promise.all([puller.close(), puller.close({ graceMs: 5 }), puller.close()]);
    await puller.close();
    expect(puller.health(), 'what it knows can still be read').to.not.be.empty;
  });

  it('comes by itself at the end of `await using`', async () => {
    let ended: Promise<unknown> = Promise.resolve();
    {
      await using puller = createPuller({ engine: rig.engine() });
      await registry.setFaults([layers.noHeaders()]);
      ended = failureOf(puller.pullWithFailover(name));
      await askedForLayers();
    }
    expect(isPullerClosedError(await ended)).to.equal(true);
    await until(() => registry.openConnections === 0, 'no connection is open');
  });

  it('leaves nothing open: no socket, no timer, no listener on the caller’s signal, no request', async () => {
    const settled = alive();
    const second = await rig.registry({ images, faults: [metadata.noHeaders()] });
    const puller = createPuller({
      engine: rig.engine(),
      registries: [`${second.host}/team`, `${registry.host}/team`],
      transfer: { hedge: { metadataMs: 50 } },
      timeouts: { layers: { firstByteMs: 60_000, stallMs: 60_000 } },
    });
    const caller = new AbortController();
    const { signal } = caller;
    // One that succeeds although a late request stays open, one that runs, one that is parked.
    await puller.pullWithFailover(`${second.host}/team/app:1`, { signal });
    expect(
      second.requests.some(({ endedAtMs }) => endedAtMs === null),
      'the late request stays open',
    ).to.equal(true);
    await registry.setFaults([layers.stall({ afterBytes: 100 })]);
    const running = failureOf(
      puller.pullWithFailover(`${registry.host}/team/app:1`, { signal, engine: rig.engine('running') }),
    );
    await puller.events.waitFor('phase:started', { filter: ({ phase }) => phase === 'layers' });
    const unreachable = await rig.registry({ faults: [connection.refuse()] });
    const parked = failureOf(
      puller.pullWithFailover(`${unreachable.host}/x:1`, { signal, whenExhausted: { waitMs: 60_000 } }),
    );
    await puller.events.waitFor('pull:parked');
    expect(getEventListeners(signal, 'abort')).to.not.be.empty;

    await puller.close();

    expect(isPullerClosedError(await running)).to.equal(true);
    expect(isPullerClosedError(await parked)).to.equal(true);
    expect(getEventListeners(signal, 'abort')).to.deep.equal([]);
    await until(() => registry.openConnections + second.openConnections === 0, 'the servers see it');
    await until(() => alive().length <= settled.length, 'nothing is alive that was not before');
    expect((await leftovers(rig.engine())).filter((file) => /tmp/.test(file))).to.deep.equal([]);
  });

  it('leaves no file of a pull that it ended open or half moved: another process may go on at once', async () => {
    const slow = await rig.registry({
      images,
      bandwidth: { totalBytesPerSecond: 100_000 },
    });
    const puller = rig.puller();
    const running = failureOf(puller.pullWithFailover(`${slow.host}/team/app:1`));
    await puller.events.waitFor('pull:progressed', {
      filter: (event) => event.layers.some(({ doneBytes }) => doneBytes > 5_000),
    });
    await puller.close();
    await running;
    // The operation in whose callback this goes on is only over after it.
    await new Promise((resolve) => setImmediate(resolve));
    const fds = process.getActiveResourcesInfo().filter((kind) => kind.startsWith('FSReq'));
    expect(fds, 'no file operation is under way any more').to.deep.equal([]);
    const report = await rig.puller().pullWithFailover(`${slow.host}/team/app:1`);
    expect(report.bytes.kept).to.be.greaterThan(0);
    await expectWhole(rig.engine(), `${slow.host}/team/app:1`, image);
  });
});

describe('the default puller of the process', () => {
  const rig = usePullRig();

  it('does not exist before configure, after close says so, and can be configured again', async () => {
    const heard: PullEvent[] = [];
    // Workers may subscribe before anybody configured anything.
    const unsubscribe = events.on('*', (event) => heard.push(event));
    const unconfigured = await failureOf(pullWithFailover('redis'));
    expect(isNotConfiguredError(unconfigured)).to.equal(true);
    expect(String(unconfigured)).to.match(/configure\(/);

    const registry = await rig.registry({ images });
    const name = `${registry.host}/team/app:1`;
    expect(() => configure({ registries: [] })).to.throw('registries');
    expect(
      isNotConfiguredError(await failureOf(pullWithFailover(name))),
      'a failed configure changes nothing',
    ).to.equal(true);

    const puller = configure({ engine: rig.engine() });
    expect(puller.events).to.equal(events);
    let twice: unknown;
    try {
      configure({ engine: rig.engine() });
    } catch (error) {
      twice = error;
    }
    expect(isInvalidOptionError(twice) && twice.message).to.match(/close the puller that it returned first/);

    const report = await pullWithFailover(name, { operation: { kind: 'app', id: 'one' } });
    expect(report.source).to.equal('registry');
    expect(heard.at(-1)).to.deep.include({ type: 'pull:succeeded', operation: { kind: 'app', id: 'one' } });

    await failureOf(puller.close({ graceMs: -1 }));
    await pullWithFailover(name);
    const closing = puller.close();
    const closed = await failureOf(pullWithFailover(name));
    expect(isPullerClosedError(closed) && closed.retryable, 'another try may succeed').to.equal(true);
    await closing;

    const again = configure({ engine: rig.engine() });
    await puller.close();
    expect((await pullWithFailover(name)).source, 'the earlier one has no say any more').to.equal('registry');
    await again.close();
    unsubscribe();
    expectOrderly(heard);
  });
});
