import { once } from 'node:events';
import { link } from 'node:fs/promises';
import net from 'node:net';
import { join } from 'node:path';
import { expect } from 'chai';
import Dockerode from 'dockerode';
import { explainFailure, isHostFaultError, isImageNotCachedError, type PullEvent } from '../../../lib/index.js';
import {
  connection,
  type LoggedRequest,
  type RegistryDouble,
  seededImage,
  startRegistryDouble,
} from '../../../lib/testing/index.js';
import { requireDockerd, requireNextRelease, startDockerd } from '../../support/docker-engine.js';
import type { RealEngine } from '../../support/real-engine.js';
import { expectInDaemon, expectNoRelayNames } from '../support/image-in-daemon.js';
import { broughtBy, recordDaemonPull, type RecordedDaemonPull } from '../support/recorded-daemon-pull.js';
import { useWorkingDirectory } from '../support/working-directory.js';

const mebibyte: number = 2 ** 20;
/** Without any image the daemon takes almost nothing of it. */
const dataRootBytes: number = 24 * mebibyte;
const larger = seededImage({ bytes: [2 * mebibyte, 40 * mebibyte], seed: 'larger than the disk' });
const small = seededImage({ bytes: [200_000, 100_000], seed: 'fits on the disk' });
const platforms = seededImage({ bytes: 50_000, seed: 'two', platforms: ['linux/amd64', 'linux/arm64/v8'] });
const foreign = seededImage({ bytes: 50_000, seed: 'one', platforms: ['linux/arm64/v8'] });

/** What is told at once is told without waiting for anybody; a busy machine has to start sockets all the same. */
const atOnceMs = 2_000;

const stores = [
  { store: 'graph', title: 'the classic store', require: requireDockerd },
  { store: 'containerd', title: 'a containerd store', require: requireNextRelease },
] as const;

