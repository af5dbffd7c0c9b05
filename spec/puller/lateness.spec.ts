import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect } from 'chai';
import { ociLayout } from '../../lib/engine/layout/oci-layout.js';
import type { RegistryDouble } from '../../lib/testing/registry-double.js';
import { seededImage } from '../../lib/testing/seeded-image.js';
import type { LateOrder, LateOutcome } from './late-process.js';
import { expectWhole, usePullRig } from './pull-rig.js';
import { until } from '../support/until.js';

const shortLimits = {
  metadata: { requestMs: 1_000, totalMs: 2_000 },
  layers: { firstByteMs: 1_000, stallMs: 1_000, windowMs: 2_000 },
  lastCandidate: { firstByteMs: 1_000, stallMs: 1_000 },
};

/** The registries are in this process, the pulls in another one: it alone is late. */
describe('a process that is late itself', () => {
  const rig = usePullRig();
  const children: ChildProcess[] = [];

  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
  });

  function start(order: LateOrder): { readonly child: ChildProcess; lines(): readonly string[] } {
    const script = new URL('late-process.ts', import.meta.url).pathname;
    const child = spawn(process.execPath, ['--import=tsx', script, JSON.stringify(order)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.push(child);
    let text = '';
    child.stdout?.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    return { child, lines: () => text.split('\n').filter((line) => line !== '') };
  }

  async function outcomeOf({ child, lines }: ReturnType<typeof start>): Promise<LateOutcome> {
    if (child.exitCode === null) await once(child, 'close');
    expect(child.exitCode).to.equal(0);
    return JSON.parse(lines().at(-1) ?? '') as LateOutcome;
  }

  const nothingAmiss: LateOutcome = { attempts: [], failovers: 0, circuits: [], errors: [] };

  async function slowPair(image = seededImage({ layers: 3, bytes: 400_000, seed: 'late' })): Promise<{
    readonly name: string;
    readonly healthy: RegistryDouble;
    readonly replica: RegistryDouble;
    readonly order: LateOrder;
    readonly image: typeof image;
  }> {
    const images = { 'team/app:1': image };
    const healthy = await rig.registry({ images, bandwidth: { totalBytesPerSecond: 600_000 } });
    const replica = await rig.registry({ images });
    const name = `${healthy.host}/team/app:1`;
    const order = {
      directory: rig.engine().directory,
      registries: [`${healthy.host}/team`, `${replica.host}/team`],
      images: [name],
      timeouts: shortLimits,
    };
    return { name, healthy, replica, order, image };
  }

  it('blames no registry for an event loop that was blocked for twice the stall limit, twice', async function () {
    this.timeout(60_000);
    const { name, replica, order, image } = await slowPair();
    expect(await outcomeOf(start({ ...order, blockMs: 2_000 }))).to.deep.equal(nothingAmiss);
    expect(replica.requests).to.deep.equal([]);
    await expectWhole(ociLayout(order.directory), name, image);
  });

  it('blames no registry for the time it was stopped', async function () {
    this.timeout(90_000);
    const { name, replica, healthy, order, image } = await slowPair();
    const started = start(order);
    await until(
      () => healthy.requests.some(({ kind, bytesSent }) => kind === 'blob' && bytesSent > 50_000),
      'layers arrive',
    );
    started.child.kill('SIGSTOP');
    await new Promise((resolve) => setTimeout(resolve, 6_000));
    started.child.kill('SIGCONT');
    expect(await outcomeOf(started)).to.deep.equal(nothingAmiss);
    expect(replica.requests).to.deep.equal([]);
    await expectWhole(ociLayout(order.directory), name, image);
  });

  it('blames no registry for 50 pulls of 10 layers each at once', async function () {
    this.timeout(120_000);
    const names = Array.from({ length: 50 }, (_, n) => `team/app:${n}`);
    const images = Object.fromEntries(
      names.map((name) => [name, seededImage({ layers: 10, bytes: 8_000, seed: `many ${name}` })]),
    );
    const healthy = await rig.registry({ images });
    const replica = await rig.registry({ images });
    const outcome = await outcomeOf(
      start({
        directory: rig.engine().directory,
        registries: [`${healthy.host}/team`, `${replica.host}/team`],
        images: names.map((name) => `${healthy.host}/${name}`),
      }),
    );
    expect(outcome).to.deep.equal(nothingAmiss);
    expect(replica.requests).to.deep.equal([]);
    const engine = ociLayout(rig.engine().directory);
    for (const name of names.slice(0, 5)) {
      const image = images[name];
      if (image !== undefined) await expectWhole(engine, `${healthy.host}/${name}`, image);
    }
    expect(await engine.listImages()).to.have.length(50);
  });
});
