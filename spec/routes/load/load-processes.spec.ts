import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { type DockerEngine, dockerParts } from '../../../lib/engine/docker/docker-engine.js';
import { sweepLeftovers } from '../../../lib/routes/relay/leftovers.js';
import { type RegistryDouble, seededImage, startRegistryDouble } from '../../../lib/testing/index.js';
import { closeHeartRigs, openHeartRig } from '../../failover/support/heart-rig.js';
import type { RealEngine } from '../../support/real-engine.js';
import { until } from '../../support/until.js';
import { createContainerFrom, engineKinds, engineOf, namesIn, startLoad, usualReference } from './support/load-rig.js';

const program = fileURLToPath(new URL('support/load-process.ts', import.meta.url));
const never = new AbortController().signal;

/** Where in a load of about a second its process is killed, in milliseconds. */
const moments: readonly number[] = [0, 200, 450, 650, 750, 900];

for (const kind of [engineKinds.installed, engineKinds.nextContainerd, engineKinds.podman]) {
  describe(`a process that is killed while it loads into ${kind.title}`, function () {
    this.timeout(150_000);
    kind.require();
    let real: RealEngine;
    let engine: DockerEngine;
    let registry: RegistryDouble;
    const image = seededImage({ layers: 3, bytes: 4_000_000, seed: 'killed process' });
    before(async () => {
      real = await kind.start();
      engine = engineOf(real);
      registry = await startRegistryDouble({
        images: { 'team/app:1': image },
        bandwidth: { totalBytesPerSecond: 16_000_000 },
      });
    });
    after(async () => {
      await registry?.close();
      await engine?.close();
      await real?.close();
    });
    afterEach(closeHeartRigs);

    /** Runs a load and kills it so much later, or lets it end. */
    async function killAfter(ms: number): Promise<void> {
      const child = spawn(process.execPath, ['--import', 'tsx', program, real.socketPath, registry.host], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const closed = once(child, 'close');
      const lines = createInterface({ input: child.stdout });
      const [line] = (await once(lines, 'line')) as [string];
      expect(line).to.equal('begun');
      await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, ms))]);
      child.kill('SIGKILL');
      await closed;
    }

    it('leaves nothing that is not swept, and an engine that takes the image', async () => {
      const before = readdirSync(tmpdir()).filter((name) => /^pull-failover-[0-9a-f]{8}-/.test(name));
      const { daemon } = dockerParts(engine);
      let interrupted = 0;
      for (const ms of moments) {
        await killAfter(ms);
        // Docker's classic store may be unpacking what a dead process sent.
        const imports = (): readonly string[] =>
          real.store === 'graph'
            ? readdirSync(`${real.dataRoot}/tmp`).filter((name) => name.startsWith('docker-import'))
            : [];
        await until(() => imports().length === 0, 'the engine imports nothing');
        await sweepLeftovers(daemon, never);
        const names = await namesIn(real.docker);
        expect(
          names.filter((name) => name !== usualReference),
          `killed after ${ms} ms`,
        ).to.deep.equal([]);
        if (names.length === 0) interrupted += 1;
        else await createContainerFrom(real.docker, usualReference);

        const rig = await openHeartRig({ image, registries: [[]] });
        const { imageId } = await (await startLoad(engine, rig.openPull())).whole();
        expect((await real.docker.getImage(usualReference).inspect()).Id).to.equal(imageId);
        await createContainerFrom(real.docker, usualReference);
        await real.docker.getImage(usualReference).remove({ force: true });
        expect(await real.docker.listImages({ all: true })).to.deep.equal([]);
      }
      expect(interrupted, 'some were killed in the middle').to.be.above(1);
      const after = readdirSync(tmpdir()).filter((name) => /^pull-failover-[0-9a-f]{8}-/.test(name));
      expect(after).to.deep.equal(before);
    });
  });
}
