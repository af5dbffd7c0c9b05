import { expect } from 'chai';
import { describeSources, plainNames } from '../../lib/cli/timeline.js';
import { createPullerDouble, pulls } from '../../lib/testing/index.js';
import type { ServedOptions } from '../../lib/testing/pull-script.js';

describe('what a person is told of where an image came from', () => {
  const described = async (served: readonly ServedOptions[], bytes: { kept?: number; local?: number } = {}) => {
    const registries = ['quay.io/team', 'docker.io/team'];
    const puller = createPullerDouble({ registries });
    const fetched = served.reduce((sum, one) => sum + (one.bytes ?? 0), 0);
    puller.script('quay.io/team/redis:7', pulls.succeed({ bytes: { total: 1_000, fetched, ...bytes }, served }));
    const report = await puller.pullWithFailover('quay.io/team/redis:7');
    await puller.close();
    return describeSources(report, plainNames);
  };

  it('is who sent how much, on a day without faults', async () => {
    expect(await described([{ bytes: 1_200, connections: 8 }])).to.equal('1.2 kB from quay.io/team');
  });

  it('is what was asked twice as well, where anything was', async () => {
    expect(
      await described([
        { bytes: 2_500, wastedBytes: 1_500 },
        { bytes: 64_000, hedges: { won: 2, lost: 1 } },
      ]),
    ).to.equal('2.5 kB from quay.io/team (1.5 kB of no use), 64.0 kB from docker.io/team (2 hedges won, 1 hedge lost)');
  });

  it('is a registry that was asked in vain beside another one', async () => {
    expect(await described([{ bytes: 1_000 }, { objects: 0, bytes: 0, hedges: { lost: 1 } }])).to.equal(
      '1.0 kB from quay.io/team, 0 B from docker.io/team (1 hedge lost)',
    );
  });

  it('is what was here', async () => {
    expect(await described([], { kept: 400, local: 600 })).to.equal('600 B were here, 400 B kept from before');
    expect(await described([], { local: 1_000 })).to.equal('1.0 kB were here');
  });
});
