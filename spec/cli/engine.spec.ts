import { expect } from 'chai';
import type { DrillEvent } from '../../lib/drill/drill-event.js';
import type { DrillOutcome } from '../../lib/drill/judge.js';
import type { PullEvent } from '../../lib/events/pull-event.js';
import { layers } from '../../lib/testing/fault-groups.js';
import {
  startRegistryDouble,
  type RegistryDouble,
  type RegistryDoubleOptions,
} from '../../lib/testing/registry-double.js';
import { seededImage } from '../../lib/testing/seeded-image.js';
import type { PullReport } from '../../lib/vocabulary/report.js';
import { createContainerFrom, engineKinds } from '../routes/load/support/load-rig.js';
import { type RealEngine, removeImages } from '../support/real-engine.js';
import { until } from '../support/until.js';
import { type Ended, noEngine, runCommand, runHere, startCommand, useDesk } from './support/command-line.js';

const image = seededImage({ bytes: [900_000, 300_000, 40_000], seed: 'cli into an engine' });

/** What a drill prints, of which a pull prints a part. */
type Printed = DrillEvent | (DrillOutcome & { readonly type: 'summary'; readonly report?: PullReport });

function linesOf({ stdout }: Ended): readonly Printed[] {
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Printed);
}

async function contentOf({ docker }: RealEngine): Promise<readonly string[]> {
  const containers = await docker.listContainers({ all: true });
  const images = await docker.listImages({ all: true });
  return [...containers.map(({ Id: id }) => id), ...images.map(({ Id: id }) => id)];
}

for (const kind of [engineKinds.installed, engineKinds.podman]) {
  describe(`pull-failover pull into ${kind.title}`, function () {
    this.timeout(60_000);
    kind.require();
    const desk = useDesk();
    let real: RealEngine;
    let doubles: RegistryDouble[] = [];
    before(async () => {
      real = await kind.start();
    });
    after(async () => {
      await real?.close();
    });
    afterEach(async () => {
      await Promise.all(doubles.map((double) => double.close()));
      doubles = [];
      await removeImages(real);
    });
    async function start(options: RegistryDoubleOptions = {}): Promise<RegistryDouble> {
      const double = await startRegistryDouble({ images: { 'team/app:1.2': image }, ...options });
      doubles.push(double);
      return double;
    }
    const nameAt = ({ host }: RegistryDouble): string => `${host}/team/app:1.2`;
    const argumentsFor = (...registries: readonly RegistryDouble[]): readonly string[] => [
      'pull',
      ...registries.slice(0, 1).map(nameAt),
      ...registries.flatMap(({ host }) => ['--registry', `${host}/team`]),
      ...['--platform', 'linux/amd64', '--stall-ms', '600', '--first-byte-ms', '600'],
    ];
    const engine = (): readonly string[] => ['--docker-host', `unix://${real.socketPath}`];

    it('goes where Docker’s own client would, through the outage, and says by which route and why', async () => {
      const [first, second] = [await start({ faults: [layers.stall({ afterShare: 0.4 })] }), await start()];
      const env = { ...desk.env, DOCKER_HOST: `unix://${real.socketPath}` };
      const { exitCode, stdout, stderr } = await runCommand(argumentsFor(first, second), env);
      expect({ exitCode, stderr }).to.deep.equal({ exitCode: 0, stderr: '' });
      expect(stdout).to.match(/^ {2}by relay: the daemon reaches /m);
      expect(stdout).to.match(new RegExp(`failed over layers from ${first.host}/team to ${second.host}/team`));
      expect(stdout.trimEnd().split('\n').at(-1)).to.equal(`  ${nameAt(first)}`);
      await createContainerFrom(real.docker, nameAt(first));
      for (const { Id: id } of await real.docker.listContainers({ all: true })) {
        await real.docker.getContainer(id).remove({ force: true });
      }
    });

    it('goes by the route that is asked for', async () => {
      const only = await start();
      const ended = await runHere([...argumentsFor(only), ...engine(), '--route', 'load', '--json']);
      expect(ended.exitCode).to.equal(0);
      const summary = linesOf(ended).at(-1);
      expect(summary?.type === 'summary' && summary.report).to.include({ route: 'load', reference: nameAt(only) });
      expect(await real.docker.getImage(nameAt(only)).inspect()).to.include.keys('Id');
    });

    it('ends with 130 when it is interrupted, and leaves nothing of its own in the engine', async () => {
      const slow = await start({ bandwidth: { totalBytesPerSecond: 200_000 } });
      const pull = startCommand([...argumentsFor(slow), ...engine(), '--json'], desk.env);
      await until(() => slow.bytesSent > 60_000);
      pull.child.kill('SIGINT');
      const ended = await pull.ended;
      expect(ended.exitCode, ended.stderr).to.equal(130);
      expect(linesOf(ended).map(({ type }) => type)).to.include('pull:aborted');
      expect(await contentOf(real)).to.deep.equal([]);
    });

    it('makes do with what the engine has under --pull-policy never', async () => {
      const only = await start();
      await runHere([...argumentsFor(only), ...engine()]);
      const requests = only.requests.length;
      const { exitCode, stdout } = await runHere([...argumentsFor(only), ...engine(), '--pull-policy', 'never']);
      expect(exitCode).to.equal(0);
      expect(stdout).to.include('served from the cache');
      expect(only.requests).to.have.length(requests);
    });
  });
}

