import { expect } from 'chai';
import { getEventListeners } from 'node:events';
import { fetchBlob } from '../../../lib/failover/blob/fetch-blob.js';
import type { HeartContext } from '../../../lib/failover/context.js';
import type { TransferBudget } from '../../../lib/failover/transfer-budget.js';
import { isHostFaultError } from '../../../lib/errors/host-fault-error.js';
import { layers, seededImage } from '../../../lib/testing/index.js';
import { failureOf } from '../../support/failure-of.js';
import { until } from '../../support/until.js';
import { blobRequests, starts } from '../support/blob-fetch.js';
import { closeHeartRigs, openHeartRig, untilQuiet } from '../support/heart-rig.js';
import { memorySink, type MemorySinkOptions } from '../support/memory-sink.js';
import {
  allBytesSent,
  expectAllGivenBack,
  fetchInRanges,
  kibibyte,
  openRangeRig,
  rangeBytes,
  right,
  size,
  wanted,
  windowBytes,
} from '../support/range-fetch.js';

/** Bytes that may have been asked for ahead when somebody else takes over: those of the connections under way. */
const aheadBytes = windowBytes;

describe('a blob in ranges', () => {
  afterEach(closeHeartRigs);

  it('is asked for over several connections, each byte once, in ranges that follow each other', async () => {
    const { rig, pull } = await fetchInRanges([[layers.delay({ ms: 20 })], []]);
    const { requests } = rig.double('A');
    expect(new Set(requests.map(({ connection }) => connection)).size).to.equal(4);
    const ranges = requests.map(({ range }) => range).toSorted((a, b) => (a?.start ?? 0) - (b?.start ?? 0));
    expect(ranges[0]?.start).to.equal(0);
    expect(ranges.at(-1)?.end ?? size - 1).to.equal(size - 1);
    for (const [index, range] of ranges.slice(1).entries())
      expect(range?.start).to.equal((ranges[index]?.end ?? 0) + 1);
    expect(allBytesSent(rig)).to.equal(size);
    expect(rig.double('B').requests).to.deep.equal([]);
    expect(pull.attempts).to.deep.equal([]);
  });

  for (const seed of [1, 2, 3, 4, 5]) {
    it(`is right in whatever order its ranges come (${seed})`, async () => {
      const { rig, pull } = await fetchInRanges([
        [
          layers.delay({ ms: 15, probability: 0.5, seed }),
          layers.delay({ ms: 40, probability: 0.3, seed: seed + 10 }),
          layers.delay({ ms: 90, probability: 0.2, seed: seed + 20 }),
        ],
        [],
      ]);
      expect(allBytesSent(rig)).to.equal(size);
      expect(pull.attempts).to.deep.equal([]);
    });
  }

  it('is asked for no further ahead than the window, and holds no more memory, however slow the sink is', async () => {
    const rig = await openRangeRig([[]]);
    const pull = rig.openPull();
    let letGo = (): void => {};
    const blocked = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    const memory = watchMemory(pull.context);
    const sink = memorySink({ onWrite: (offset) => (offset === 0 ? blocked : undefined) });
    const fetching = fetchBlob(memory.context, wanted, sink);
    await until(() => rig.double('A').bytesSent >= windowBytes, 'the window is full');
    await new Promise((resolve) => setTimeout(resolve, 100));
    const furthest = Math.max(...rig.double('A').requests.map(({ range }) => range?.end ?? 0));
    expect(furthest).to.be.below(windowBytes);
    expect(memory.mostHeld()).to.be.within(1, windowBytes);
    letGo();
    await fetching;
    expect(memory.mostHeld()).to.be.at.most(windowBytes);
    expect(memory.held()).to.equal(0);
    expect(sink.content.equals(right)).to.equal(true);
  });

  it('leaves the memory that all blobs share to those who have it', async () => {
    const rig = await openRangeRig([[layers.delay({ ms: 5 })]], {
      transfer: { rangeBytes, windowBytes, maxWindowBytes: windowBytes },
    });
    const [one, other] = [rig.openPull(), rig.openPull()];
    const memories = [watchMemory(one.context), watchMemory(other.context)];
    const sinks = [memorySink(), memorySink()];
    await Promise.all(memories.map(({ context }, index) => fetchBlob(context, wanted, sinks[index] ?? memorySink())));
    for (const sink of sinks) expect(sink.content.equals(right)).to.equal(true);
    expect(memories.reduce((sum, { mostHeld }) => Math.max(sum, mostHeld()), 0)).to.be.at.most(windowBytes);
    expectAllGivenBack(rig, one);
  });

  it('that is smaller than four ranges is one request', async () => {
    for (const [bytes, requests] of [
      [4 * rangeBytes - 2_000, 1],
      [4 * rangeBytes, 4],
    ] as const) {
      const image = seededImage({ bytes, seed: 'small' });
      const [layer] = image.layers;
      if (layer === undefined) throw new Error('there is a layer');
      const rig = await openRangeRig([[]], { image });
      const sink = memorySink();
      await fetchBlob(rig.openPull().context, { digest: layer.digest, size: layer.sizeBytes }, sink);
      expect(sink.content).to.have.length(layer.sizeBytes);
      if (layer.sizeBytes < 4 * rangeBytes) expect(blobRequests(rig, 'A')).to.have.length(requests);
      else expect(blobRequests(rig, 'A').length).to.be.at.least(requests);
      await closeHeartRigs();
    }
  });

  it('over one connection is one request for the whole', async () => {
    const { rig } = await fetchInRanges([[]], { transfer: { rangeBytes, windowBytes, connectionsPerBlob: 1 } });
    expect(blobRequests(rig, 'A').map(({ range }) => range)).to.deep.equal([null]);
  });

  it('goes on behind what an earlier pull kept', async () => {
    for (const kept of [1, rangeBytes, size - 5 * rangeBytes, size - 1]) {
      const { rig, pull } = await fetchInRanges([[], []], { kept: right.subarray(0, kept) });
      expect(Math.min(...starts(rig, 'A'))).to.equal(kept);
      expect(allBytesSent(rig)).to.equal(size - kept);
      expect(pull.of('bytesKept')).to.have.length(1);
      await closeHeartRigs();
    }
  });

  describe('from a registry that', () => {
    it('ignores ranges comes over one connection, and is right', async () => {
      const { rig, pull, sink } = await fetchInRanges([[layers.ignoreRange()], []]);
      expect(pull.attempts).to.deep.equal([]);
      expect(rig.double('B').requests).to.deep.equal([]);
      expect(sink.calls.filter(({ call }) => call !== 'write')).to.deep.equal([{ call: 'commit' }]);
    });

    it('ignores ranges now and then is right', async () => {
      for (const seed of [1, 2, 3]) {
        const { pull } = await fetchInRanges([[layers.ignoreRange({ probability: 0.4, seed })], []]);
        expect(pull.attempts).to.deep.equal([]);
        await closeHeartRigs();
      }
    });

    it('answers with shorter ranges is asked again for what is missing of each', async () => {
      const { rig, pull } = await fetchInRanges([[layers.shortRange({ maxBytes: 30_000 })]]);
      expect(allBytesSent(rig)).to.equal(size);
      expect(pull.attempts).to.deep.equal([]);
    });

    it('sends thousands of tiny answers is left', async () => {
      const { rig, pull } = await fetchInRanges([[layers.shortRange({ maxBytes: 100 })], []]);
      expect(pull.ill).to.deep.equal(['A layers']);
      expect(pull.attempts[0]).to.equal('A registry-storage/short-ranges ill');
      expect(blobRequests(rig, 'A').length).to.be.below(200);
    });

    it('says another total of a range is ill, and its ranges come from the next', async () => {
      const { rig, pull } = await fetchInRanges([[layers.wrongRange({ byBytes: 7 })], []]);
      expect(pull.ill).to.deep.equal(['A layers']);
      expect(rig.double('B').bytesSent).to.equal(size);
    });

    for (const { name, fault } of [
      { name: 'stalls', fault: layers.stall },
      { name: 'resets', fault: layers.reset },
      { name: 'is cut off', fault: layers.truncate },
    ]) {
      for (const at of [0, rangeBytes - 1, rangeBytes, 3 * rangeBytes + 1, size - 1]) {
        it(`${name} at byte ${at} is left, and hardly anything is fetched twice`, async () => {
          const { rig, pull } = await fetchInRanges([[fault({ afterBytes: at })], []]);
          expect(pull.ill).to.deep.equal(['A layers']);
          expect(rig.double('A').bytesSent).to.equal(at);
          expect(allBytesSent(rig) - size).to.be.within(0, aheadBytes);
          const [failover, ...more] = pull.sources.failovers;
          expect(failover?.bytesKept).to.be.within(Math.max(0, at - aheadBytes), at);
          expect(more).to.deep.equal([]);
        });
      }

      it(`${name} once in one range does not fail the others`, async () => {
        const { rig, pull } = await fetchInRanges([
          [fault({ afterBytes: 1_000, of: 'response', after: 5, times: 1 }), layers.delay({ ms: 10 })],
          [],
        ]);
        expect(pull.attempts).to.have.length(1);
        expect(allBytesSent(rig) - size).to.be.within(0, aheadBytes);
      });
    }

    it('stalls is given its limit once, whatever is under way', async () => {
      const startedAt = performance.now();
      const { pull } = await fetchInRanges([[layers.stall({ afterBytes: 2 * rangeBytes + 100 })], []], {
        timeouts: {
          metadata: { requestMs: 2_000, totalMs: 2_000 },
          layers: { firstByteMs: 900, stallMs: 900, windowMs: 5_000 },
        },
      });
      expect(performance.now() - startedAt).to.be.within(850, 1_700);
      expect(new Set(pull.attempts.map((attempt) => attempt.slice(0, 1)))).to.deep.equal(new Set(['A']));
    });

    it('asks for time in a range is left alone for that time', async () => {
      const { rig, pull } = await fetchInRanges([
        [layers.status(429, { retryAfter: 9, after: 3 }), layers.delay({ ms: 10 })],
        [],
      ]);
      const limited = pull.attempts.filter((attempt) => attempt.endsWith('limited'));
      expect(limited.length).to.be.within(1, 4);
      // Those under way when the first one was refused.
      expect(blobRequests(rig, 'A').filter(({ status }) => status === 429).length).to.be.within(1, 4);
      expect(rig.double('B').bytesSent).to.be.above(0);
    });

    it('asks for time in a range, with nobody else there, is waited for', async () => {
      const { rig, pull } = await fetchInRanges([
        [layers.status(429, { retryAfter: 1, after: 3, times: 1 }), layers.delay({ ms: 10 })],
      ]);
      expect(pull.of('waiting')).to.have.length(1);
      const refused = blobRequests(rig, 'A').find(({ status }) => status === 429);
      const later = blobRequests(rig, 'A').filter(({ startedAtMs }) => startedAtMs > (refused?.endedAtMs ?? 0) + 100);
      expect(later.length).to.be.above(0);
      for (const { startedAtMs } of later) expect(startedAtMs - (refused?.endedAtMs ?? 0)).to.be.at.least(900);
    });

    it('redirects is asked where it redirects to once by each connection, and never again', async () => {
      const { rig } = await fetchInRanges([{ redirects: true }]);
      expect(rig.double('A').requests.filter(({ kind }) => kind === 'blob').length).to.be.at.most(4);
      expect(allBytesSent(rig)).to.equal(size);
    });

    it('lacks one range of the blob is no reason to fail while it brings the rest', async () => {
      const { pull } = await fetchInRanges([[layers.status(404, { after: 2, times: 1 }), layers.delay({ ms: 10 })]]);
      expect(pull.ill).to.deep.equal([]);
    });

    for (const at of [0, rangeBytes + 3, size - 1]) {
      it(`sends a wrong byte at ${at} is named, and all of its bytes are thrown away`, async () => {
        const { rig, pull, sink } = await fetchInRanges([[layers.wrongBytes({ atByte: at })], []]);
        expect(pull.attempts).to.deep.equal(['A content/digest-mismatch ill']);
        expect(sink.calls.filter(({ call }) => call === 'restart')).to.have.length(1);
        expect(allBytesSent(rig)).to.equal(2 * size);
      });
    }
  });

  it('of which the first registry brought wrong bytes ahead and then failed is looked for by one alone', async () => {
    // The range of A that comes later has arrived when A is left: it must not get into what B brings alone.
    const { pull } = await fetchInRanges([
      [layers.wrongBytes({ atByte: 3 * rangeBytes + 5 }), layers.stall({ afterBytes: 6 * rangeBytes })],
      [],
    ]);
    expect(pull.attempts.filter((attempt) => attempt.includes('digest-mismatch'))).to.deep.equal([
      'A content/digest-mismatch ill',
    ]);
    expect(pull.ill).to.deep.equal(['A layers']);
  });

  it('of which a liar that drips was left for a range ahead is fetched alone from the other one, and not from the liar', async () => {
    const { pull } = await fetchInRanges([
      [layers.wrongBytes({ atByte: 0, times: 1 }), layers.drip({ afterBytes: 6 * rangeBytes, bytesPerSecond: 100 })],
      [],
    ]);
    expect(pull.ill).to.deep.equal(['A layers']);
    expect(pull.attempts.at(-1)).to.equal('A content/digest-mismatch ill');
  });

  for (const { name, onWrite } of [
    { name: 'at its first byte', onWrite: () => noSpace() },
    { name: 'in the middle', onWrite: (offset: number) => (offset > size / 2 ? noSpace() : undefined) },
  ] satisfies readonly ({ readonly name: string } & MemorySinkOptions)[]) {
    it(`whose sink fails ${name} ends all of its requests`, async () => {
      const rig = await openRangeRig([[], []]);
      const pull = rig.openPull();
      const error = await failureOf(fetchBlob(pull.context, wanted, memorySink({ onWrite })));
      expect(isHostFaultError(error)).to.equal(true);
      await untilQuiet(rig.doubles);
      expectAllGivenBack(rig, pull);
      expect(rig.double('B').requests).to.deep.equal([]);
      expect(pull.attempts).to.deep.equal([]);
    });
  }

  for (const { name, faults, bytes } of [
    { name: 'before the first byte', faults: [layers.noHeaders()], bytes: 0 },
    { name: 'in the middle', faults: [layers.stall({ afterBytes: 2 * rangeBytes + 10 })], bytes: 2 * rangeBytes },
    { name: 'while bytes drip', faults: [layers.drip({ bytesPerSecond: 40_000 })], bytes: 5_000 },
  ]) {
    it(`that is aborted ${name} rejects with the reason, and ends all of its requests`, async () => {
      const rig = await openRangeRig([faults, []], {
        timeouts: { layers: { firstByteMs: 20_000, stallMs: 20_000, windowMs: 20_000 } },
      });
      const pull = rig.openPull();
      const failure = failureOf(fetchBlob(pull.context, wanted, memorySink()));
      await until(() => rig.double('A').bytesSent >= bytes && rig.double('A').requests.length >= 4, 'it is under way');
      const reason = { not: 'even an error' };
      pull.abort(reason);
      expect(await failure).to.equal(reason);
      await untilQuiet(rig.doubles);
      expectAllGivenBack(rig, pull);
      expect(getEventListeners(pull.context.signal, 'abort')).to.have.length(0);
      expect(pull.attempts).to.deep.equal([]);
    });
  }

  it('gives its connections to others who wait, and none of them fails', async () => {
    for (const maxConnections of [1, 2, 3]) {
      const image = seededImage({ layers: 5, bytes: 512 * kibibyte, seed: 'tight' });
      const rig = await openHeartRig({
        image,
        registries: [[layers.delay({ ms: 5 })], []],
        connections: 4,
        transfer: { rangeBytes, windowBytes, maxConnections, connectionsPerBlob: maxConnections },
      });
      const pulls = image.layers.map(() => rig.openPull());
      const open: number[] = [];
      await Promise.all(
        image.layers.map(async ({ digest, sizeBytes }, index) => {
          const sink = memorySink({
            onWrite: () => {
              open.push(rig.double('A').requests.filter(({ outcome }) => outcome === 'open').length);
            },
          });
          const { context } = pulls[index] ?? rig.openPull();
          await fetchBlob(context, { digest, size: sizeBytes }, sink);
          expect(sink.content.equals(Buffer.concat([...(image.layers[index] ?? image.config).read()]))).to.equal(true);
        }),
      );
      expect(rig.double('B').requests).to.deep.equal([]);
      for (const pull of pulls) {
        expect(pull.attempts).to.deep.equal([]);
        expectAllGivenBack(rig, pull);
      }
      await closeHeartRigs();
    }
  });
});

function noSpace(): never {
  throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC', syscall: 'write' });
}

/** A context whose memory ahead is counted. */
function watchMemory(context: HeartContext): {
  readonly context: HeartContext;
  readonly held: () => number;
  readonly mostHeld: () => number;
} {
  let held = 0;
  let mostHeld = 0;
  const { budget } = context.transfer;
  const counting: TransferBudget = {
    ...budget,
    tryWindow: (claim, bytes) => {
      const permit = budget.tryWindow(claim, bytes);
      if (permit === null) return null;
      held += bytes;
      mostHeld = Math.max(mostHeld, held);
      let isHeld = true;
      return {
        release: () => {
          if (isHeld) held -= bytes;
          isHeld = false;
          permit.release();
        },
      };
    },
  };
  return {
    context: { ...context, transfer: { ...context.transfer, budget: counting } },
    held: () => held,
    mostHeld: () => mostHeld,
  };
}
