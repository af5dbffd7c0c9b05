import { expect } from 'chai';
import { monotonicMs } from '../../../lib/clock/time.js';
import { isPullExhaustedError } from '../../../lib/errors/pull-exhausted-error.js';
import { fetchBlob } from '../../../lib/failover/blob/fetch-blob.js';
import { layers, token } from '../../../lib/testing/index.js';
import { blobRequests, bytesSent, fetchFrom, mid, size, starts, wanted } from '../support/blob-fetch.js';
import { closeHeartRigs, openHeartRig } from '../support/heart-rig.js';
import { memorySink } from '../support/memory-sink.js';
import { failureOf } from '../../support/failure-of.js';

describe('when every registry has failed a blob', () => {
  afterEach(closeHeartRigs);

  for (const failures of [1, 2]) {
    it(`all are asked again: one that is well in round ${failures + 1} is used`, async () => {
      const { rig, pull } = await fetchFrom([[layers.status(500)], [layers.status(500, { times: failures })]]);
      expect(blobRequests(rig, 'B')).to.have.length(failures + 1);
      expect(pull.attempts.filter((attempt) => attempt.startsWith('B'))).to.have.length(failures);
    });
  }

  it('three rounds in a row without a new byte are the end', async () => {
    const rig = await openHeartRig({ registries: [[layers.status(500, { times: 3 })]] });
    const pull = rig.openPull();
    expect(isPullExhaustedError(await failureOf(fetchBlob(pull.context, wanted, memorySink())))).to.equal(true);
    expect(blobRequests(rig, 'A')).to.have.length(3);
  });

  it('any new byte starts the counting anew', async () => {
    // Each answer brings a little, then ends: more rounds than three.
    const fault = layers.truncate({ afterBytes: 15_000, of: 'response' });
    const { rig } = await fetchFrom([[fault]]);
    expect(starts(rig, 'A')).to.deep.equal(
      Array.from({ length: Math.ceil(size / 15_000) }, (_, index) => index * 15_000),
    );
    expect(bytesSent(rig)).to.deep.equal([size]);
  });

  it('bytes that only replace thrown away ones are not new', async () => {
    // Both lie in every mixture and break off when alone: without a bound this would go round for ever.
    const rig = await openHeartRig({
      registries: [
        [layers.truncate({ afterBytes: mid }), layers.wrongBytes({ atByte: 0 })],
        [layers.truncate({ afterBytes: size - 1, after: 0 }), layers.wrongBytes({ atByte: mid })],
        [layers.status(500, { times: 1 }), layers.truncate({ afterBytes: size - 2, after: 1 })],
      ],
    });
    const pull = rig.openPull();
    const error = await failureOf(fetchBlob(pull.context, wanted, memorySink()));
    expect(isPullExhaustedError(error)).to.equal(true);
    expect(pull.attempts.length).to.be.below(40);
  });

  it('a registry that does not have it is not asked again, one that failed is', async () => {
    const rig = await openHeartRig({ registries: [[layers.missing()], [layers.status(502)]] });
    const pull = rig.openPull();
    await failureOf(fetchBlob(pull.context, wanted, memorySink()));
    expect([blobRequests(rig, 'A').length, blobRequests(rig, 'B').length]).to.deep.equal([1, 3]);
    expect(pull.of('replicaMissing')).to.deep.equal([[rig.candidates[0]?.registry, 'layers', wanted.digest]]);
  });
});