describe('pull-failover pull without an engine', () => {
  it('fails with 1, says where it looked, and asks no registry for layers', async () => {
    const double = await startRegistryDouble({ images: { 'team/app:1.2': image } });
    try {
      const { exitCode, stderr } = await runHere(['pull', `${double.host}/team/app:1.2`]);
      expect(exitCode).to.equal(1);
      expect(stderr).to.include(noEngine.slice('unix://'.length));
      expect(stderr.trimEnd().split('\n')).to.have.length(1);
      expect(double.requests.filter(({ kind }) => kind === 'blob')).to.deep.equal([]);
    } finally {
      await double.close();
    }
  });
});

describe('pull-failover drill with an engine', function () {
  this.timeout(120_000);
  engineKinds.installed.require();
  const desk = useDesk();
  let real: RealEngine;
  before(async () => {
    real = await engineKinds.installed.start();
  });
  after(async () => {
    await real?.close();
  });
  afterEach(async () => {
    expect(await contentOf(real)).to.deep.equal([]);
  });

  it('pulls a real database through the outage, starts it, asks it, and removes it', async () => {
    const env = { ...desk.env, DOCKER_HOST: `unix://${real.socketPath}` };
    const ended = await runCommand(['drill', '--json'], env);
    expect({ exitCode: ended.exitCode, stderr: ended.stderr }).to.deep.equal({ exitCode: 0, stderr: '' });
    const printed = linesOf(ended);
    const found = printed.find((event) => event.type === 'drill:engine-found');
    expect(found?.engine).to.include(real.socketPath);
    const answered = printed.find((event) => event.type === 'drill:database-answered');
    expect(answered?.answer).to.match(/PONG/);
    const pull = printed.find(
      (event) => event.type === 'pull:succeeded' && event.operation?.id === answered?.operation,
    ) as Extract<PullEvent, { type: 'pull:succeeded' }> | undefined;
    expect(pull?.report.route).to.equal('relay');
    expect(pull?.report.failovers.map(({ phase }) => phase)).to.include('layers');
    expect(pull?.report.served).to.have.length(2);
    const summary = printed.at(-1);
    if (summary?.type !== 'summary') throw new Error('the last line is no summary');
    expect({ ok: summary.ok, problems: summary.problems }).to.deep.equal({ ok: true, problems: [] });
    expect(summary.databases).to.have.length(1);
    expect(summary.numbers.at(-1)).to.include({ what: 'databases that answer a PING', inDrill: '1 of 1' });
    for (const { agrees } of summary.transfers) expect(agrees).to.equal(true);
  });

  it('leaves nothing in it when it is interrupted in the middle of that', async () => {
    const drill = startCommand(['drill', '--docker-host', `unix://${real.socketPath}`], desk.env);
    await drill.untilPrinted(/op-879 +failed over/);
    drill.child.kill('SIGINT');
    const ended = await drill.ended;
    expect(ended.exitCode).to.equal(130);
    expect(ended.stderr).to.equal('');
  });

  it('puts nothing into it with --no-docker, and says that a database was not started', async () => {
    const args = ['drill', '--no-docker', '--docker-host', `unix://${real.socketPath}`];
    const drill = startCommand(args, desk.env);
    await drill.untilPrinted(/docker +is not there: no database is started/);
    drill.child.kill('SIGINT');
    expect((await drill.ended).exitCode).to.equal(130);
  });
});
