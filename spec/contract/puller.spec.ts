import { connection, layers } from '../../lib/testing/fault-groups.js';
import { pulls } from '../../lib/testing/pull-script.js';
import { createPullerDouble } from '../../lib/testing/puller-double.js';
import { seededImage } from '../../lib/testing/seeded-image.js';
import { usePullRig } from '../puller/pull-rig.js';
import { describePuller, type Fate } from './puller-contract.js';

describe('a puller', () => {
  const rig = usePullRig();

  describePuller(async (options) => {
    let images = 0;
    const first = await rig.registry({
      faults: [
        layers.reset({ repository: 'team/outage', afterBytes: 10_000 }),
        layers.status(503, { repository: 'team/gone' }),
        layers.noHeaders({ repository: 'team/stuck' }),
        layers.status(503, { repository: 'team/parks' }),
      ],
    });
    const second = await rig.registry({
      faults: [
        layers.status(503, { repository: 'team/gone' }),
        layers.noHeaders({ repository: 'team/stuck' }),
        layers.status(503, { repository: 'team/parks' }),
      ],
    });
    return {
      puller: rig.puller({ registries: [`${first.host}/team`, `${second.host}/team`], ...options }),
      registries: [`${first.host}/team`, `${second.host}/team`],
      image: (fate) => {
        images += 1;
        const image = seededImage({ bytes: 40_000, seed: `${fate} ${images}` });
        for (const registry of [first, second]) registry.putImage(`team/${fate}:${images}`, image);
        return `${first.host}/team/${fate}:${images}`;
      },
      heal: async () => {
        await first.setFaults([]);
        await second.setFaults([]);
      },
    };
  });

  it('of the real kind asks registries: a refused port is told as one', async () => {
    const registry = await rig.registry({ faults: [connection.refuse()] });
    const puller = rig.puller();
    await puller.pullWithFailover(`${registry.host}/team/app:1`).catch(() => {});
    if (!puller.heard.some((event) => event.type === 'registry:failed')) throw new Error('nobody was asked');
  });
});

describe('a puller double', () => {
  const registries = ['quay.io/team', 'docker.io/team'] as const;

  describePuller(async (options) => {
    const puller = createPullerDouble({ registries, ...options });
    let images = 0;
    return {
      puller,
      registries,
      image: (fate) => {
        images += 1;
        const name = `quay.io/team/${fate}:${images}`;
        if (fate !== 'healthy') puller.script(name, scriptOf(fate));
        return name;
      },
      heal: async () => {},
    };
  });
});

function scriptOf(fate: Exclude<Fate, 'healthy'>): ReturnType<typeof pulls.outage> {
  switch (fate) {
    case 'outage':
      return pulls.outage();
    case 'gone':
      return pulls.exhausted();
    case 'stuck':
      return pulls.aborted();
    case 'parks':
      return pulls.parked();
  }
}
