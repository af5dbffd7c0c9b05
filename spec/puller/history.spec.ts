import { expect } from 'chai';
import type { PullEvent } from '../../lib/events/pull-event.js';
import { layers } from '../../lib/testing/fault-groups.js';
import type { LoggedRequest } from '../../lib/testing/request-log.js';
import type { RegistryDouble } from '../../lib/testing/registry-double.js';
import { seededImage } from '../../lib/testing/seeded-image.js';
import { until } from '../support/until.js';
import { usePullRig } from './pull-rig.js';

const count = 12;
const images = Object.fromEntries(
  Array.from({ length: count }, (_, n) => [
    `team/app:${n}`,
    seededImage({ layers: 2, bytes: 90_000 + n, seed: `history ${n}` }),
  ]),
);

/** What one pull did, as its events alone tell it. */
interface History {
  readonly image: string;
  /** Bytes by registry. */
  readonly bytes: ReadonlyMap<string, number>;
  /** Who failed, at which object and byte, and when that was told. */
  readonly failures: readonly { readonly registry: string; readonly object: string; readonly atMs: number }[];
}

function rebuild(heard: readonly PullEvent[]): readonly History[] {
  const ends = heard.filter((event) => event.type === 'pull:succeeded');
  return ends.map(({ pullId, image }) => {
    const own = heard.filter((event) => 'pullId' in event && event.pullId === pullId);
    const last = own.findLast((event) => event.type === 'pull:progressed');
    const failures = own.filter((event) => event.type === 'registry:failed');
    return {
      image,
      bytes: new Map(last?.served.map(({ registry, bytes }) => [registry, bytes])),
      failures: failures.map(({ registry, object, atMs }) => ({ registry, object, atMs })),
    };
  });
}

describe('the history of pulls, from their events alone', () => {
  const rig = usePullRig();
  let registries: ReadonlyMap<string, RegistryDouble>;

  beforeEach(async () => {
    const doubles = await Promise.all([1, 2].map(() => rig.registry({ images })));
    registries = new Map(doubles.map((double) => [`${double.host}/team`, double]));
  });

  it("is what the registries' own logs say: who, how many bytes, when", async () => {
    const [first, second] = [...registries.values()];
    if (first === undefined || second === undefined) throw new Error('there are two');
    await first.setFaults([layers.stall({ afterBytes: 30_000 })]);
    const puller = rig.puller({
      registries: [...registries.keys()],
      timeouts: { layers: { firstByteMs: 2_000, stallMs: 300 } },
      transfer: { hedge: { layersMs: Infinity, metadataMs: Infinity } },
    });
    for (let n = 0; n < count; n += 3) {
      const some = [n, n + 1, n + 2].filter((at) => at < count);
      await Promise.all(some.map((at) => puller.pullWithFailover(`${first.host}/team/app:${at}`)));
    }
    await until(
      () => [...registries.values()].every(({ requests }) => requests.every(({ endedAtMs }) => endedAtMs !== null)),
      'every request has ended',
    );
    const histories = rebuild(puller.heard);
    expect(histories).to.have.length(count);

    for (const [prefix, { requests }] of registries) {
      const sent = requests.reduce((sum, { bytesSent }) => sum + bytesSent, 0);
      const told = histories.reduce((sum, { bytes }) => sum + (bytes.get(prefix) ?? 0), 0);
      expect(told, prefix).to.equal(sent);
    }
    const failures = histories.flatMap((history) => history.failures);
    expect(failures).to.not.have.length(0);
    for (const { registry, object, atMs } of failures) {
      const struck = (request: LoggedRequest): boolean => request.object === object && request.faults.length > 0;
      const request = registries.get(registry)?.requests.find(struck);
      expect(request, `${registry} ${object}`).to.not.equal(undefined);
      expect(atMs).to.be.within(request?.startedAtMs ?? Infinity, (request?.endedAtMs ?? 0) + 1_000);
    }
  });
});
