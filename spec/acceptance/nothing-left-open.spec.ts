import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import type { PullerOptions, RegistryOptions } from '../../lib/index.js';
import { connection, type Fault, layers, metadata, seededImage } from '../../lib/testing/index.js';
import { registryUser, requireDockerRegistry } from '../support/docker-registry.js';
import { strayFiles } from './support/layout-on-disk.js';
import { basicHeader, type ProxiedRegistry, startProxiedRegistry, team } from './support/proxied-registry.js';
import { isEvent, isLine, type PullChild, type PullOrder, startPullChild } from './support/pull-child.js';
import { useWorkingDirectory } from './support/working-directory.js';

/** From the end of `close()` to that of a process with nothing else to do. */
const exitMs = 1_000;

const image = seededImage({ layers: 4, bytes: 500_000, seed: 'nothing left' });
const bandwidth = { totalBytesPerSecond: 4e6 };

interface Scenario {
  readonly title: string;
  readonly first?: readonly Fault[];
  readonly second?: readonly Fault[];
  readonly options?: Partial<PullerOptions>;
  readonly end?: PullOrder['end'];
  /** What must have happened, for the title to be true. */
  readonly proof: Parameters<typeof isEvent>[0];
}

const scenarios: readonly Scenario[] = [
  { title: 'after a pull that went well', proof: 'pull:succeeded' },
  { title: 'after pulls were aborted', end: { on: 'pull:progressed', how: 'abort' }, proof: 'pull:aborted' },
  { title: 'closed under its pulls', end: { on: 'pull:progressed', how: 'close' }, proof: 'pull:failed' },
  {
    title: 'after a registry was overtaken by a hedge, its request still open',
    first: [metadata.noHeaders()],
    options: { transfer: { hedge: { metadataMs: 100, budget: 1 } } },
    proof: 'pull:failed-over',
  },
  {
    title: 'closed while pulls are parked',
    first: [connection.refuse()],
    second: [connection.refuse()],
    options: { whenExhausted: { waitMs: 600_000 } },
    end: { on: 'pull:parked', how: 'close' },
    proof: 'pull:parked',
  },
  {
    title: 'closed while a registry accepts connections and says nothing',
    first: [connection.blackhole()],
    end: { on: 'phase:started', how: 'close' },
    proof: 'pull:failed',
  },
  {
    title: 'aborted while a blob stands still',
    first: [layers.stall({ afterShare: 0.1 })],
    second: [layers.noHeaders()],
    options: { timeouts: { layers: { stallMs: 500, firstByteMs: 60_000 } } },
    end: { on: 'registry:failed', how: 'abort' },
    proof: 'pull:aborted',
  },
];

describe('A process whose puller was closed', function () {
  this.timeout(60_000);
  requireDockerRegistry();
  const working = useWorkingDirectory();
  let first: ProxiedRegistry;
  let second: ProxiedRegistry;
  const children: PullChild[] = [];

  before(async () => {
    [first, second] = await Promise.all([
      startProxiedRegistry({ bandwidth, auth: 'htpasswd', redirects: true }),
      startProxiedRegistry({ bandwidth }),
    ]);
    await Promise.all([first, second].map((registry) => registry.push('app:1.0', image)));
  });

  afterEach(async () => {
    await Promise.all(children.splice(0).map((child) => child.kill()));
  });

  after(async () => {
    await Promise.all([first?.close(), second?.close()]);
  });

  function start(order: Partial<PullOrder>, env: Readonly<Record<string, string>> = {}): PullChild {
    const child = startPullChild(
      {
        puller: { registries: [first.option, second.option] },
        pulls: [{ image: `${first.host}/${team}/app:1.0`, directory: join(working.path, 'images') }],
        ...order,
      },
      env,
    );
    children.push(child);
    return child;
  }

  for (const { title, first: atFirst = [], second: atSecond = [], options = {}, end, proof } of scenarios) {
    it(`ends by itself ${title}`, async () => {
      await Promise.all([first.setFaults(atFirst), second.setFaults(atSecond)]);
      const child = start({
        puller: { registries: [first.option, second.option], ...options },
        ...(end === undefined ? {} : { end }),
      });
      const { connections } = await child.until(isLine('closed'));
      const closedAtMs = performance.now();
      expect(connections, 'open connections').to.equal(0);
      expect((await child.ended()).atMs - closedAtMs, 'milliseconds until it ended').to.be.at.most(exitMs);
      expect(child.lines.filter(isEvent(proof)), `${proof} happened`).to.not.deep.equal([]);
      expect(await strayFiles(join(working.path, 'images')), 'files beside kept partial blobs').to.deep.equal([]);
    });
  }

  it('has told nobody its credentials, nor a signed URL: not in events, errors, reports, logs, nor to inspect', async () => {
    const { name: username, password } = registryUser;
    const wrongPassword = 'a-wrong-password-of-the-specs';
    const timeouts = { layers: { stallMs: 500, firstByteMs: 500 } };
    const dockerConfig = join(working.path, 'docker-config');
    await mkdir(dockerConfig);
    await writeFile(
      join(dockerConfig, 'config.json'),
      JSON.stringify({ auths: { [first.host]: { auth: basicHeader.replace('Basic ', '') } } }),
    );
    const runs: readonly { readonly registry: RegistryOptions; readonly outcome: 'report' | 'failed' }[] = [
      { registry: first.option, outcome: 'report' },
      { registry: { ...first.option, credentials: { username, password: wrongPassword } }, outcome: 'failed' },
      { registry: { prefix: first.option.prefix }, outcome: 'report' },
    ];
    const secrets = [
      password,
      wrongPassword,
      basicHeader.replace('Basic ', ''),
      Buffer.from(`${username}:${wrongPassword}`).toString('base64'),
    ];
    for (const [at, { registry, outcome }] of runs.entries()) {
      await first.setFaults([layers.stall({ afterShare: 0.3, times: 2 })]);
      const child = start(
        {
          puller: { registries: [registry], timeouts },
          pulls: [{ image: `${first.host}/${team}/app:1.0`, directory: join(working.path, `images-${at}`) }],
        },
        { DEBUG: 'pull-failover:*' },
      );
      await child.until(isLine(outcome));
      await child.ended();
      expect(child.output, 'the log').to.match(/pull-failover:\w+/);
      for (const secret of secrets) expect(child.output.includes(secret), `shows ${secret}`).to.equal(false);
      expect(child.output).to.not.match(/X-Amz-Signature=(?!\*\*\*)/i);
    }
  });
});