describe('a registry that asks to be left alone', () => {
  afterEach(closeHeartRigs);

  it('is left alone while another one serves', async () => {
    const { rig, pull } = await fetchFrom([[layers.status(429, { retryAfter: 1 })], []]);
    expect(blobRequests(rig, 'A')).to.have.length(1);
    expect(pull.of('waiting')).to.deep.equal([]);
    expect(pull.ill).to.deep.equal([]);
    expect(pull.of('limited').map(([registry, phase]) => [rig.nameOf(registry), phase])).to.deep.equal([
      ['A', 'layers'],
    ]);
  });

  it('is waited for when nobody else is left, as long as it said', async () => {
    const startedAtMs = monotonicMs();
    const { rig, pull } = await fetchFrom([[layers.status(429, { retryAfter: 1, times: 1 })]]);
    expect(monotonicMs() - startedAtMs).to.be.at.least(995);
    expect(blobRequests(rig, 'A')).to.have.length(2);
    expect(pull.of('waiting')).to.have.length(1);
    const [phase, reason, waitMs] = pull.of('waiting')[0] ?? [];
    expect([phase, reason?.code]).to.deep.equal(['layers', 'http-429']);
    expect(waitMs).to.be.within(900, 1_000);
    expect(pull.of('waited')).to.have.length(1);
  });

  it('is waited for in the middle of a blob, which goes on where it was', async () => {
    const { rig } = await fetchFrom([
      [layers.truncate({ afterBytes: mid, times: 1 }), layers.status(503, { retryAfter: 1, after: 1, times: 1 })],
    ]);
    expect(starts(rig, 'A')).to.deep.equal([0, mid, mid]);
  });

  it('is waited for after the others have failed in every round', async () => {
    const { rig } = await fetchFrom([[layers.status(429, { retryAfter: 2, times: 1 })], [layers.status(500)]]);
    expect([blobRequests(rig, 'A').length, blobRequests(rig, 'B').length >= 3]).to.deep.equal([2, true]);
  });

  it('for longer than the pull has is not waited for, and the error says for how long', async () => {
    const rig = await openHeartRig({ registries: [[layers.status(429, { retryAfter: 30 })]], maxRetryAfterMs: 5_000 });
    const pull = rig.openPull();
    const startedAtMs = monotonicMs();
    const error = await failureOf(fetchBlob(pull.context, wanted, memorySink()));
    if (!isPullExhaustedError(error)) throw error;
    expect(error.retryAfterMs).to.be.within(29_000, 30_000);
    expect(monotonicMs() - startedAtMs).to.be.below(2_000);
    expect(pull.of('waiting')).to.deep.equal([]);
  });

  it('again and again is given up after three waits', async () => {
    const rig = await openHeartRig({ registries: [[layers.status(429, { retryAfter: 1 })]] });
    const pull = rig.openPull();
    const error = await failureOf(fetchBlob(pull.context, wanted, memorySink()));
    expect(isPullExhaustedError(error)).to.equal(true);
    expect(blobRequests(rig, 'A')).to.have.length(4);
  });

  it('by its token service is left alone with blobs too', async () => {
    const startedAtMs = monotonicMs();
    const { rig, pull } = await fetchFrom([
      { auth: { kind: 'bearer' }, faults: [token.status(429, { retryAfter: 1, times: 1 })] },
    ]);
    expect(monotonicMs() - startedAtMs).to.be.at.least(995);
    expect(rig.double('A').requests.filter(({ kind }) => kind === 'token')).to.have.length(2);
    expect(pull.of('limited').map(([, phase]) => phase)).to.deep.equal(['metadata']);
    expect(pull.of('waiting')).to.have.length(1);
  });
});

