import { randomInt } from 'node:crypto';
import { expect } from 'chai';
import { type RegistryDouble, seededImage, startRegistryDouble } from '../../../lib/testing/index.js';
import { namesOf } from '../../contract/engine-contract.js';
import { hasNextRelease, requireDockerd, requireNextRelease, startDockerd } from '../../support/docker-engine.js';
import type { RealEngine } from '../../support/real-engine.js';
import { seededRandom } from '../../support/seeded-random.js';
import { type HostChild, startHostChild } from '../support/host-child.js';
import { expectInDaemon, expectNoRelayNames, removeFromDaemon } from '../support/image-in-daemon.js';

/** Given again, the processes are killed at the same moments. */
const seed = Number(process.env['KILL_SEED'] ?? randomInt(2 ** 31));

/** In all; half of them each where there are two stores. */
const allKills = 50;
/** Hosts that are about to be told to pull while another one is killed. */
const hostsReady = 2;
/** Two names of images that share their first layer. */
const images = [
  seededImage({ bytes: [900_000, 500_000, 60_000], seed: 'killed host' }),
  seededImage({ bytes: [900_000, 400_000], seed: 'killed host', config: { author: 'another build' } }),
] as const;
const own = seededImage({ bytes: 20_000, seed: 'an image of the user' });
/** Not the relay's, however it looks. */
const ownNames = ['127.0.0.1:5001/x:latest', '127.0.0.1:5001/team/pull-failover:1'] as const;

const stores = [
  { store: 'graph', title: 'the classic store', require: requireDockerd },
  { store: 'containerd', title: 'a containerd store', require: requireNextRelease },
] as const;

for (const { store, title, require } of stores) {
  describe(`A host that is killed while a daemon with ${title} pulls through it (KILL_SEED=${seed})`, function () {
    this.timeout(120_000);
    require();
    const random = seededRandom(seed);
    let real: RealEngine;
    let registry: RegistryDouble;
    const hosts: HostChild[] = [];

    before(async () => {
      [real, registry] = await Promise.all([
        startDockerd({ store }),
        startRegistryDouble({
          images: { 'team/app-0:1': images[0], 'team/app-1:1': images[1], 'team/own:1': own },
          bandwidth: { totalBytesPerSecond: 6e6 },
        }),
      ]);
      const host = startHost();
      const { reference } = await host.pull(`${registry.host}/team/own:1`);
      for (const name of ownNames) {
        const [repo = '', tag = ''] = name.split(/:(?=[^:]*$)/);
        await real.docker.getImage(reference).tag({ repo, tag });
      }
      await real.docker.getImage(reference).remove();
      await host.close();
    });

    afterEach(async () => {
      await Promise.all(hosts.splice(0).map((host) => host.kill()));
    });

    after(async () => {
      await registry?.close();
      await real?.close();
    });

    function startHost(): HostChild {
      const host = startHostChild({ socketPath: real.socketPath, puller: { registries: [`${registry.host}/team`] } });
      hosts.push(host);
      return host;
    }

    const nameOf = (at: number): string => `${registry.host}/team/app-${at}:1`;

    /** Under its own name an image is whole, or it is not there. */
    async function expectWholeOrAbsent(at: 0 | 1): Promise<'whole' | 'absent'> {
      if (!(await namesOf(real)).includes(nameOf(at))) return 'absent';
      await expectInDaemon(real, nameOf(at), images[at]);
      return 'whole';
    }

    async function expectOwnImages(): Promise<void> {
      for (const name of ownNames) await expectInDaemon(real, name, own);
    }

    const kills = hasNextRelease() ? allKills / stores.length : allKills;
    it(`leaves nothing behind that the next one trips over, ${kills} times in a row`, async () => {
      const ready = Array.from({ length: hostsReady }, startHost);
      const next = async (): Promise<HostChild> => {
        const host = ready.shift() ?? startHost();
        ready.push(startHost());
        await host.ready();
        return host;
      };
      const healthy = await next();
      const startedMs = performance.now();
      await healthy.pull(nameOf(0));
      const healthyMs = performance.now() - startedMs;
      await healthy.close();
      await removeFromDaemon(real, nameOf(0));

      // Of the kills that were to hit the pull itself.
      let early = 0;
      let tooLate = 0;
      // Whatever else this machine does meanwhile makes pulls slower, or faster again.
      let spanMs = healthyMs * 0.95;
      for (let kill = 0; kill < kills; kill += 1) {
        const at = kill % 2 === 0 ? 0 : 1;
        const host = await next();
        void host.start(nameOf(at));
        // A third of them while the engine unpacks the image and gives it its name, which is soon over.
        const isLate = kill % 3 === 2;
        if (!isLate) early += 1;
        if (isLate) await host.event(({ type }) => type === 'phase:started');
        if (isLate) await host.event((event) => event.type === 'phase:started' && event.phase === 'extract');
        await new Promise((resolve) => setTimeout(resolve, random() * (isLate ? 60 : spanMs)));
        await host.kill();
        expect(
          host.events.filter(({ type }) => /^circuit:|failed|route-changed/.test(type)),
          `kill ${kill}`,
        ).to.deep.equal([]);
        await real.docker.ping();
        if ((await expectWholeOrAbsent(at)) === 'whole') {
          if (!isLate) {
            tooLate += 1;
            spanMs *= 0.8;
          }
          await removeFromDaemon(real, nameOf(at));
        } else if (!isLate) {
          spanMs *= 1.05;
        }
      }
      expect(tooLate, 'pulls that were over before').to.be.below(early / 2);

      const last = await next();
      for (const at of [0, 1] as const) {
        const report = await last.pull(nameOf(at));
        expect(report.route).to.equal('relay');
        expect(report.attempts).to.deep.equal([]);
        await expectInDaemon(real, nameOf(at), images[at]);
      }
      expect(last.events.filter(({ type }) => type === 'pull:route-changed')).to.deep.equal([]);
      const { health } = await last.close();
      expect(health.filter(({ state }) => state !== 'closed')).to.deep.equal([]);
      await expectNoRelayNames(real);
      await expectOwnImages();
      expect(registry.violations).to.deep.equal([]);
    });

    it('harms no other host: neither by pulling the same at the same time, nor by its end', async () => {
      for (const at of [0, 1] as const) await removeFromDaemon(real, nameOf(at));
      const [one, two, three] = [startHost(), startHost(), startHost()];
      await Promise.all([one, two, three].map((host) => host.ready()));
      const pulled = [two.pull(nameOf(0)), three.pull(nameOf(1))];
      void one.start(nameOf(0));
      await one.event(({ type }) => type === 'pull:progressed');
      await one.kill();
      // It looks for what the dead one has left, while the others are pulling.
      const four = startHost();
      pulled.push(four.pull(nameOf(0)));
      for (const report of await Promise.all(pulled)) {
        expect(report.attempts).to.deep.equal([]);
        expect(report.served.map(({ registry: from }) => from)).to.deep.equal([`${registry.host}/team`]);
      }
      for (const host of [two, three, four]) await host.close();
      for (const at of [0, 1] as const) await expectInDaemon(real, nameOf(at), images[at]);
      await expectNoRelayNames(real);
      await expectOwnImages();
    });
  });
}
