import { expect } from 'chai';
import { isPullerClosedError } from '../../lib/errors/puller-closed-error.js';
import { layers, metadata } from '../../lib/testing/fault-groups.js';
import type { RegistryDouble } from '../../lib/testing/registry-double.js';
import { seededImage } from '../../lib/testing/seeded-image.js';
import type { PullReport } from '../../lib/vocabulary/report.js';
import { failureOf } from '../support/failure-of.js';
import { until } from '../support/until.js';
import { expectWhole, type RecordedPuller, usePullRig } from './pull-rig.js';

const count = 50;
const images = Object.fromEntries(
  Array.from({ length: count }, (_, n) => [
    `team/app:${n}`,
    seededImage({ layers: 2, bytes: 60_000, seed: `bad week ${n}` }),
  ]),
);

describe('the first bad week of a host', function () {
  this.timeout(120_000);
  const rig = usePullRig();
  let first: RegistryDouble;
  let second: RegistryDouble;
  let registries: readonly string[];

  beforeEach(async () => {
    ({ first, second, prefixes: registries } = await rig.pair(images));
  });

  const open = (): RecordedPuller =>
    rig.puller({
      registries,
      stateDir: `${rig.directory}/state`,
      timeouts: { metadata: { requestMs: 2_000 }, layers: { firstByteMs: 1_000, stallMs: 500 } },
      health: { coolDownMs: 500, maxCoolDownMs: 1_000, probe: { intervalMs: 100 } },
    });
  const pull = (puller: RecordedPuller, n: number): Promise<PullReport> =>
    puller.pullWithFailover(`${first.host}/team/app:${n % count}`, {
      operation: { kind: n % 2 === 0 ? 'database' : 'app', id: `op-${n}` },
    });
  const opened = (puller: RecordedPuller): number =>
    puller.heard.filter(({ type }) => type === 'circuit:opened').length;

  it('begins with 50 pulls at boot while a registry is dying: all of them get their images', async () => {
    await first.setFaults([layers.stall({ afterBytes: 20_000 })]);
    const puller = open();
    const reports = await Promise.all(Array.from({ length: count }, (_, n) => pull(puller, n)));
    expect(reports.every(({ served }) => served.some(({ registry }) => registry === registries[1]))).to.equal(true);
    for (const n of [0, 17, 49]) {
      const image = images[`team/app:${n}`];
      if (image !== undefined) await expectWhole(rig.engine(), `${first.host}/team/app:${n}`, image);
    }
    expect(puller.heard.filter(({ type }) => type === 'pull:failed')).to.deep.equal([]);
  });

  it('goes on with a registry that flaps: no operation fails, and it is not switched to and fro with each of its moods', async () => {
    const puller = open();
    let moods = 0;
    let isOver = false;
    const flapping = (async () => {
      for (; !isOver; moods += 1) {
        await first.setFaults(moods % 2 === 0 ? [layers.status(503), metadata.status(503)] : []);
        await new Promise((resolve) => setTimeout(resolve, 150));
      }
    })();
    try {
      const untilMs = Date.now() + 6_000;
      for (let n = 0; Date.now() < untilMs; n += 1) {
        await Promise.all([pull(puller, n), pull(puller, n + 1)]);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    } finally {
      isOver = true;
      await flapping;
    }
    expect(puller.heard.filter(({ type }) => type === 'pull:failed')).to.deep.equal([]);
    expect(moods).to.be.greaterThan(20);
    expect(opened(puller), 'two phases, and cool-downs of 0.4 to 1 s in 6 s').to.be.within(1, 30);
  });

  it('has a rolling restart: pulls in flight are given back, can be asked again, and go on from the byte reached', async () => {
    await first.setFaults([layers.drip({ bytesPerSecond: 5_000, afterBytes: 40_000 })]);
    await second.setFaults([metadata.status(503), layers.status(503)]);
    const before = open();
    const begun = Array.from({ length: 10 }, (_, n) => pull(before, n));
    const failures = begun.map((each) => failureOf(each));
    const halfway = (): number =>
      new Set(
        before.heard.flatMap((event) =>
          event.type === 'pull:progressed' && event.layers.some(({ doneBytes }) => doneBytes >= 40_000)
            ? [event.pullId]
            : [],
        ),
      ).size;
    await until(() => halfway() >= 5, 'bytes of many of them have come');
    await before.close({ graceMs: 50 });
    for (const failure of await Promise.all(failures)) {
      expect(failure).to.satisfy(isPullerClosedError);
      expect(failure).to.include({ retryable: true });
    }
    await Promise.all([first.setFaults([]), second.setFaults([])]);
    const after = open();
    const reports = await Promise.all(Array.from({ length: 10 }, (_, n) => pull(after, n)));
    expect(
      reports.reduce((sum, { bytes }) => sum + bytes.kept, 0),
      'nothing is fetched twice',
    ).to.be.greaterThan(0);
    const three = images['team/app:3'];
    if (three !== undefined) await expectWhole(rig.engine(), `${first.host}/team/app:3`, three);
  });

  it('has a host that may contact only its own mirror, and contacts nobody else', async () => {
    const [outside = '', mirror = ''] = registries;
    const puller = rig.puller({ registries: [{ prefix: outside, contact: false }, mirror] });
    const { served } = await pull(puller, 1);
    expect(served.map(({ registry }) => registry)).to.deep.equal([mirror]);
    expect(first.requests).to.have.length(0);
    expect(puller.health().map(({ registry }) => registry)).to.not.include(outside);
    expect(() => puller.control.prefer(outside, { reason: 'it is faster' })).to.throw();
  });
});
