import { expect } from 'chai';
import type { HedgeSettings } from '../../lib/failover/hedge.js';
import { fetchBlob } from '../../lib/failover/blob/fetch-blob.js';
import { fetchManifest } from '../../lib/failover/manifest/fetch-manifest.js';
import { SharedFetches } from '../../lib/failover/shared/shared-fetch.js';
import { connection, type Fault, layers, metadata, seededImage } from '../../lib/testing/index.js';
import type { Served } from '../../lib/vocabulary/report.js';
import { until } from '../support/until.js';
import { closeHeartRigs, openHeartRig, smallImage, untilQuiet } from './support/heart-rig.js';
import { memorySink } from './support/memory-sink.js';
import { memoryStore } from './support/memory-store.js';
import { fetchInRanges, kibibyte, openRangeRig, rangeBytes, size, wanted } from './support/range-fetch.js';

const hedging: HedgeSettings = { metadataMs: 80, layersMs: 80, budget: 1 };
const noHedges = { won: 0, lost: 0 } as const;

/** What was sent and not thrown away. */
const usefulBytes = (served: readonly Served[]): number =>
  served.reduce((sum, { bytes, wastedBytes }) => sum + bytes - wastedBytes, 0);

describe('what is said of each registry', () => {
  afterEach(closeHeartRigs);

  describe('adds up: what all sent, less all that was of no use, is the blob', () => {
    interface Case {
      readonly name: string;
      readonly registries: readonly (readonly Fault[])[];
      readonly spread?: boolean;
    }
    const cases: readonly Case[] = [
      { name: 'from one that is well', registries: [[], []] },
      {
        name: 'drawn from two at once',
        registries: [[layers.delay({ ms: 10 })], [layers.delay({ ms: 10 })]],
        spread: true,
      },
      { name: 'after a reset', registries: [[layers.reset({ afterBytes: 30_000 })], []] },
      { name: 'after a stall', registries: [[layers.stall({ afterBytes: 30_000 })], []] },
      {
        name: 'after a stall at once, drawn from two',
        registries: [[layers.stall({ afterBytes: 0 })], []],
        spread: true,
      },
      { name: 'after a cut', registries: [[layers.truncate({ afterShare: 0.5 })], []] },
      { name: 'beside one that drips', registries: [[layers.drip({ bytesPerSecond: 20_000 })], []] },
      { name: 'from one that ignores ranges', registries: [[layers.ignoreRange()], []] },
      { name: 'from one that ignores some', registries: [[layers.ignoreRange({ probability: 0.4, seed: 2 })], []] },
      { name: 'from one that answers with less', registries: [[layers.shortRange({ maxBytes: 30_000 })], []] },
      { name: 'after wrong bytes', registries: [[layers.wrongBytes({ atByte: 5 * rangeBytes })], []] },
      {
        name: 'after wrong bytes in a mixture',
        registries: [[layers.reset({ afterBytes: 30_000, times: 3 })], [layers.wrongBytes({ atShare: 0.5 })], []],
        spread: true,
      },
      {
        name: 'after pauses of all of them',
        registries: [0, 1].map((seed) => [layers.delay({ ms: 150, probability: 0.3, seed })]),
      },
    ];
    for (const { name, registries, spread = false } of cases) {
      it(name, async () => {
        const rig = await openRangeRig(registries, {
          hedge: hedging,
          transfer: { rangeBytes, windowBytes: 4 * rangeBytes, spread },
        });
        const { context, sources } = rig.openPull();
        await fetchBlob(context, wanted, memorySink());
        await untilQuiet(rig.doubles);
        // Those that were overtaken outlive the fetch, and what they bring is counted as well.
        await until(() => rig.candidates.every((each) => sources.connectionsTo(each) === 0), 'nothing is under way');
        const { served } = sources;
        expect(usefulBytes(served)).to.equal(size);
        for (const { registry, bytes, wastedBytes, objects, connections } of served) {
          expect(wastedBytes, registry).to.be.within(0, bytes);
          expect(objects, registry).to.equal(bytes === 0 ? 0 : 1);
          expect(connections, registry).to.be.within(1, 5);
        }
        for (const double of rig.doubles) expect(double.violations).to.deep.equal([]);
      });
    }
  });

  it('is silence about one that was never asked, and about hedges on a day without faults', async () => {
    const { pull, rig } = await fetchInRanges([[], []], { hedge: hedging });
    const [a] = rig.candidates;
    expect(
      pull.sources.served.map(({ registry, wastedBytes, hedges }) => ({ registry, wastedBytes, hedges })),
    ).to.deep.equal([{ registry: a?.registry, wastedBytes: 0, hedges: noHedges }]);
  });

  it('is as many connections as were open at once', async () => {
    const slow = [layers.delay({ ms: 30 })];
    const four = await fetchInRanges([slow]);
    expect(four.pull.sources.served[0]?.connections).to.equal(4);
    const one = await fetchInRanges([slow], { connections: 1 });
    expect(one.pull.sources.served[0]?.connections).to.equal(1);
  });

  it('is a hedge that was won for the registry that was asked second', async () => {
    const { pull } = await fetchInRanges([[layers.stall({ afterBytes: 100 * kibibyte })], []], { hedge: hedging });
    const [late, hedge] = pull.sources.served;
    expect(late?.hedges).to.deep.equal(noHedges);
    expect(hedge?.hedges.won).to.be.at.least(1);
    expect(hedge?.wastedBytes).to.equal(0);
  });

  it('is a hedge that was lost, though it sent nothing, and no object', async () => {
    const { pull, rig } = await fetchInRanges([[layers.delay({ ms: 250, times: 1 })], [connection.blackhole()]], {
      hedge: hedging,
      connections: 1,
    });
    const [, b] = rig.candidates;
    expect(pull.sources.served[1]).to.deep.equal({
      ...{ registry: b?.registry, objects: 0, bytes: 0, wastedBytes: 0, connections: 1 },
      hedges: { won: 0, lost: 1 },
    });
  });

  it('is a hedge that was lost where the late one brought all of a small blob after all', async () => {
    const image = seededImage({ bytes: 30_000, seed: 'small and late' });
    const [layer = image.config] = image.layers;
    const registries = [[layers.delay({ ms: 250 })], [connection.blackhole()]];
    const { openPull } = await openHeartRig({ image, registries, hedge: hedging });
    const { context, sources } = openPull();
    await fetchBlob(context, { digest: layer.digest, size: layer.sizeBytes }, memorySink());
    expect(sources.served.map(({ bytes, hedges }) => [bytes, hedges])).to.deep.equal([
      [layer.sizeBytes, noHedges],
      [0, { won: 0, lost: 1 }],
    ]);
  });

  it('is the same for each pull that shares a fetch', async () => {
    const rig = await openRangeRig([[layers.stall({ afterBytes: 100 * kibibyte })], []], { hedge: hedging });
    const shared = new SharedFetches();
    const blob = { ...wanted, mediaType: 'application/octet-stream' };
    const pulls = [rig.openPull(), rig.openPull(), rig.openPull()];
    const [same, other] = [memoryStore(), memoryStore()];
    await Promise.all(
      pulls.map(({ context }, index) => shared.fetch(context, { blob, key: 'key', store: index === 2 ? other : same })),
    );
    const [first, ...others] = pulls.map(({ sources }) => sources.served);
    expect(first?.[1]?.hedges.won).to.be.at.least(1);
    expect(first?.[0]?.connections).to.equal(4);
    for (const each of others) expect(each).to.deep.equal(first);
    await untilQuiet(rig.doubles);
  });

  describe('of a manifest', () => {
    const top = smallImage.top.bytes.length;
    const fetchTop = async (registries: readonly (readonly Fault[])[], hedge: HedgeSettings | null = hedging) => {
      const rig = await openHeartRig({ registries, ...(hedge === null ? {} : { hedge }) });
      const pull = rig.openPull();
      await fetchManifest(pull.context, { digest: smallImage.digest });
      const served = (): unknown =>
        pull.sources.served.map(({ registry, ...one }) => ({ name: rig.nameOf(registry), ...one }));
      return { rig, served };
    };
    const brought = { objects: 1, bytes: top, wastedBytes: 0, connections: 0, hedges: noHedges };
    const nothing = { objects: 0, bytes: 0, wastedBytes: 0, connections: 0 };

    it('is no hedge where one failed before the next was asked', async () => {
      const { served } = await fetchTop([[metadata.status(500)], []]);
      expect(served()).to.deep.equal([{ name: 'B', ...brought }]);
    });

    it('is a hedge won by who answered first, and waste of the answer that came late', async () => {
      const { served, rig } = await fetchTop([[metadata.delay({ ms: 300 })], []]);
      expect(served()).to.deep.equal([{ name: 'B', ...brought, hedges: { won: 1, lost: 0 } }]);
      await until(() => rig.double('A').bytesSent === top, 'the late answer has come');
      await untilQuiet(rig.doubles);
      await until(() => (served() as readonly unknown[]).length === 2, 'it was counted');
      await until(() => JSON.stringify(served()).includes(`"wastedBytes":${top}`), 'it was of no use');
      expect(served()).to.deep.equal([
        { name: 'A', ...brought, wastedBytes: top },
        { name: 'B', ...brought, hedges: { won: 1, lost: 0 } },
      ]);
    });

    it('is a hedge lost where the late one answered first after all', async () => {
      const { served } = await fetchTop([[metadata.delay({ ms: 300 })], [metadata.noHeaders()]]);
      expect(served()).to.deep.equal([
        { name: 'A', ...brought },
        { name: 'B', ...nothing, hedges: { won: 0, lost: 1 } },
      ]);
    });

    it('is a hedge lost where it failed, and one won by the next', async () => {
      const { served } = await fetchTop([[metadata.noHeaders()], [metadata.noHeaders()], []]);
      expect(served()).to.deep.equal([
        { name: 'B', ...nothing, hedges: { won: 0, lost: 1 } },
        { name: 'C', ...brought, hedges: { won: 1, lost: 0 } },
      ]);
    });

    it('is waste where it has a wrong digest', async () => {
      const { served } = await fetchTop([[metadata.wrongBytes({ atShare: 0.5 })], []], null);
      expect(served()).to.deep.equal([
        { name: 'A', ...brought, wastedBytes: top },
        { name: 'B', ...brought },
      ]);
    });
  });
});
