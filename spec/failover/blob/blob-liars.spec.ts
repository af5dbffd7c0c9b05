import { expect } from 'chai';
import { isPullExhaustedError } from '../../../lib/errors/pull-exhausted-error.js';
import { fetchBlob } from '../../../lib/failover/blob/fetch-blob.js';
import { layers } from '../../../lib/testing/index.js';
import { bytesSent, fetchFrom, mid, offsets, right, size, starts, wanted } from '../support/blob-fetch.js';
import { closeHeartRigs, type HeartPull, openHeartRig } from '../support/heart-rig.js';
import { memorySink, type MemorySink } from '../support/memory-sink.js';
import { failureOf } from '../../support/failure-of.js';

/** Who was said to have sent wrong bytes, each time it was said. */
function liars({ attempts }: HeartPull): readonly string[] {
  return attempts.flatMap((attempt) => (attempt.includes('content/digest-mismatch') ? [attempt.slice(0, 1)] : []));
}

/** Bytes that got into the sink before its first restart. */
function bytesBeforeRestart({ calls }: MemorySink): number {
  const restart = calls.findIndex(({ call }) => call === 'restart');
  return calls
    .slice(0, restart === -1 ? calls.length : restart)
    .reduce((sum, each) => sum + ('bytes' in each ? each.bytes : 0), 0);
}

describe('wrong bytes', () => {
  afterEach(closeHeartRigs);

  for (const { name, at } of offsets) {
    it(`of one source, at ${name}, are never given out whole, and named after it`, async () => {
      const { rig, pull, sink } = await fetchFrom([[layers.wrongBytes({ atByte: at })], []]);
      expect(pull.attempts).to.deep.equal(['A content/digest-mismatch ill']);
      expect(pull.ill).to.deep.equal(['A layers']);
      expect(bytesBeforeRestart(sink)).to.be.below(size);
      expect(sink.calls.filter(({ call }) => call === 'restart')).to.have.length(1);
      expect(bytesSent(rig)).to.deep.equal([size, size]);
      expect(starts(rig, 'B')).to.deep.equal([0]);
    });
  }

  it('are withheld even when the last chunk is all that is missing', async () => {
    const kept = right.subarray(0, size - 1);
    const { sink } = await fetchFrom([[layers.wrongBytes({ atByte: size - 1 })], []], { kept });
    expect(bytesBeforeRestart(sink)).to.equal(0);
  });

  for (const { name, at } of offsets.filter((offset) => offset.at < mid)) {
    it(`at ${name} of a mixture are traced to the first of two sources`, async () => {
      const { pull } = await fetchFrom([[layers.wrongBytes({ atByte: at }), layers.truncate({ afterBytes: mid })], []]);
      expect(liars(pull)).to.deep.equal(['A']);
      expect(pull.ill).to.deep.equal(['A layers']);
    });
  }

  for (const { name, at } of offsets.filter((offset) => offset.at >= mid)) {
    it(`at ${name} of a mixture are traced to the second of two sources`, async () => {
      const { pull } = await fetchFrom([
        [layers.truncate({ afterBytes: mid, times: 1 })],
        [layers.wrongBytes({ atByte: at })],
      ]);
      expect(liars(pull)).to.deep.equal(['B']);
      expect(pull.attempts.filter((attempt) => attempt.startsWith('A'))).to.deep.equal([
        'A registry-storage/connection-closed ill',
      ]);
    });
  }

  it('that a source sent once are traced to it though it would send the right ones now', async () => {
    const { pull } = await fetchFrom([
      [layers.wrongBytes({ atByte: 1, times: 1 }), layers.truncate({ afterBytes: mid, times: 1 })],
      [],
    ]);
    expect(liars(pull)).to.deep.equal(['A']);
  });

  it('in the middle of three sources are traced to that one', async () => {
    const { pull } = await fetchFrom([
      [layers.truncate({ afterBytes: 10_000 })],
      [layers.truncate({ afterBytes: mid }), layers.wrongBytes({ atByte: 20_000 })],
      [],
    ]);
    expect(liars(pull)).to.deep.equal(['B']);
    expect(pull.ill).to.have.members(['A layers', 'B layers']);
  });

  it('are looked for by whoever had no part in the mixture, when there is somebody', async () => {
    const { rig, pull } = await fetchFrom([
      [layers.truncate({ afterBytes: mid }), layers.wrongBytes({ atByte: 0 })],
      [],
      [],
    ]);
    expect(liars(pull)).to.deep.equal(['A']);
    expect(bytesSent(rig)).to.deep.equal([mid, size - mid, size]);
  });

  it('of a source that does not have the blob any more are still traced to it', async () => {
    const { pull } = await fetchFrom([
      [
        layers.wrongBytes({ atByte: 0, times: 1 }),
        layers.reset({ afterBytes: mid, times: 1 }),
        layers.missing({ after: 1 }),
      ],
      [layers.status(500, { times: 1 })],
      [layers.truncate({ afterBytes: size - 10, times: 1 })],
    ]);
    expect(liars(pull)).to.deep.equal(['A']);
  });

  it('of every source end with all of them named', async () => {
    const rig = await openHeartRig({ registries: [[layers.wrongBytes()], [layers.wrongBytes({ atByte: size - 1 })]] });
    const pull = rig.openPull();
    const sink = memorySink();
    const error = await failureOf(fetchBlob(pull.context, wanted, sink));
    expect(isPullExhaustedError(error)).to.equal(true);
    expect(pull.attempts).to.deep.equal(['A content/digest-mismatch ill', 'B content/digest-mismatch ill']);
    expect(bytesSent(rig)).to.deep.equal([size, size]);
    expect(sink.isCommitted).to.equal(false);
  });

  it('of a mixture that only two rounds of failures made are still found out', async () => {
    // Two idle rounds first: a mixture that goes wrong in the third is no idle round.
    const { pull } = await fetchFrom([
      [
        layers.status(500, { times: 2 }),
        layers.truncate({ afterBytes: mid, after: 2, times: 1 }),
        layers.wrongBytes({ atByte: 0, after: 2, times: 1 }),
      ],
      [layers.status(500, { times: 2 })],
    ]);
    expect(liars(pull)).to.deep.equal(['A']);
  });
});

