import { expect } from 'chai';
import type { Sources } from '../../../lib/failover/sources.js';
import type { Candidate } from '../../../lib/failover/candidate.js';
import { fetchBlob } from '../../../lib/failover/blob/fetch-blob.js';
import { layers, seededImage } from '../../../lib/testing/index.js';
import { closeHeartRigs, openHeartRig } from '../support/heart-rig.js';
import { memorySink } from '../support/memory-sink.js';
import { fetchInRanges, kibibyte, openRangeRig, size } from '../support/range-fetch.js';

const mebibyte = 1_024 * kibibyte;

describe('the floor beside other registries of a pull', () => {
  afterEach(closeHeartRigs);

  async function open(): Promise<{ readonly sources: Sources; readonly candidates: readonly Candidate[] }> {
    const rig = await openHeartRig({ registries: [[], [], []] });
    return { sources: rig.openPull().sources, candidates: rig.candidates };
  }
  const measured = { bytes: 4_000_000, waitedMs: 1_000, longestPauseMs: 10 };

  it('is a tenth of what the best of them brings over a connection', async () => {
    const { sources, candidates } = await open();
    const [a, b, c] = candidates;
    if (a === undefined || b === undefined || c === undefined) throw new Error('there are three');
    expect(sources.floorBeside(a)).to.equal(0);
    sources.speedOf(b).add(measured);
    sources.speedOf(c).add({ ...measured, bytes: 1_000_000 });
    expect(sources.floorBeside(a)).to.equal(400_000);
    // Nobody is measured by itself.
    expect(sources.floorBeside(b)).to.equal(100_000);
  });

  it('counts nobody who has failed, and nobody who was measured for a moment only', async () => {
    const { sources, candidates } = await open();
    const [a, b, c] = candidates;
    if (a === undefined || b === undefined || c === undefined) throw new Error('there are three');
    sources.speedOf(b).add(measured);
    sources.speedOf(c).add({ bytes: 900_000, waitedMs: 9, longestPauseMs: 1 });
    expect(sources.floorBeside(a)).to.equal(400_000);
    sources.sendLast(b, 'layers');
    expect(sources.floorBeside(a)).to.equal(0);
  });

  it('is not held against who is alone: what dripped at the same rate before is well', async () => {
    const { pull } = await fetchInRanges([[layers.drip({ afterBytes: size - 40_000, bytesPerSecond: 40_000 })]], {
      connections: 1,
    });
    expect(pull.attempts).to.deep.equal([]);
  });

  it('makes a registry ill that is ten times slower than another one in the same pull', async () => {
    const image = seededImage({ bytes: 4 * mebibyte, seed: 'floor' });
    const [layer] = image.layers;
    if (layer === undefined) throw new Error('there is a layer');
    const rig = await openRangeRig(
      [{ bandwidth: { perConnectionBytesPerSecond: 3_000_000 } }, { bandwidth: { totalBytesPerSecond: 60_000 } }],
      {
        image,
        connections: 1,
        transfer: { rangeBytes: mebibyte / 2, windowBytes: 2 * mebibyte, spread: true },
        timeouts: { layers: { firstByteMs: 600, stallMs: 600, windowMs: 700, minBytesPerSecond: 1_000 } },
      },
    );
    const pull = rig.openPull();
    await fetchBlob(pull.context, { digest: layer.digest, size: layer.sizeBytes }, memorySink());
    expect(pull.attempts).to.deep.equal(['B registry-storage/too-slow ill']);
  });
});
