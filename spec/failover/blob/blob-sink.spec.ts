import { expect } from 'chai';
import { EngineError } from '../../../lib/errors/engine-error.js';
import { isHostFaultError } from '../../../lib/errors/host-fault-error.js';
import { fetchBlob } from '../../../lib/failover/blob/fetch-blob.js';
import { layers } from '../../../lib/testing/index.js';
import { fetchFrom, mid, right, size, wanted } from '../support/blob-fetch.js';
import { closeHeartRigs, openHeartRig, untilQuiet } from '../support/heart-rig.js';
import { memorySink, type MemorySinkOptions } from '../support/memory-sink.js';
import { failureOf } from '../../support/failure-of.js';

function noSpace(): never {
  throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC', syscall: 'write' });
}

describe('the sink of a blob', () => {
  afterEach(closeHeartRigs);

  it('gets every byte once and in order, is committed once, and is not restarted', async () => {
    const { sink } = await fetchFrom([[layers.truncate({ afterBytes: mid })], []]);
    const calls = sink.calls.map(({ call }) => call);
    expect(calls.filter((call) => call !== 'write')).to.deep.equal(['commit']);
    expect(calls.at(-1)).to.equal('commit');
    expect(sink.content).to.have.length(size);
  });

  it('is given the next chunk only when it has taken the last one', async () => {
    let writing = 0;
    await fetchFrom([[], []], {
      onWrite: async () => {
        writing += 1;
        expect(writing).to.equal(1);
        await new Promise((resolve) => setImmediate(resolve));
        writing -= 1;
      },
    });
  });

  it('that is slow is not taken for a slow registry', async () => {
    // Longer than every limit, in one write.
    const { rig, pull } = await fetchFrom([[], []], {
      onWrite: (offset) => (offset === 0 ? new Promise((resolve) => setTimeout(resolve, 1_500)) : undefined),
    });
    expect(pull.attempts).to.deep.equal([]);
    expect(rig.double('B').requests).to.deep.equal([]);
  });

  const failures: readonly { readonly name: string; readonly options: MemorySinkOptions }[] = [
    { name: 'at its first byte', options: { onWrite: noSpace } },
    { name: 'in the middle', options: { onWrite: (offset, bytes) => (offset + bytes > mid ? noSpace() : undefined) } },
    {
      name: 'at its last byte',
      options: { onWrite: (offset, bytes) => (offset + bytes === size ? noSpace() : undefined) },
    },
    { name: 'as it is committed', options: { onCommit: noSpace } },
    { name: 'as it is committed with all that was kept', options: { kept: right, onCommit: noSpace } },
    { name: 'as it starts again', options: { kept: Buffer.alloc(100), onRestart: noSpace } },
  ];
  for (const { name, options } of failures) {
    it(`fails ${name}: a fault of this host, and no registry is blamed or asked again`, async () => {
      const rig = await openHeartRig({ registries: [[], []] });
      const pull = rig.openPull();
      const error = await failureOf(fetchBlob(pull.context, wanted, memorySink(options)));
      if (!isHostFaultError(error)) throw error;
      expect(error.reason).to.include({ cause: 'host-disk', code: 'disk-full' });
      expect(pull.attempts).to.deep.equal([]);
      expect(pull.ill).to.deep.equal([]);
      expect(rig.double('B').requests).to.deep.equal([]);
      await untilQuiet(rig.doubles);
    });
  }

  it('whose kept bytes cannot be read is a fault of this host', async () => {
    const rig = await openHeartRig({ registries: [[]] });
    const pull = rig.openPull();
    const sink = { ...memorySink(), kept: 10, readKept: () => ({ [Symbol.asyncIterator]: noSpace }) };
    const error = await failureOf(fetchBlob(pull.context, wanted, sink));
    expect(isHostFaultError(error)).to.equal(true);
    expect(rig.double('A').requests).to.deep.equal([]);
  });

  it('that refuses for a reason of its own ends the fetch with that reason', async () => {
    const reason = new EngineError('layout', 'the layout is closed');
    const rig = await openHeartRig({ registries: [[], []] });
    const pull = rig.openPull();
    const sink = memorySink({
      onWrite: () => {
        throw reason;
      },
    });
    expect(await failureOf(fetchBlob(pull.context, wanted, sink))).to.equal(reason);
    expect(pull.attempts).to.deep.equal([]);
    expect(rig.double('B').requests).to.deep.equal([]);
  });
});
