import { expect } from 'chai';
import { getEventListeners } from 'node:events';
import { monotonicMs } from '../../../lib/clock/time.js';
import { fetchBlob } from '../../../lib/failover/blob/fetch-blob.js';
import { connection, type Fault, layers, token } from '../../../lib/testing/index.js';
import { mid, wanted } from '../support/blob-fetch.js';
import { closeHeartRigs, openHeartRig, type RigRegistry, untilQuiet } from '../support/heart-rig.js';
import { memorySink, type MemorySinkOptions } from '../support/memory-sink.js';
import { failureOf } from '../../support/failure-of.js';
import { until } from '../../support/until.js';

/** Far below every limit, and room for a machine that is busy. */
const promptMs = 400;
const patient = {
  layers: { firstByteMs: 20_000, stallMs: 20_000, windowMs: 20_000, minBytesPerSecond: 1 },
  metadata: { requestMs: 20_000, totalMs: 20_000 },
};

describe('an abort of a blob', () => {
  afterEach(closeHeartRigs);

  interface Moment {
    readonly name: string;
    readonly registry: RigRegistry | readonly Fault[];
    readonly sink?: MemorySinkOptions;
    readonly reached?: (pull: { readonly attempts: readonly string[] }, bytes: number, requests: number) => boolean;
  }
  const moments: readonly Moment[] = [
    { name: 'while nobody answers the connection', registry: [connection.blackhole()] },
    { name: 'before the headers', registry: [layers.noHeaders()], reached: (_, __, requests) => requests > 0 },
    {
      name: 'while a token is waited for',
      registry: { auth: { kind: 'bearer' }, faults: [token.noHeaders()] },
      reached: (_, __, requests) => requests > 1,
    },
    { name: 'before the first byte', registry: [layers.stall()], reached: (_, __, requests) => requests > 0 },
    { name: 'in the middle', registry: [layers.stall({ afterBytes: mid })], reached: (_, bytes) => bytes > 0 },
    {
      name: 'while bytes drip',
      registry: [layers.drip({ bytesPerSecond: 5_000 })],
      reached: (_, bytes) => bytes > 500,
    },
    {
      name: 'between two rounds',
      registry: [layers.status(500)],
      reached: ({ attempts }) => attempts.length > 0,
    },
    {
      name: 'while a Retry-After is waited for',
      registry: [layers.status(429, { retryAfter: 9 })],
      reached: ({ attempts }) => attempts.length > 0,
    },
  ];
  for (const { name, registry, sink: sinkOptions, reached } of moments) {
    it(`${name} is rethrown as it is, at once, and leaves nothing open`, async () => {
      const rig = await openHeartRig({ registries: [registry], timeouts: patient });
      const pull = rig.openPull();
      const sink = memorySink(sinkOptions);
      const failure = failureOf(fetchBlob(pull.context, wanted, sink));
      const double = rig.double('A');
      const isReached = (): boolean =>
        reached === undefined ? double.connections > 0 : reached(pull, sink.content.length, double.requests.length);
      await until(isReached, 'the moment has come');
      const reason = { not: 'even an error' };
      const abortedAtMs = monotonicMs();
      pull.abort(reason);
      expect(await failure).to.equal(reason);
      expect(monotonicMs() - abortedAtMs).to.be.below(promptMs);
      expect(pull.attempts.filter((attempt) => !attempt.includes('http-'))).to.deep.equal([]);
      expect(getEventListeners(pull.context.signal, 'abort')).to.have.length(0);
      await untilQuiet(rig.doubles);
      // No connection is kept that was in the middle of something.
      if (reached !== undefined && !name.includes('round') && !name.includes('Retry')) {
        await until(() => double.openConnections <= (name.includes('token') ? 1 : 0), 'the connection is closed');
      }
    });
  }

  it('before it began asks nobody', async () => {
    const rig = await openHeartRig({ registries: [[]] });
    const pull = rig.openPull();
    const reason = new Error('too late');
    pull.abort(reason);
    expect(await failureOf(fetchBlob(pull.context, wanted, memorySink()))).to.equal(reason);
    expect(rig.double('A').connections).to.equal(0);
  });

  it('in our own queue is rethrown at once, and the one that holds the connection goes on', async () => {
    const rig = await openHeartRig({
      registries: [{ faults: [layers.delay({ ms: 500, times: 1 })], options: { maxConnections: 1 } }],
      timeouts: patient,
    });
    const [holder, waiter] = [rig.openPull(), rig.openPull()];
    const held = fetchBlob(holder.context, wanted, memorySink());
    await until(() => rig.double('A').requests.length === 1, 'the connection is held');
    const failure = failureOf(fetchBlob(waiter.context, wanted, memorySink()));
    const reason = new Error('the waiter leaves');
    waiter.abort(reason);
    expect(await failure).to.equal(reason);
    await held;
    expect(rig.double('A').requests).to.have.length(1);
  });

  it('while kept bytes are read is rethrown', async () => {
    const rig = await openHeartRig({ registries: [[]] });
    const pull = rig.openPull();
    const reason = new Error('enough');
    const sink = memorySink({ kept: Buffer.alloc(50_000) });
    const reading = {
      ...sink,
      kept: 50_000,
      readKept: async function* () {
        for await (const chunk of sink.readKept()) {
          pull.abort(reason);
          yield chunk;
        }
      },
    };
    expect(await failureOf(fetchBlob(pull.context, wanted, reading))).to.equal(reason);
    expect(rig.double('A').connections).to.equal(0);
  });
});
