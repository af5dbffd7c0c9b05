import { getEventListeners } from 'node:events';
import { expect } from 'chai';
import { isParkCancelledError } from '../../lib/errors/park-cancelled-error.js';
import { isPullDeadlineError } from '../../lib/errors/pull-deadline-error.js';
import { isPullExhaustedError } from '../../lib/errors/pull-exhausted-error.js';
import { isPullerClosedError } from '../../lib/errors/puller-closed-error.js';
import type { PullEventOf } from '../../lib/events/pull-event.js';
import type { PullerOptions } from '../../lib/puller/options.js';
import { connection, layers, metadata } from '../../lib/testing/fault-groups.js';
import type { RegistryDouble } from '../../lib/testing/registry-double.js';
import { seededImage } from '../../lib/testing/seeded-image.js';
import { expectWhole, type RecordedPuller, usePullRig } from './pull-rig.js';
import { failureOf } from '../support/failure-of.js';
import { until } from '../support/until.js';

const image = seededImage({ bytes: 400_000, seed: 'parked' });
const images = { 'team/app:1': image };

describe('a pull that no registry can serve now', () => {
  const rig = usePullRig();
  let registry: RegistryDouble;
  let name: string;

  beforeEach(async () => {
    registry = await rig.registry({ images, faults: [connection.refuse()] });
    name = `${registry.host}/team/app:1`;
  });

  const parkedOnce = (puller: RecordedPuller): Promise<PullEventOf<'pull:parked'>> =>
    puller.events.waitFor('pull:parked');

  /** A puller whose circuits open at the first ill pull, so that a parked one waits for a short cool-down. */
  const nervous = (options: PullerOptions = {}): RecordedPuller =>
    rig.puller({
      registries: [`${registry.host}/team`],
      health: { consecutiveFailures: 1, coolDownMs: 100, maxCoolDownMs: 100 },
      whenExhausted: { waitMs: 60_000 },
      ...options,
    });

  it('fails at once by default, with every attempt in order', async () => {
    const puller = rig.puller();
    const error = await failureOf(puller.pullWithFailover(name));
    if (!isPullExhaustedError(error)) throw error;
    expect(error).to.deep.include({ image: name, phase: 'metadata', retryable: true });
    expect(error.attempts.length).to.be.at.least(1);
    for (const attempt of error.attempts) {
      expect(attempt).to.deep.include({ registry: registry.host, phase: 'metadata' });
      expect(attempt.reason.code).to.equal('connection-refused');
    }
    const end = puller.heard.at(-1);
    expect(end).to.deep.include({ type: 'pull:failed', attempts: error.attempts });
    expect(puller.heard.filter(({ type }) => type === 'registry:failed')).to.have.length(error.attempts.length);
  });

  it('is parked, and goes on when the registry is well again after its cool-down', async () => {
    const puller = nervous();
    const pull = puller.pullWithFailover(name, { operation: { kind: 'database', id: 'op-7' } });
    const parked = await parkedOnce(puller);

    expect(parked.phase).to.equal('metadata');
    expect(parked.reason?.code).to.equal('connection-refused');
    expect(parked.untilMs).to.be.closeTo(parked.atMs + 60_000, 200);
    const [listed] = puller.parked.list();
    expect(listed).to.deep.equal({
      pullId: parked.pullId,
      image: name,
      operation: { kind: 'database', id: 'op-7' },
      engine: rig.engine().id,
      sinceMs: listed?.sinceMs,
      untilMs: listed?.untilMs,
      reason: parked.reason,
    });
    expect(listed?.sinceMs).to.be.closeTo(parked.atMs, 200);

    await registry.setFaults([]);
    const report = await pull;
    await expectWhole(rig.engine(), name, image);
    expect(report.attempts.map(({ reason }) => reason.code)).to.include('connection-refused');
    const resumed = puller.heard.find((event) => event.type === 'pull:resumed');
    expect(resumed?.why).to.equal('cool-down-over');
    expect(resumed?.parkedMs).to.be.at.least(990);
    expect(puller.heard.filter(({ type }) => type === 'pull:planned')).to.have.length(2);
    expect(puller.parked.list()).to.deep.equal([]);
  });

  it('waits as long as it may, tries a last time, and fails with the attempts of every walk', async () => {
    const puller = rig.puller({ whenExhausted: { waitMs: 250 } });
    const startedAtMs = performance.now();
    const error = await failureOf(puller.pullWithFailover(name));
    expect(performance.now() - startedAtMs).to.be.at.least(240);
    if (!isPullExhaustedError(error)) throw error;
    const walks = puller.heard.filter(({ type }) => type === 'pull:planned').length;
    expect(walks).to.be.at.least(2);
    expect(error.attempts.length).to.equal(puller.heard.filter(({ type }) => type === 'registry:failed').length);
    expect(error.attempts.length).to.be.at.least(walks);
  });

  it('keeps what it had fetched while it is parked, and fetches no byte of it again', async () => {
    await registry.setFaults([layers.stall({ afterBytes: 150_000, object: image.layers[0]?.digest ?? '' })]);
    const puller = nervous({ timeouts: { layers: { stallMs: 200, firstByteMs: 300 } } });
    const pull = puller.pullWithFailover(name);
    const parked = await parkedOnce(puller);
    expect(parked.phase).to.equal('layers');
    await registry.setFaults([]);
    const report = await pull;

    await expectWhole(rig.engine(), name, image);
    const ofLayer = registry.requests.filter(({ object }) => object === image.layers[0]?.digest);
    expect(ofLayer.map(({ range }) => range?.start)).to.include(150_000);
    // A probe reads without a pull.
    const probedBytes = puller.heard.reduce(
      (sum, event) => sum + (event.type === 'registry:probed' ? event.bytes : 0),
      0,
    );
    const sent = ofLayer.reduce((sum, { bytesSent }) => sum + bytesSent, 0);
    expect(sent - probedBytes).to.equal(image.layers[0]?.sizeBytes);
    const pulledBytes = registry.bytesSent - probedBytes;
    expect(report.bytes.fetched).to.equal(pulledBytes);
    expect(report.bytes.kept, 'its own bytes are no other pull’s').to.equal(0);
    const manifests = registry.requests.filter(({ kind }) => kind === 'manifest').length;
    expect(report.bytes.fetched - report.bytes.total, 'only the tag is asked for again').to.equal(
      (manifests - 1) * image.top.bytes.length,
    );
    // Of both walks: what they brought is added up, connections were never open in both.
    expect(report.served).to.deep.equal([
      {
        ...{ registry: `${registry.host}/team`, objects: report.served[0]?.objects, bytes: pulledBytes },
        ...{ wastedBytes: 0, connections: report.served[0]?.connections, hedges: { won: 0, lost: 0 } },
      },
    ]);
    expect(report.served[0]?.connections).to.be.within(1, 1 + image.layers.length);
  });

  it('ends at its deadline while it is parked, with every attempt', async () => {
    const puller = rig.puller({ whenExhausted: { waitMs: 60_000 } });
    const error = await failureOf(puller.pullWithFailover(name, { deadlineMs: 300 }));
    if (!isPullDeadlineError(error)) throw error;
    expect(error).to.deep.include({ image: name, limit: 'deadlineMs', timeoutMs: 300, retryable: true });
    expect(error.attempts.map(({ reason }) => reason.code)).to.include('connection-refused');
    expect(puller.heard.at(-1)).to.deep.include({ type: 'pull:failed', attempts: error.attempts });
    expect(puller.parked.list()).to.deep.equal([]);
  });

  it('is aborted by its caller while it is parked', async () => {
    const puller = rig.puller({ whenExhausted: { waitMs: 60_000 } });
    const caller = new AbortController();
    const pull = puller.pullWithFailover(name, { signal: caller.signal });
    await parkedOnce(puller);
    caller.abort('changed my mind');
    expect(await failureOf(pull)).to.equal('changed my mind');
    expect(puller.heard.at(-1)?.type).to.equal('pull:aborted');
    expect(puller.parked.list()).to.deep.equal([]);
    expect(getEventListeners(caller.signal, 'abort')).to.deep.equal([]);
  });

  it('is given back when the puller closes, without waiting for the grace', async () => {
    const puller = rig.puller({ whenExhausted: { waitMs: 60_000 } });
    const pull = puller.pullWithFailover(name);
    await parkedOnce(puller);
    const closing = puller.close({ graceMs: 60_000 });
    const error = await failureOf(pull);
    expect(isPullerClosedError(error) && error.retryable).to.equal(true);
    await closing;
    expect(puller.parked.list()).to.deep.equal([]);
  });

  it('tries again at once when the host promotes it', async () => {
    const puller = rig.puller({ whenExhausted: { waitMs: 60_000 } });
    const pull = puller.pullWithFailover(name);
    const { pullId } = await parkedOnce(puller);
    await registry.setFaults([]);
    expect(puller.parked.promote('no such pull')).to.equal(false);
    expect(puller.parked.promote(pullId)).to.equal(true);
    await pull;
    expect(puller.heard.find((event) => event.type === 'pull:resumed')?.why).to.equal('promoted');
    expect(puller.parked.promote(pullId), 'it is parked no more').to.equal(false);
  });

  it('ends when the host cancels it', async () => {
    const puller = rig.puller({ whenExhausted: { waitMs: 60_000 } });
    const pull = puller.pullWithFailover(name);
    const { pullId } = await parkedOnce(puller);
    expect(puller.parked.cancel('no such pull')).to.equal(false);
    expect(puller.parked.cancel(pullId)).to.equal(true);
    expect(puller.parked.list()).to.deep.equal([]);
    expect(puller.parked.cancel(pullId), 'once').to.equal(false);
    const error = await failureOf(pull);
    expect(isParkCancelledError(error)).to.equal(true);
    expect(puller.heard.at(-1)).to.deep.include({ type: 'pull:failed', pullId });
  });

  it('is listed for each who joined it; cancelling one leaves the other, promoting one promotes both', async () => {
    const puller = rig.puller({ whenExhausted: { waitMs: 60_000 } });
    const leader = puller.pullWithFailover(name, { operation: { kind: 'app', id: 'leader' } });
    await parkedOnce(puller);
    const follower = puller.pullWithFailover(name, { operation: { kind: 'app', id: 'follower' } });
    await puller.events.waitFor('pull:parked', { filter: ({ operation }) => operation?.id === 'follower' });
    const third = puller.pullWithFailover(name, { operation: { kind: 'app', id: 'third' } });
    await until(() => puller.parked.list().length === 3, 'all are parked');

    const idOf = (id: string): string =>
      puller.parked.list().find(({ operation }) => operation?.id === id)?.pullId ?? 'none';
    expect(puller.parked.list().map(({ operation }) => operation?.id)).to.deep.equal(['leader', 'follower', 'third']);
    puller.parked.cancel(idOf('leader'));
    expect(isParkCancelledError(await failureOf(leader))).to.equal(true);
    expect(puller.parked.list().map(({ operation }) => operation?.id)).to.deep.equal(['follower', 'third']);
    await registry.setFaults([]);
    expect(puller.parked.promote(idOf('third'))).to.equal(true);
    const reports = await Promise.all([follower, third]);
    expect(reports.map(({ operation }) => operation?.id)).to.deep.equal(['follower', 'third']);
  });

  it('waits for each who joined it as long as that one may', async () => {
    const puller = rig.puller({ whenExhausted: { waitMs: 600 } });
    const leader = puller.pullWithFailover(name, { operation: { kind: 'app', id: 'leader' } });
    await parkedOnce(puller);
    await new Promise((resolve) => setTimeout(resolve, 300));
    const joinedAtMs = performance.now();
    const follower = puller.pullWithFailover(name, { operation: { kind: 'app', id: 'follower' } });
    expect(isPullExhaustedError(await failureOf(leader))).to.equal(true);
    expect(performance.now() - joinedAtMs, 'the leader ends first').to.be.below(590);
    expect(isPullExhaustedError(await failureOf(follower))).to.equal(true);
    expect(performance.now() - joinedAtMs).to.be.at.least(590);
  });

  describe('because it asks for time (429)', () => {
    it('waits for the Retry-After, once for all its blobs, and says so', async () => {
      const several = seededImage({ layers: 4, bytes: 5_000, seed: 'several' });
      await registry.setFaults([layers.status(429, { retryAfter: 1 })]);
      registry.putImage('team/several:1', several);
      const puller = rig.puller();
      puller.events.once('pull:parked', () => void registry.setFaults([]));
      const startedAtMs = performance.now();
      const report = await puller.pullWithFailover(`${registry.host}/team/several:1`);
      expect(performance.now() - startedAtMs).to.be.at.least(950);
      const said = puller.heard.filter(({ type }) => type === 'pull:parked' || type === 'pull:resumed');
      expect(said.map(({ type }) => type)).to.deep.equal(['pull:parked', 'pull:resumed']);
      expect(said[0]).to.deep.include({ phase: 'layers' });
      expect(said[1]).to.deep.include({ why: 'retry-after-over' });
      expect(report.attempts.every(({ verdict }) => verdict === 'limited')).to.equal(true);
      expect(
        puller.health().map(({ state }) => state),
        'limited is not ill',
      ).to.deep.equal(['closed', 'closed']);
    });

    it('asks the next registry rather than waiting', async () => {
      const second = await rig.registry({ images });
      await registry.setFaults([metadata.status(429, { retryAfter: 60 }), layers.status(429, { retryAfter: 60 })]);
      const puller = rig.puller({ registries: [`${registry.host}/team`, `${second.host}/team`] });
      const report = await puller.pullWithFailover(name);
      expect(report.served.map(({ registry: from }) => from)).to.deep.equal([`${second.host}/team`]);
      expect(puller.heard.map(({ type }) => type)).to.not.include('pull:parked');
      const before = registry.requests.length;
      await puller.pullWithFailover(name, { engine: rig.engine('later') });
      expect(registry.requests.length, 'it is left alone').to.equal(before);
      const limited = puller.health().find((health) => health.registry === `${registry.host}/team`);
      expect(limited?.limitedUntilMs).to.be.greaterThan(Date.now() + 50_000);
      expect(limited?.state).to.equal('closed');
      const plan = await puller.explain(name);
      expect(plan.candidates[0]).to.deep.include({ metadata: 'limited', layers: 'limited' });
      expect(plan.order.metadata.at(-1)).to.equal(`${registry.host}/team`);
    });

    it('fails at once when that is longer than the pull has, and tells how long', async () => {
      await registry.setFaults([metadata.status(429, { retryAfter: 60 })]);
      const error = await failureOf(rig.puller().pullWithFailover(name, { deadlineMs: 5_000 }));
      if (!isPullExhaustedError(error)) throw error;
      expect(error.retryAfterMs).to.be.within(55_000, 60_000);
      expect(error.retryable).to.equal(true);
    });
  });
});