for (const { store, title, require } of stores) {
  describe(`A host that is at fault, or has the image, with ${title}`, function () {
    this.timeout(60_000);
    require();
    const working = useWorkingDirectory();
    let real: RealEngine;
    let registry: RegistryDouble;

    before(async () => {
      [real, registry] = await Promise.all([
        startDockerd({ store, dataRootBytes }),
        startRegistryDouble({
          images: {
            'team/larger:1': larger,
            'team/small:1': small,
            'team/platforms:1': platforms,
            'team/foreign:1': foreign,
          },
        }),
      ]);
    });

    beforeEach(() => registry.setFaults([]));

    after(async () => {
      await registry?.close();
      await real?.close();
    });

    const nameOf = (name: string): string => `${registry.host}/team/${name}:1`;
    const registries = (): readonly string[] => [`${registry.host}/team`];

    /** A typed error that says what to do, and nobody is blamed. */
    function expectHostFault({ error, events, ill }: RecordedDaemonPull, code: string, explained: RegExp): void {
      expect(isHostFaultError(error), String(error)).to.equal(true);
      expect(error).to.have.nested.property('reason.code', code);
      expect(explainFailure(error)).to.match(explained);
      expect(ill).to.deep.equal([]);
      expect(events.filter(({ type }) => /^circuit:|^registry:|failed-over/.test(type))).to.deep.equal([]);
      expect(events.at(-1)?.type).to.equal('pull:failed');
    }

    async function fillDisk(route: 'relay' | 'load'): Promise<void> {
      const pull = await recordDaemonPull(real, {
        image: nameOf('larger'),
        puller: { registries: registries() },
        engine: { route },
      });
      expectHostFault(pull, 'disk-full', /(free|space|room)/i);
      expect(pull.events.filter(({ type }) => type === 'pull:route-changed')).to.deep.equal([]);
      await expectNoRelayNames(real);
    }

    it('uses the image that the daemon has when no registry can be reached, and says since when and why', async () => {
      const stateDir = join(working.path, 'state');
      const options = { registries: registries(), stateDir } as const;
      const { report: pulled } = await broughtBy(recordDaemonPull(real, { image: nameOf('small'), puller: options }));
      await registry.setFaults([connection.reset()]);
      const { report, events } = await broughtBy(
        recordDaemonPull(real, { image: nameOf('small'), puller: { ...options, whenExhausted: 'use-cached' } }),
      );
      expect(report).to.include({
        source: 'cache',
        digest: small.digest,
        imageId: pulled.imageId,
        reference: pulled.reference,
      });
      expect(report.cachedAgeMs).to.be.within(0, 60_000);
      expect(report.served).to.deep.equal([]);
      const served = eventOf(events, 'pull:served-from-cache');
      expect(served).to.include({ why: 'exhausted', digest: small.digest, ageMs: report.cachedAgeMs });
      expect(served?.reason?.code).to.equal('connection-reset');
      await expectInDaemon(real, report.reference, small);
    });

    it('asks nobody for an image that is there, when only a missing one is wanted from registries', async () => {
      const before = registry.connections;
      const { report, events } = await broughtBy(
        recordDaemonPull(real, {
          image: nameOf('small'),
          puller: { registries: registries(), pullPolicy: 'if-not-present' },
        }),
      );
      expect(report).to.include({ source: 'cache' });
      expect(report.cachedAgeMs).to.be.at.least(0);
      expect(eventOf(events, 'pull:served-from-cache')).to.include({ why: 'if-not-present', reason: null });
      expect(registry.connections).to.equal(before);
      await real.docker.getImage(report.reference).remove({ force: true });
      const again = await broughtBy(
        recordDaemonPull(real, {
          image: nameOf('small'),
          puller: { registries: registries(), pullPolicy: 'if-not-present' },
        }),
      );
      expect(again.report.source).to.equal('registry');
      await real.docker.getImage(report.reference).remove({ force: true });
    });

    it('does not take an image for another platform for the one that is wanted', async () => {
      const puller = { registries: registries(), pullPolicy: 'if-not-present' } as const;
      const { report: arm } = await broughtBy(
        recordDaemonPull(real, { image: nameOf('platforms'), puller: { ...puller, platform: 'linux/arm64' } }),
      );
      expect(arm).to.include({ source: 'registry', platform: 'linux/arm64' });
      const never = await recordDaemonPull(real, {
        image: nameOf('platforms'),
        puller: { ...puller, pullPolicy: 'never', platform: 'linux/amd64' },
      });
      expect(isImageNotCachedError(never.error), String(never.error)).to.equal(true);
      const { report: amd } = await broughtBy(
        recordDaemonPull(real, { image: nameOf('platforms'), puller: { ...puller, platform: 'linux/amd64' } }),
      );
      expect(amd).to.include({ source: 'registry', platform: 'linux/amd64' });
      await real.docker.getImage(amd.reference).remove({ force: true });
    });

    it('ends with the failure, and not with an image for another platform, when no registry can be reached', async () => {
      const { report } = await broughtBy(
        recordDaemonPull(real, {
          image: nameOf('foreign'),
          puller: { registries: registries(), platform: 'linux/arm64' },
        }),
      );
      await registry.setFaults([connection.reset()]);
      const { error } = await recordDaemonPull(real, {
        image: nameOf('foreign'),
        puller: { registries: registries(), platform: 'linux/amd64', whenExhausted: 'use-cached' },
      });
      expect(error).to.include({ name: 'PullExhaustedError' });
      await real.docker.getImage(report.reference).remove({ force: true });
    });

    if (store === 'containerd') {
      // It keeps what it had read, and has no room for anything after that.
      for (const route of ['relay', 'load'] as const) {
        it(`ends a pull by ${route} that fills the disk of the daemon`, () => fillDisk(route));
      }
      return;
    }

    for (const route of ['relay', 'load'] as const) {
      it(`ends a pull by ${route} that fills the disk of the daemon, and the next one finds room`, async () => {
        await fillDisk(route);
        const { report } = await broughtBy(
          recordDaemonPull(real, { image: nameOf('small'), puller: { registries: registries() }, engine: { route } }),
        );
        await expectInDaemon(real, report.reference, small);
        await real.docker.getImage(report.reference).remove({ force: true });
      });
    }

    const asked = (): readonly LoggedRequest[] => registry.requests.filter(({ kind }) => kind === 'blob');

    async function expectUnreachable(socketPath: string, explained: RegExp): Promise<void> {
      const before = asked().length;
      const pull = await recordDaemonPull(
        { docker: new Dockerode({ socketPath }) },
        { image: nameOf('small'), puller: { registries: registries(), whenExhausted: { waitMs: 60_000 } } },
      );
      expectHostFault(pull, 'engine-failed', explained);
      expect(pull.elapsedMs).to.be.below(atOnceMs);
      expect(asked().slice(before), 'blobs for nobody').to.deep.equal([]);
    }

    it('ends at once when there is no socket', async () => {
      await expectUnreachable(join(working.path, 'none.sock'), /there is no such socket; start the engine/);
    });

    it('ends at once when nobody listens on the socket', async () => {
      const path = join(working.path, 'dead.sock');
      const server = net.createServer().listen(path);
      await once(server, 'listening');
      // Closing it would take the file away; another name for it stays.
      await link(path, join(working.path, 'left.sock'));
      server.close();
      await once(server, 'close');
      await expectUnreachable(join(working.path, 'left.sock'), /nobody listens there; start the engine/);
    });

    it('ends at once when it may not open the socket', async () => {
      const { seteuid } = process;
      if (seteuid === undefined) throw new Error('the specs of daemons run on Linux');
      const nobody = 65_534;
      seteuid(nobody);
      try {
        await expectUnreachable(real.socketPath, /may not open the socket; run it as root or as a member of the group/);
      } finally {
        seteuid(0);
      }
    });
  });
}

function eventOf<Type extends PullEvent['type']>(
  events: readonly PullEvent[],
  type: Type,
): Extract<PullEvent, { readonly type: Type }> | undefined {
  return events.find((event): event is Extract<PullEvent, { readonly type: Type }> => event.type === type);
}
