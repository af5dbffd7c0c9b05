import { expect } from 'chai';
import { metadata } from '../../lib/testing/fault-groups.js';
import type { RegistryDouble } from '../../lib/testing/registry-double.js';
import { seededImage } from '../../lib/testing/seeded-image.js';
import { until } from '../support/until.js';
import { usePullRig } from './pull-rig.js';

const count = 200;
const images = Object.fromEntries(
  Array.from({ length: count }, (_, n) => [
    `team/app:${n}`,
    seededImage({ layers: 1, bytes: 2_000, seed: `parked ${n}` }),
  ]),
);

describe('many parked pulls', function () {
  this.timeout(60_000);
  const rig = usePullRig();
  let registry: RegistryDouble;

  beforeEach(async () => {
    registry = await rig.registry({ images });
  });

  it('go on when an operator acts: oldest first, never more at once than configured, and all of them succeed', async () => {
    const resumeAtOnce = 5;
    await registry.setFaults([metadata.status(503)]);
    const prefix = `${registry.host}/team`;
    const puller = rig.puller({
      registries: [prefix],
      whenExhausted: { waitMs: 600_000 },
      parking: { resumeAtOnce },
      health: { coolDownMs: 600_000, maxCoolDownMs: 600_000 },
    });
    const begun = Array.from({ length: count }, (_, n) => puller.pullWithFailover(`${registry.host}/team/app:${n}`));
    await until(() => puller.parked.list().length === count, 'all are parked');
    const order = puller.parked.list().map(({ pullId }) => pullId);
    await registry.setFaults([]);
    const from = puller.heard.length;

    puller.control.prefer(prefix, { reason: 'it is back', actor: 'joe' });
    await Promise.all(begun);

    const trying = new Set<string>();
    const resumed: string[] = [];
    let most = 0;
    for (const event of puller.heard.slice(from)) {
      if (event.type === 'pull:resumed') {
        trying.add(event.pullId);
        resumed.push(event.pullId);
        expect(event.why).to.equal('operator');
      }
      // A try ends a moment before the pull says so.
      if (event.type === 'phase:ended' && event.phase === 'extract') trying.delete(event.pullId);
      most = Math.max(most, trying.size);
    }
    expect(most, 'as many as configured').to.equal(resumeAtOnce);
    expect(resumed, 'oldest first').to.deep.equal(order);
  });
});
