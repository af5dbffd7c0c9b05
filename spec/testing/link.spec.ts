import { expect } from 'chai';
import { createLink } from '../../lib/testing/link.js';
import { type FaultServer, seededImage, startFaultProxy, startRegistryDouble } from '../../lib/testing/index.js';
import { type FakeTime, startFakeTime } from '../support/fake-time.js';
import { ask } from './plain-client.js';

describe('a shaped link', () => {
  describe('in time', () => {
    let time: FakeTime;
    beforeEach(() => {
      time = startFakeTime();
    });
    afterEach(() => {
      time.restore();
    });

    /** Sends `slices` slices on each lane in turn, and returns the milliseconds that took. */
    async function send(
      lanes: readonly { takeMs(bytes: number): number }[],
      slices: number,
      bytes: number,
    ): Promise<number> {
      let atMs = 0;
      const readyAtMs = lanes.map(() => 0);
      for (let slice = 0; slice < slices; slice += 1) {
        for (const [index, lane] of lanes.entries()) {
          const waitMs = lane.takeMs(bytes);
          readyAtMs[index] = atMs + waitMs;
        }
        const nextMs = Math.ceil(Math.max(...readyAtMs));
        await time.passMs(nextMs - atMs);
        atMs = nextMs;
      }
      return atMs;
    }

    it('holds one connection to its rate', async () => {
      const link = createLink({ perConnectionBytesPerSecond: 1_000_000 });
      expect(await send([link.openLane()], 100, 10_000)).to.be.within(960, 1_010);
    });

    it('holds all connections together to the rate of the whole', async () => {
      const link = createLink({ totalBytesPerSecond: 1_000_000 });
      expect(await send([link.openLane(), link.openLane()], 50, 10_000)).to.be.within(960, 1_010);
    });

    it('gives each connection its own rate below the whole', async () => {
      const link = createLink({ totalBytesPerSecond: 10_000_000, perConnectionBytesPerSecond: 1_000_000 });
      expect(await send([link.openLane(), link.openLane()], 100, 10_000)).to.be.within(960, 1_010);
    });

    it('does not save up for later what was not sent', async () => {
      const link = createLink({ perConnectionBytesPerSecond: 1_000_000 });
      const lane = link.openLane();
      await time.passMs(60_000);
      expect(await send([lane], 100, 10_000)).to.be.within(960, 1_010);
    });

    it('delays the first answer of a connection by two round trips, and others by one', () => {
      const link = createLink({ latencyMs: 80 });
      expect([link.answerDelayMs(true), link.answerDelayMs(false)]).to.deep.equal([160, 80]);
    });

    it('without limits never waits', () => {
      const link = createLink(undefined);
      expect([link.openLane().takeMs(1e9), link.openLane().takeMs(1e9), link.answerDelayMs(true)]).to.deep.equal([
        0, 0, 0,
      ]);
    });
  });

  for (const [option, bandwidth] of [
    ['bandwidth.totalBytesPerSecond', { totalBytesPerSecond: 0 }],
    ['bandwidth.latencyMs', { latencyMs: -1 }],
    ['bandwidth.bytes', { bytes: 1 }],
  ] as const) {
    it(`refuses ${JSON.stringify(bandwidth)} by name`, () => {
      expect(() => createLink(bandwidth as object))
        .to.throw()
        .with.property('option', option);
    });
  }

  for (const place of ['registry double', 'fault proxy'] as const) {
    it(`slows the answers of a ${place} down, and delays them`, async () => {
      const image = seededImage({ bytes: 100_000 });
      const bandwidth = { totalBytesPerSecond: 500_000, latencyMs: 30 };
      const servers: FaultServer[] = [
        await startRegistryDouble({
          images: { 'aptible/redis:3.0': image },
          ...(place === 'registry double' ? { bandwidth } : {}),
        }),
      ];
      if (place === 'fault proxy') servers.push(await startFaultProxy(servers[0]?.url ?? '', { bandwidth }));
      const blobUrl = `${servers.at(-1)?.url ?? ''}/v2/aptible/redis/blobs/${image.layers[0]?.digest ?? ''}`;
      try {
        const startedMs = performance.now();
        const [one, other] = await Promise.all([ask(blobUrl), ask(blobUrl)]);
        // 200 kB at 500 kB/s, less the burst that the link allows, and two round trips.
        expect(performance.now() - startedMs).to.be.greaterThan(400);
        expect([one.body.length, other.body.length]).to.deep.equal([100_000, 100_000]);
      } finally {
        for (const server of servers.toReversed()) await server.close();
      }
    });
  }
});
