import { getEventListeners } from 'node:events';
import { expect } from 'chai';
import { isPullFailoverError, PullFailoverError } from '../../lib/errors/pull-failover-error.js';
import type { PullEvent, PullEventOf } from '../../lib/events/pull-event.js';
import type { PullOptions } from '../../lib/puller/options.js';
import { connection, layers, metadata } from '../../lib/testing/fault-groups.js';
import { fastTimeouts } from '../../lib/testing/fast-timeouts.js';
import type { Fault } from '../../lib/testing/fault.js';
import type { RegistryDouble } from '../../lib/testing/registry-double.js';
import { repackage, seededImage } from '../../lib/testing/seeded-image.js';
import type { PullReport } from '../../lib/vocabulary/report.js';
import { expectWhole, type RecordedPuller, usePullRig } from './pull-rig.js';
import { failureOf } from '../support/failure-of.js';
import { until } from '../support/until.js';

const image = seededImage({ layers: 3, bytes: 90_000, seed: 'events' });
const images = { 'team/app:1': image };

describe('the events of a pull', () => {
  const rig = usePullRig();
  let first: RegistryDouble;
  let second: RegistryDouble;
  let registries: readonly string[];
  let name: string;

  beforeEach(async () => {
    first = await rig.registry({ images });
    second = await rig.registry({ images });
    registries = [`${first.host}/team`, `${second.host}/team`];
    name = `${first.host}/team/app:1`;
  });

  const typesOf = (puller: RecordedPuller): readonly string[] =>
    puller.heard.map(({ type }) => type).filter((type) => type !== 'pull:progressed');
  const ofType = <Type extends PullEvent['type']>(puller: RecordedPuller, type: Type): readonly PullEventOf<Type>[] =>
    puller.heard.filter((event): event is PullEventOf<Type> => event.type === type);

  it('tell a healthy pull in order: plan, phases, end', async () => {
    const puller = rig.puller({ registries });
    await puller.pullWithFailover(name);
    expect(typesOf(puller)).to.deep.equal([
      ...['pull:started', 'pull:planned'],
      ...['phase:started', 'phase:ended', 'phase:started', 'phase:ended', 'phase:started', 'phase:ended'],
      'pull:succeeded',
    ]);
    expect(ofType(puller, 'phase:started').map(({ phase }) => phase)).to.deep.equal(['metadata', 'layers', 'extract']);
    expect(ofType(puller, 'phase:ended').map(({ phase }) => phase)).to.deep.equal(['metadata', 'layers', 'extract']);
  });

  it('tell how far each layer is, and end with all of it', async () => {
    const slow = await rig.registry({ images, bandwidth: { totalBytesPerSecond: 400_000 } });
    const puller = rig.puller();
    const report = await puller.pullWithFailover(`${slow.host}/team/app:1`);
    const progress = ofType(puller, 'pull:progressed').filter(({ phase }) => phase === 'layers');
    expect(progress.length).to.be.within(2, 40);
    for (const [index, { bytes, layers: of }] of progress.entries()) {
      expect(bytes.fetched).to.be.at.least(progress[index - 1]?.bytes.fetched ?? 0);
      for (const { doneBytes, totalBytes } of of) expect(doneBytes).to.be.at.most(totalBytes);
    }
    for (const { bytes, served } of ofType(puller, 'pull:progressed')) {
      expect(served.reduce((sum, one) => sum + one.bytes, 0)).to.equal(bytes.fetched);
    }
    const last = progress.at(-1);
    expect(last?.bytes).to.deep.equal(report.bytes);
    expect(last?.served).to.deep.equal(report.served);
    expect(last?.layers).to.deep.equal(
      [image.config, ...image.layers].map(({ digest, sizeBytes }) => ({
        digest,
        totalBytes: sizeBytes,
        doneBytes: sizeBytes,
        registry: slow.host,
      })),
    );
  });

  it('rebuild, alone, who sent how much, who failed why, and what moved', async () => {
    await first.setFaults([layers.stall({ afterBytes: 30_000 }), metadata.delay({ ms: 20 })]);
    const puller = rig.puller({ registries, timeouts: fastTimeouts });
    const report = await puller.pullWithFailover(name);

    const [end] = ofType(puller, 'pull:succeeded');
    const sent = Object.fromEntries(end?.report.served.map(({ registry, bytes }) => [registry, bytes]) ?? []);
    expect(sent).to.deep.equal({
      [registries[0] ?? '']: first.bytesSent,
      [registries[1] ?? '']: second.bytesSent,
    });
    const failed = ofType(puller, 'registry:failed');
    expect(
      failed.map(({ registry, phase, reason, verdict, object, elapsedMs, bytes }) => ({
        ...{ registry, phase, reason, verdict, object, elapsedMs, bytes },
      })),
    ).to.deep.equal(report.attempts.map(({ atMs: _, ...attempt }) => attempt));
    const moved = ofType(puller, 'pull:failed-over');
    expect(
      moved.map(({ phase, from, to, reason, bytesKept }) => ({ ...{ phase, from, to, reason, bytesKept } })),
    ).to.deep.equal(report.failovers);
    expect(moved, 'once per phase and pair, however many blobs moved').to.have.length(1);
  });

  it('end with the last word of a pull, though a late request of it ends afterwards', async () => {
    await first.setFaults([metadata.delay({ ms: 700 })]);
    const puller = rig.puller({ registries, transfer: { hedge: { metadataMs: 60 } } });
    const report = await puller.pullWithFailover(name);
    expect(report.failovers.map(({ phase }) => phase)).to.include('metadata');
    expect(puller.heard.at(-1)?.type).to.equal('pull:succeeded');
    const before = puller.heard.length;
    await until(
      () => first.requests.some(({ kind, outcome }) => kind === 'manifest' && outcome === 'complete'),
      'the late answer has come',
    );
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(puller.heard).to.have.length(before);
    expect(puller.health().every(({ state }) => state === 'closed')).to.equal(true);
  });

  it('tell of a late request that never delivers only as the illness of its registry', async () => {
    await first.setFaults([metadata.noHeaders()]);
    const puller = rig.puller({
      registries,
      transfer: { hedge: { metadataMs: 50 } },
      timeouts: { metadata: { requestMs: 300, totalMs: 400 } },
      health: { consecutiveFailures: 1 },
    });
    const report = await puller.pullWithFailover(name);
    const { length } = puller.heard;
    await until(() => puller.heard.some(({ type }) => type === 'circuit:opened'), 'its limit has expired');
    expect(
      puller.heard.slice(length).filter((event) => 'pullId' in event && event.pullId === report.pullId),
    ).to.deep.equal([]);
  });

  it('are the same for listeners that throw, reject, leave and subscribe meanwhile', async () => {
    await first.setFaults([layers.reset({ afterBytes: 10_000 })]);
    const puller = rig.puller({ registries });
    const after: PullEvent[] = [];
    puller.events.on('*', () => {
      throw new Error('a listener that throws');
    });
    puller.events.on('*', async () => {
      throw new Error('a listener that rejects');
    });
    puller.events.on('pull:planned', () => {
      throw undefined;
    });
    const off: () => void = puller.events.on('phase:started', () => off());
    puller.events.on('*', (event) => after.push(event));
    const report = await puller.pullWithFailover(name);
    expect(report.source).to.equal('registry');
    expect(after).to.deep.equal(puller.heard);
    await expectWhole(rig.engine(), name, image);
  });

  it('cannot be changed by a listener, nor what the caller is given by changing its own options', async () => {
    const puller = rig.puller({ registries });
    const operation = { kind: 'app', id: 'before' };
    puller.events.on('pull:planned', (event) => {
      (event.order.layers as string[]).reverse();
    });
    const pull = puller.pullWithFailover(name, { operation });
    operation.id = 'after';
    expect((await pull).operation?.id).to.equal('before');
    expect(second.requests).to.deep.equal([]);
  });

  it('let a listener start and abort pulls', async () => {
    const puller = rig.puller({ registries });
    const caller = new AbortController();
    const others: Promise<PullReport>[] = [];
    puller.events.on('phase:started', ({ phase, engine }) => {
      if (phase !== 'layers' || engine !== rig.engine().id) return;
      others.push(puller.pullWithFailover(name, { engine: rig.engine('another') }));
      caller.abort('from a listener');
    });
    expect(await failureOf(puller.pullWithFailover(name, { signal: caller.signal }))).to.equal('from a listener');
    expect(others).to.have.length(1);
    await Promise.all(others);
    await expectWhole(rig.engine('another'), name, image);
  });

  it('tell a replica that lacks an object, and one that holds the image in another packing', async () => {
    const packed = repackage(image);
    await first.setFaults([layers.missing({ object: image.layers[1]?.digest ?? '' })]);
    second.putImage('team/app:1', packed);
    const puller = rig.puller({ registries });
    const report = await puller.pullWithFailover(name);
    expect(report).to.deep.include({ digest: packed.digest, imageId: image.config.digest });
    const missing = ofType(puller, 'replica:missing');
    expect(missing.map(({ registry, phase, object }) => [registry, phase, object])).to.deep.include([
      ...[registries[0], 'layers', image.layers[1]?.digest],
    ]);
    expect(new Set(missing.map(({ registry, object }) => `${registry} ${object}`)).size).to.equal(missing.length);
    const [repackaged] = ofType(puller, 'replica:repackaged');
    expect(repackaged).to.deep.include({
      registry: registries[1],
      digest: packed.digest,
      expected: image.digest,
      config: image.config.digest,
    });
    await expectWhole(rig.engine(), name, packed);
  });

  describe('when the caller aborts', () => {
    const reasons: readonly (readonly [string, unknown])[] = [
      ['an Error', new Error('mine')],
      ['a string', 'a string'],
      ['nothing', undefined],
      ['null', null],
      ['NaN', Number.NaN],
      ['an object', { why: 'mine' }],
      ['an error of this library', new PullFailoverError('mine', { code: 'ERR_PULL_EXHAUSTED', retryable: false })],
    ];
    const moments: readonly (readonly [string, readonly Fault[], (puller: RecordedPuller) => Promise<unknown>])[] = [
      ['before anything was answered', [metadata.noHeaders()], (puller) => puller.events.waitFor('phase:started')],
      [
        'while layers are awaited',
        [layers.noHeaders()],
        (puller) => puller.events.waitFor('phase:started', { filter: ({ phase }) => phase === 'layers' }),
      ],
      [
        'while a layer stalls',
        [layers.stall({ afterBytes: 20_000 })],
        (puller) => puller.events.waitFor('pull:progressed'),
      ],
    ];
    for (const [what, given] of reasons) {
      for (const [when, faults, moment] of moments) {
        it(`${when} with ${what}, that very reason comes back, promptly`, async () => {
          await first.setFaults(faults);
          const puller = rig.puller();
          const caller = new AbortController();
          const pull = failureOf(puller.pullWithFailover(name, { signal: caller.signal }));
          await moment(puller);
          const abortedAtMs = performance.now();
          caller.abort(given);
          expect(Object.is(await pull, caller.signal.reason)).to.equal(true);
          expect(performance.now() - abortedAtMs).to.be.below(500);
          expect(puller.heard.at(-1)?.type).to.equal('pull:aborted');
          expect(getEventListeners(caller.signal, 'abort')).to.deep.equal([]);
        });
      }
    }

    it('before it asked, nothing begins', async () => {
      const puller = rig.puller();
      const signal = AbortSignal.abort('already');
      expect(await failureOf(puller.pullWithFailover(name, { signal }))).to.equal('already');
      expect(puller.heard).to.deep.equal([]);
      expect(first.requests).to.deep.equal([]);
    });

    it('after the end, nothing changes', async () => {
      const puller = rig.puller();
      const caller = new AbortController();
      const report = await puller.pullWithFailover(name, { signal: caller.signal });
      expect(getEventListeners(caller.signal, 'abort')).to.deep.equal([]);
      caller.abort('too late');
      expect(puller.heard.at(-1)).to.deep.include({ type: 'pull:succeeded', pullId: report.pullId });
    });
  });

  describe('and the error, when it fails', () => {
    const failures: readonly (readonly [string, readonly Fault[], PullOptions, string])[] = [
      ['nobody is there', [connection.refuse()], {}, 'ERR_PULL_EXHAUSTED'],
      ['connections are reset', [connection.reset()], {}, 'ERR_PULL_EXHAUSTED'],
      ['manifests are missing', [metadata.missing()], {}, 'ERR_PULL_EXHAUSTED'],
      ['manifests are no JSON', [metadata.malformedJson()], {}, 'ERR_PULL_EXHAUSTED'],
      ['a portal answers', [metadata.html()], {}, 'ERR_PULL_EXHAUSTED'],
      ['manifests are huge', [metadata.huge()], {}, 'ERR_PULL_EXHAUSTED'],
      ['layers are wrong', [layers.wrongBytes()], {}, 'ERR_PULL_EXHAUSTED'],
      ['layers are missing', [layers.missing()], {}, 'ERR_PULL_EXHAUSTED'],
      ['layers are denied', [layers.status(403)], {}, 'ERR_PULL_EXHAUSTED'],
      ['layers redirect for ever', [layers.redirectLoop()], {}, 'ERR_PULL_EXHAUSTED'],
      ['time is over', [metadata.noHeaders()], { deadlineMs: 100 }, 'ERR_PULL_DEADLINE'],
      [
        'layers take too long in all',
        [layers.drip({ bytesPerSecond: 1_000 })],
        { timeouts: { layers: { totalMs: 400 } } },
        'ERR_PULL_DEADLINE',
      ],
      ['there is no such platform', [], { platform: 'linux/s390x' }, 'ERR_IMAGE_UNSUPPORTED'],
    ];
    for (const [what, faults, options, code] of failures) {
      it(`are of one family and agree: ${what}`, async () => {
        const both = seededImage({ platforms: ['linux/amd64', 'linux/arm64'], bytes: 50_000, seed: 'failing' });
        first.putImage('team/both:1', both);
        await first.setFaults(faults);
        const puller = rig.puller();
        const error = await failureOf(puller.pullWithFailover(`${first.host}/team/both:1`, options));
        if (!isPullFailoverError(error)) throw error;
        expect(error.code).to.equal(code);
        const [end] = ofType(puller, 'pull:failed');
        expect(end?.error).to.deep.equal({
          code: error.code,
          message: error.message,
          retryable: error.retryable,
        });
        if ('attempts' in error) expect(end?.attempts).to.deep.equal(error.attempts);
        expect(ofType(puller, 'registry:failed').length).to.equal(end?.attempts.length);
      });
    }
  });
});