describe('bytes that an earlier pull kept', () => {
  afterEach(closeHeartRigs);

  for (const { name, at } of [...offsets.slice(1)]) {
    it(`up to ${name} are not fetched again`, async () => {
      const { rig, pull } = await fetchFrom([[], []], { kept: right.subarray(0, at) });
      expect(starts(rig, 'A')).to.deep.equal([at]);
      expect(bytesSent(rig)).to.deep.equal([size - at, 0]);
      expect(pull.of('bytesKept')).to.deep.equal([[wanted.digest, at]]);
      expect(pull.sources.failovers).to.deep.equal([]);
    });
  }

  it('are enough when they are all', async () => {
    const { rig, sink } = await fetchFrom([[]], { kept: right });
    expect(rig.double('A').requests).to.deep.equal([]);
    expect(sink.calls).to.deep.equal([{ call: 'commit' }]);
  });

  for (const length of [1, mid, size - 1, size]) {
    it(`wrongly, ${length} of them, are thrown away, and no registry is blamed`, async () => {
      const kept = Buffer.from(right.subarray(0, length));
      kept[0] = (kept[0] ?? 0) ^ 1;
      const { rig, pull } = await fetchFrom([[], []], { kept });
      expect(pull.attempts).to.deep.equal([]);
      expect(pull.ill).to.deep.equal([]);
      expect(bytesSent(rig)).to.deep.equal([size - length + size, 0]);
    });
  }

  it('wrongly do not hide that a source sent wrong bytes too', async () => {
    const kept = Buffer.alloc(1_000);
    const { pull } = await fetchFrom([[layers.wrongBytes({ atByte: size - 1 })], []], { kept });
    expect(liars(pull)).to.deep.equal(['A']);
  });
});