describe('the patience with a registry', () => {
  afterEach(closeHeartRigs);
  const timeouts = {
    layers: { firstByteMs: 300, stallMs: 300, windowMs: 400, minBytesPerSecond: 1_000_000 },
    lastCandidate: { firstByteMs: 5_000, stallMs: 5_000 },
  } as const;
  const late = layers.delay({ ms: 900 });

  it('is short while another one could do better', async () => {
    const { pull } = await fetchFrom([[late], []], { timeouts });
    expect(pull.attempts).to.deep.equal(['A registry-storage/first-byte-late ill']);
  });

  it('is longer with the last one left', async () => {
    const { pull } = await fetchFrom([[layers.status(500)], [late]], { timeouts });
    expect(pull.attempts).to.deep.equal(['A registry-storage/http-500 ill']);
  });

  it('is longer with the only one', async () => {
    const { pull } = await fetchFrom([[late]], { timeouts });
    expect(pull.attempts).to.deep.equal([]);
  });

  it('is longer when the others do not have it, or ask to be left alone', async () => {
    for (const other of [layers.missing(), layers.status(429, { retryAfter: 60 })]) {
      const { pull } = await fetchFrom([[other], [late]], { timeouts });
      expect(pull.attempts).to.have.length(1);
      await closeHeartRigs();
    }
  });

  it('has no floor for the last one left', async () => {
    const slow = { bandwidth: { perConnectionBytesPerSecond: 100_000 } };
    const { pull } = await fetchFrom([slow, slow], { timeouts });
    expect(pull.attempts).to.deep.equal(['A registry-storage/too-slow ill']);
  });

  describe('that answers only ranges shorter than asked', () => {
    /** Of a blob that another one began, so that a range is asked for. */
    const begun = [layers.truncate({ afterBytes: 1_000 })] as const;

    it('is measured over all of them: one that brings a little each time is left', async () => {
      const little = [layers.delay({ ms: 50 }), layers.shortRange({ maxBytes: 5_000 })];
      const { rig, pull } = await fetchFrom([begun, little, []], { timeouts });
      expect(pull.attempts.slice(1)).to.deep.equal(['B registry-storage/too-slow ill']);
      const reached = 1_000 + 5_000 * blobRequests(rig, 'B').length;
      expect(reached).to.be.below(size);
      expect(starts(rig, 'C')).to.deep.equal([reached]);
      expect(pull.sources.failovers.map(({ bytesKept }) => bytesKept)).to.deep.equal([1_000, reached]);
    });

    it('does not evade the floor by a body that drips between them', async () => {
      const drip = [layers.drip({ bytesPerSecond: 10_000 }), layers.shortRange({ maxBytes: 1_000 })];
      const { rig, pull } = await fetchFrom([begun, drip, []], { timeouts });
      expect(pull.attempts.slice(1)).to.deep.equal(['B registry-storage/too-slow ill']);
      expect(blobRequests(rig, 'B').length).to.be.within(1, 15);
    });

    it('is left after sixteen of them that bring next to nothing, however fast', async () => {
      const { rig, pull } = await fetchFrom([begun, [layers.shortRange({ maxBytes: 1_000 })], []], {
        timeouts: { layers: { ...timeouts.layers, minBytesPerSecond: 1 } },
      });
      expect(pull.attempts.slice(1)).to.deep.equal(['B registry-storage/short-ranges ill']);
      expect(starts(rig, 'B')).to.deep.equal(Array.from({ length: 16 }, (_, index) => 1_000 + 1_000 * index));
      expect(starts(rig, 'C')).to.deep.equal([17_000]);
    });

    it('is borne with when it is the last one left', async () => {
      const little = [layers.delay({ ms: 20 }), layers.shortRange({ maxBytes: 2_000 })];
      const { rig, pull } = await fetchFrom([begun, little], { timeouts });
      expect(pull.attempts).to.have.length(1);
      expect(blobRequests(rig, 'B')).to.have.length(Math.ceil((size - 1_000) / 2_000));
    });
  });

  it('is short too with one that is asked alone, to find out who of two sent wrong bytes', async () => {
    const lying = [layers.wrongBytes({ atByte: 0 }), layers.truncate({ afterBytes: mid })];
    const { pull } = await fetchFrom([lying, [], [layers.drip({ bytesPerSecond: 5_000 })], []], { timeouts });
    expect(pull.attempts).to.deep.equal([
      'A registry-storage/connection-closed ill',
      'C registry-storage/too-slow ill',
      'A content/digest-mismatch ill',
    ]);
  });
});
