import { expect } from 'chai';
import type { PullEvent } from '../../lib/events/pull-event.js';
import type { CircuitHealth } from '../../lib/health/circuit.js';
import type { PullOptions } from '../../lib/puller/options.js';
import { layers, metadata } from '../../lib/testing/fault-groups.js';
import type { RegistryDouble } from '../../lib/testing/registry-double.js';
import { seededImage } from '../../lib/testing/seeded-image.js';
import { expectWhole, type RecordedPuller, usePullRig } from './pull-rig.js';
import { until } from '../support/until.js';

const images = Object.fromEntries(
  Array.from({ length: 12 }, (_, n) => [`team/app:${n}`, seededImage({ bytes: 60_000, seed: `circuit ${n}` })]),
);

describe('the circuits of a puller', () => {
  const rig = usePullRig();
  let first: RegistryDouble;
  let second: RegistryDouble;
  let registries: readonly string[];

  beforeEach(async () => {
    first = await rig.registry({ images });
    second = await rig.registry({ images });
    registries = [`${first.host}/team`, `${second.host}/team`];
  });

  const pull = (puller: RecordedPuller, n: number): ReturnType<RecordedPuller['pullWithFailover']> =>
    puller.pullWithFailover(`${first.host}/team/app:${n}`);
  const stateOf = (
    puller: RecordedPuller,
    phase: string,
    registry = registries[0],
  ): CircuitHealth['state'] | undefined =>
    puller.health().find((health) => health.registry === registry && health.phase === phase)?.state;
  const told = (puller: RecordedPuller, type: PullEvent['type']): number =>
    puller.heard.filter((event) => event.type === type).length;
  const blobsAskedOf = (registry: RegistryDouble): number =>
    registry.requests.filter(({ kind }) => kind === 'blob').length;

  it('list every registry × phase from the beginning, all closed', () => {
    const puller = rig.puller({ registries });
    expect(puller.health().map(({ registry, phase, state, reason }) => [registry, phase, state, reason])).to.deep.equal(
      registries.flatMap((registry) => [
        [registry, 'metadata', 'closed', null],
        [registry, 'layers', 'closed', null],
      ]),
    );
  });

  it('open after two ill pulls in a row; then the registry is asked last for layers, and first for metadata still', async () => {
    await first.setFaults([layers.reset({ afterBytes: 10_000 })]);
    const puller = rig.puller({ registries });
    await pull(puller, 0);
    expect(stateOf(puller, 'layers'), 'one may be an accident').to.equal('closed');
    await pull(puller, 1);
    expect(stateOf(puller, 'layers')).to.equal('open');
    expect(stateOf(puller, 'metadata')).to.equal('closed');
    expect(told(puller, 'circuit:opened')).to.equal(1);
    const opened = puller.heard.find((event) => event.type === 'circuit:opened');
    expect(opened).to.deep.include({ registry: registries[0], phase: 'layers' });
    expect(opened?.untilMs).to.be.greaterThan(opened?.atMs ?? Infinity);

    const blobsBefore = blobsAskedOf(first);
    const report = await pull(puller, 2);

    expect(blobsAskedOf(first), 'no blob is asked of it').to.equal(blobsBefore);
    expect(report.failovers, 'nothing had to move').to.deep.equal([]);
    expect(report.served.map(({ registry, objects }) => [registry, objects])).to.deep.equal([
      [registries[0], 1],
      [registries[1], 2],
    ]);
    const plan = await puller.explain(`${first.host}/team/app:3`);
    expect(plan.candidates.map((candidate) => [candidate.metadata, candidate.layers])).to.deep.equal([
      ['listed', 'circuit-open'],
      ['listed', 'listed'],
    ]);
    expect(plan.order).to.deep.equal({ metadata: registries, layers: registries.toReversed() });
  });

  it('count a pull once, however many of its blobs failed', async () => {
    first.putImage('team/many:1', seededImage({ layers: 6, bytes: 5_000, seed: 'many' }));
    second.putImage('team/many:1', seededImage({ layers: 6, bytes: 5_000, seed: 'many' }));
    await first.setFaults([layers.status(500)]);
    const puller = rig.puller({ registries });
    await puller.pullWithFailover(`${first.host}/team/many:1`);
    expect(stateOf(puller, 'layers')).to.equal('closed');
  });

  it('put an open one last, never out: it still serves what nobody else has', async () => {
    const only = seededImage({ bytes: 30_000, seed: 'only here' });
    await first.setFaults([layers.status(503)]);
    const puller = rig.puller({ registries });
    await pull(puller, 0);
    await pull(puller, 1);
    expect(stateOf(puller, 'layers')).to.equal('open');
    await first.setFaults([]);
    first.putImage('team/only:1', only);
    const name = `${first.host}/team/only:1`;
    const report = await puller.pullWithFailover(name);
    await expectWhole(rig.engine(), name, only);
    expect(report.served.map(({ registry }) => registry)).to.deep.equal([registries[0]]);
  });

  it('half-open after the cool-down; probes find the registry well, and then it is asked in its place again', async () => {
    const coolDownMs = 150;
    const puller = rig.puller({
      registries,
      health: { coolDownMs, maxCoolDownMs: coolDownMs, probe: { intervalMs: 100 } },
    });
    await first.setFaults([layers.reset({ afterBytes: 10_000 })]);
    await pull(puller, 0);
    await pull(puller, 1);
    expect(stateOf(puller, 'layers')).to.equal('open');
    expect((await pull(puller, 2)).served.map(({ registry }) => registry)).to.deep.equal(registries);
    await first.setFaults([]);
    await until(() => stateOf(puller, 'layers') === 'closed', 'it is well');
    const report = await pull(puller, 3);
    expect(report.served.map(({ registry }) => registry)).to.deep.equal([registries[0]]);
    const told = puller.heard.filter(({ type }) => type.startsWith('circuit:')).map(({ type }) => type);
    expect(told.slice(0, 2)).to.deep.equal(['circuit:opened', 'circuit:half-opened']);
    expect(told.at(-1)).to.equal('circuit:closed');
  });

  it('half-open are tried by one pull in four where there is nothing to probe, and good ones close it', async () => {
    const coolDownMs = 150;
    const puller = rig.puller({ registries, health: { coolDownMs, maxCoolDownMs: coolDownMs } });
    await first.setFaults([metadata.status(503)]);
    await pull(puller, 0);
    await pull(puller, 1);
    await until(() => stateOf(puller, 'metadata') === 'half-open', 'the cool-down is over');
    await first.setFaults([]);
    const plans: (string | undefined)[] = [];
    for (let n = 0; stateOf(puller, 'metadata') !== 'closed'; n += 1) {
      if (n > 40) throw new Error('forty good pulls did not close it');
      await pull(puller, n % 12);
      const planned = puller.heard.findLast((event) => event.type === 'pull:planned');
      plans.push(planned?.candidates[0]?.metadata);
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
    expect(plans.slice(0, 5)).to.deep.equal([
      'circuit-half-open',
      'circuit-half-open-full',
      'circuit-half-open-full',
      'circuit-half-open-full',
      'circuit-half-open',
    ]);
  });

  it('take an image that the engine had for no good pull of anybody, however it was found', async () => {
    // By another puller, whose memory is not this one's.
    await pull(rig.puller({ registries }), 5);
    await first.setFaults([layers.status(503)]);
    const coolDownMs = 150;
    const puller = rig.puller({ registries, health: { coolDownMs, maxCoolDownMs: coolDownMs } });
    await pull(puller, 0);
    await pull(puller, 1);
    // Nobody probes it meanwhile; what is learnt counts all the same, and shows when the hold ends.
    const hold = puller.control.hold(registries[0] ?? '', { phase: 'layers', as: 'closed' });
    // Good pulls have to span a cool-down to close it.
    const span = (): Promise<unknown> => new Promise((resolve) => setTimeout(resolve, coolDownMs + 10));
    // Nobody has any of them now, which is no illness.
    for (const registry of [first, second]) await registry.setFaults([metadata.missing()]);

    const ways: readonly (readonly [n: number, source: string, options: PullOptions])[] = [
      [0, 'registry', {}],
      [5, 'cache', { whenExhausted: 'use-cached' }],
      [5, 'cache', { pullPolicy: 'if-not-present' }],
    ];
    for (const [n, source, options] of ways) {
      for (let times = 0; times < 3; times += 1) {
        const report = await puller.pullWithFailover(`${first.host}/team/app:${n}`, options);
        expect(report).to.deep.include({ source, served: [] });
        await span();
      }
    }
    await first.setFaults([layers.status(503)]);
    hold.release();
    expect(stateOf(puller, 'layers'), 'nothing has closed it').to.equal('half-open');
  });

  it('open again at the first ill probe while half-open, and at the first ill pull where nothing can be probed', async () => {
    await first.setFaults([layers.status(503)]);
    const puller = rig.puller({ registries, health: { coolDownMs: 100, maxCoolDownMs: 100 } });
    await pull(puller, 0);
    await pull(puller, 1);
    await until(() => told(puller, 'circuit:opened') > 1, 'a probe has found it ill');
    expect(puller.heard.findLast(({ type }) => type === 'circuit:opened')).to.include({ seenBy: 'probe' });

    await first.setFaults([metadata.status(503)]);
    const other = rig.puller({ registries, health: { coolDownMs: 100, maxCoolDownMs: 100 } });
    await pull(other, 0);
    await pull(other, 1);
    await until(() => stateOf(other, 'metadata') === 'half-open', 'the cool-down is over');
    await pull(other, 2);
    expect(told(other, 'circuit:opened')).to.equal(2);
    expect(other.heard.findLast(({ type }) => type === 'circuit:opened')).to.include({ seenBy: 'pull' });
  });

  it('hold for pulls that are running: what one learns, the others need not find out', async () => {
    const big = seededImage({ layers: 8, bytes: 150_000, seed: 'running' });
    second.putImage('team/big:1', big);
    const slow = await rig.registry({
      images: { 'team/big:1': big },
      bandwidth: { totalBytesPerSecond: 1_000_000 },
    });
    const puller = rig.puller({
      registries: [`${slow.host}/team`, `${second.host}/team`],
      health: { consecutiveFailures: 1 },
    });
    const running = puller.pullWithFailover(`${slow.host}/team/big:1`);
    await until(() => slow.requests.filter(({ kind }) => kind === 'blob').length >= 4, 'it is fetching layers');
    const asked = (): number =>
      slow.requests.filter(({ kind, endedAtMs }) => kind === 'blob' && endedAtMs === null).length;
    slow.putImage('team/ill:1', seededImage({ bytes: 1_000, seed: 'ill' }));
    second.putImage('team/ill:1', seededImage({ bytes: 1_000, seed: 'ill' }));
    const before = asked();
    await slow.setFaults([layers.status(500, { repository: 'team/ill' })]);
    await puller.pullWithFailover(`${slow.host}/team/ill:1`, { engine: rig.engine('another') });
    expect(stateOf(puller, 'layers', `${slow.host}/team`)).to.equal('open');
    const blobsOfSlow = slow.requests.filter(({ kind }) => kind === 'blob').length;
    const report = await running;

    expect(before).to.be.at.least(1);
    await expectWhole(rig.engine(), `${slow.host}/team/big:1`, big);
    expect(
      slow.requests.filter(({ kind }) => kind === 'blob').length,
      'its layers that had not begun were asked of the other one',
    ).to.equal(blobsOfSlow);
    expect(report.attempts).to.deep.equal([]);
    expect(report.served.map(({ registry }) => registry)).to.include(`${second.host}/team`);
  });

  it('move for metadata by themselves, and leave the layers where they are', async () => {
    await first.setFaults([metadata.status(502)]);
    const puller = rig.puller({ registries });
    await pull(puller, 0);
    await pull(puller, 1);
    expect(stateOf(puller, 'metadata')).to.equal('open');
    expect(stateOf(puller, 'layers')).to.equal('closed');
    const manifestsBefore = first.requests.filter(({ kind }) => kind === 'manifest').length;
    const report = await pull(puller, 2);
    expect(first.requests.filter(({ kind }) => kind === 'manifest')).to.have.length(manifestsBefore);
    expect(report.served.map(({ registry, objects }) => [registry, objects])).to.have.deep.members([
      [registries[0], 2],
      [registries[1], 1],
    ]);
  });

  it('do not move for what is no illness: 404, 401, the caller’s abort', async () => {
    await first.setFaults([metadata.missing({ times: 3 }), layers.status(403, { times: 4 })]);
    const puller = rig.puller({ registries });
    for (let n = 0; n < 4; n += 1) await pull(puller, n);
    await first.setFaults([layers.noHeaders()]);
    for (let n = 4; n < 7; n += 1) {
      const caller = new AbortController();
      const aborted = puller.pullWithFailover(`${first.host}/team/app:${n}`, { signal: caller.signal });
      await puller.events.waitFor('phase:started', { filter: ({ phase }) => phase === 'layers' });
      caller.abort('enough');
      await aborted.catch(() => {});
    }
    expect(puller.health().map(({ state }) => state)).to.deep.equal(['closed', 'closed', 'closed', 'closed']);
  });
});
