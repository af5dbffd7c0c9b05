import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect } from 'chai';
import { verifyImage } from '../../lib/drill/verify-layout.js';
import type { PullEvent } from '../../lib/events/pull-event.js';
import { layers, metadata } from '../../lib/testing/fault-groups.js';
import {
  type RegistryDouble,
  type RegistryDoubleOptions,
  startRegistryDouble,
} from '../../lib/testing/registry-double.js';
import { seededImage } from '../../lib/testing/seeded-image.js';
import type { PullReport } from '../../lib/vocabulary/report.js';
import { requireReal } from '../support/real-parts.js';
import {
  type Ended,
  runCommand,
  runHere,
  startCommand,
  startOnTerminal,
  terminalMaker,
  useDesk,
} from './support/command-line.js';

interface Summary {
  readonly type: 'summary';
  readonly ok: boolean;
  readonly report?: PullReport;
  readonly error?: Readonly<Record<string, unknown>>;
}

const image = seededImage({ bytes: [900_000, 300_000, 40_000], seed: 'cli' });
const limits = ['--stall-ms', '600', '--first-byte-ms', '600', '--request-ms', '600', '--metadata-ms', '1200'];

describe('pull-failover pull', function () {
  this.timeout(60_000);
  const desk = useDesk();
  let doubles: RegistryDouble[] = [];
  afterEach(async () => {
    await Promise.all(doubles.map((double) => double.close()));
    doubles = [];
  });

  async function start(options: RegistryDoubleOptions = {}): Promise<RegistryDouble> {
    const double = await startRegistryDouble({ images: { 'team/app:1.2': image }, ...options });
    doubles.push(double);
    return double;
  }
  const layout = (): string => join(desk.directory, 'images');
  const nameAt = (double: RegistryDouble): string => `${double.host}/team/app:1.2`;
  const argumentsFor = (...registries: readonly RegistryDouble[]): readonly string[] => [
    'pull',
    ...registries.slice(0, 1).map(nameAt),
    ...registries.flatMap((double) => ['--registry', `${double.host}/team`]),
    '--to',
    layout(),
    '--platform',
    'linux/amd64',
    ...limits,
  ];
  async function expectWhole(name: string): Promise<void> {
    const found = await verifyImage(layout(), { host: '', name, image: name, expected: image });
    expect(found.problems).to.deep.equal([]);
  }
  const linesOf = ({ stdout }: Ended): readonly (PullEvent | Summary)[] =>
    stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as PullEvent | Summary);
  const summaryOf = (ended: Ended): Summary => {
    const last = linesOf(ended).at(-1);
    if (last?.type !== 'summary') throw new Error(`the last line is no summary: ${ended.stdout}${ended.stderr}`);
    return last;
  };

  it('brings an image from the first registry, and asks no other', async () => {
    const [first, second] = [await start(), await start()];
    const { exitCode, stdout, stderr } = await runCommand(argumentsFor(first, second), desk.env);
    expect({ exitCode, stderr }).to.deep.equal({ exitCode: 0, stderr: '' });
    expect(stdout)
      .to.include(image.digest)
      .and.include(`oci:${layout()}:${nameAt(first)}`);
    expect(second.connections).to.equal(0);
    await expectWhole(nameAt(first));
  });

  it('goes on from the next registry when layers stall, and tells it on one line', async () => {
    const [first, second] = [await start({ faults: [layers.stall({ afterShare: 0.4 })] }), await start()];
    const { exitCode, stdout } = await runCommand(argumentsFor(first, second), desk.env);
    expect(exitCode).to.equal(0);
    expect(stdout).to.match(
      new RegExp(`failed over layers from ${first.host}/team to ${second.host}/team.*layers\\.stallMs`),
    );
    expect(first.bytesSent + second.bytesSent).to.be.lessThan(image.blobBytes * 1.05 + 10_000);
    await expectWhole(nameAt(first));
  });

  it('prints every event and a summary with --json', async () => {
    const [first, second] = [await start({ faults: [layers.reset({ afterShare: 0.5 })] }), await start()];
    const ended = await runCommand([...argumentsFor(first, second), '--json'], desk.env);
    expect(ended.exitCode).to.equal(0);
    const types = linesOf(ended).map(({ type }) => type);
    expect(types[0]).to.equal('pull:started');
    expect(types).to.include.members(['pull:planned', 'pull:failed-over', 'pull:progressed', 'pull:succeeded']);
    expect(summaryOf(ended)).to.deep.include({ type: 'summary', ok: true });
    expect(summaryOf(ended).report).to.deep.include({ digest: image.digest, image: nameAt(first) });
  });

  it('fails with 1 and one sentence that an operator would write, without a stack', async () => {
    const [first, second] = [
      await start({ faults: [layers.status(503)] }),
      await start({ faults: [metadata.missing(), layers.missing()] }),
    ];
    const { exitCode, stderr } = await runCommand(argumentsFor(first, second), desk.env);
    expect(exitCode).to.equal(1);
    expect(stderr).to.match(/^error: No registry could serve /);
    expect(stderr).to.include(`${first.host}/team`).and.include(`${second.host}/team`);
    expect(stderr.trimEnd().split('\n')).to.have.length(1);
    expect(stderr).to.not.match(/\bat .*\.(?:ts|js):\d+/);
  });

  it('says in its summary what failed, and whether to ask again', async () => {
    const only = await start({ faults: [metadata.missing()] });
    const ended = await runCommand([...argumentsFor(only), '--json'], desk.env);
    expect(ended.exitCode).to.equal(1);
    const { ok, error } = summaryOf(ended);
    expect(ok).to.equal(false);
    expect(error).to.include({ name: 'PullExhaustedError', code: 'ERR_PULL_EXHAUSTED', retryable: false });
    expect(error?.['explanation']).to.match(/^No registry could serve /);
  });

  it('keeps what has arrived when it is interrupted, ends with 130, and goes on from there the next time', async () => {
    const slow = await start({ bandwidth: { totalBytesPerSecond: 400_000 } });
    const pull = startCommand([...argumentsFor(slow), '--json'], desk.env);
    await pull.untilPrinted(/"doneBytes":[1-9]\d{4}/);
    pull.child.kill('SIGINT');
    const interrupted = await pull.ended;
    expect(interrupted.exitCode).to.equal(130);
    expect(interrupted.stderr).to.equal('');
    expect(linesOf(interrupted).map(({ type }) => type)).to.include('pull:aborted');

    const again = await runCommand([...argumentsFor(slow), '--json'], desk.env);
    expect(again.exitCode).to.equal(0);
    const { bytes } = summaryOf(again).report ?? {};
    expect((bytes?.kept ?? 0) + (bytes?.local ?? 0)).to.be.greaterThan(0);
    await expectWhole(nameAt(slow));
  });

  it('ends at --deadline-ms with 1 and says so', async () => {
    const stalled = await start({ faults: [metadata.noHeaders()] });
    const args = ['pull', nameAt(stalled), '--to', layout(), '--deadline-ms', '300'];
    const { exitCode, stderr } = await runHere(args);
    expect(exitCode).to.equal(1);
    expect(stderr).to.match(/given up after 300 ms \(deadlineMs\)/);
  });

  it('waits for a registry with --wait-ms, and goes on when it is well', async () => {
    const ill = await start({ faults: [metadata.status(503)] });
    const pull = startCommand([...argumentsFor(ill), '--wait-ms', '3000'], desk.env);
    await pull.untilPrinted('parked until a registry can serve it');
    await ill.setFaults([]);
    const { exitCode, stdout } = await pull.ended;
    expect(exitCode).to.equal(0);
    expect(stdout).to.match(/goes on after \d/);
    await expectWhole(nameAt(ill));
  });

  it('makes do with what the layout has under --use-cached and --pull-policy never', async () => {
    const double = await start();
    await runHere(argumentsFor(double));
    await double.setFaults([metadata.status(503), layers.status(503)]);
    const requests = double.requests.length;
    const never = await runHere([...argumentsFor(double), '--pull-policy', 'never']);
    expect(never.exitCode).to.equal(0);
    expect(double.requests).to.have.length(requests);
    const cached = await runHere([...argumentsFor(double), '--use-cached']);
    expect(cached.exitCode).to.equal(0);
    expect(cached.stdout).to.include('served from the cache');
  });

  it('says so when the image is below none of the registries given', async () => {
    const [own, other] = [await start(), await start()];
    const args = [
      'pull',
      nameAt(own),
      '--to',
      layout(),
      '--platform',
      'linux/amd64',
      '--registry',
      `${other.host}/team`,
    ];
    const { exitCode, stdout } = await runHere(args);
    expect(exitCode).to.equal(0);
    expect(stdout).to.include(`${own.host} alone: it is below none of the registries given`);
    expect(other.connections).to.equal(0);
  });

  it('remembers digests in --state-dir', async () => {
    const double = await start();
    const state = join(desk.directory, 'state');
    await runHere([...argumentsFor(double), '--state-dir', state]);
    const { exitCode, stdout } = await runHere([
      'explain',
      nameAt(double),
      '--registry',
      `${double.host}/team`,
      '--state-dir',
      state,
    ]);
    expect(exitCode).to.equal(0);
    expect(stdout).to.include(`remembered: ${image.digest}`);
    expect(await readdir(state)).to.not.be.empty;
  });

  it('shows nothing a terminal would obey of what a registry says', async () => {
    const body = JSON.stringify({
      errors: [{ code: 'UNKNOWN', message: 'gone \u001b[2J\u001b]0;owned\u0007\u202eevil' }],
    });
    const rude = await start({ faults: [metadata.status(500, { body, contentType: 'application/json' })] });
    const { exitCode, stdout, stderr } = await runHere(argumentsFor(rude));
    expect(exitCode).to.equal(1);
    // oxlint-disable-next-line no-control-regex
    expect(stdout + stderr).to.not.match(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
  });

  describe('with a configuration file', () => {
    const secret = 'correct-horse-battery';
    const startPrivate = (): Promise<RegistryDouble> => start({ auth: { kind: 'basic', users: { ann: secret } } });
    async function writeConfig(name: string, text: string): Promise<string> {
      const path = join(desk.directory, name);
      await writeFile(path, text);
      return path;
    }
    const describing = (double: RegistryDouble): object => ({
      prefix: `${double.host}/team`,
      credentials: { username: 'ann', password: secret },
    });

    it('takes registries and credentials from JSON, and shows no credential anywhere', async () => {
      const double = await startPrivate();
      const config = await writeConfig(
        'config.json',
        JSON.stringify({ registries: [describing(double)], platform: 'linux/amd64' }),
      );
      const ended = await runCommand(['pull', nameAt(double), '--to', layout(), '--config', config, '--json'], {
        ...desk.env,
        DEBUG: 'pull-failover:*',
      });
      expect(ended.exitCode).to.equal(0);
      expect(ended.stdout + ended.stderr).to.not.include(secret);
      await expectWhole(nameAt(double));
    });

    it('lets flags decide the order, and the file say how each of them is spoken to', async () => {
      const [first, second] = [await start(), await startPrivate()];
      const config = await writeConfig(
        'config.json',
        JSON.stringify({ registries: [`${first.host}/team`, describing(second)], deadlineMs: 60_000 }),
      );
      const { exitCode } = await runHere([...argumentsFor(second, first), '--config', config]);
      expect(exitCode).to.equal(0);
      expect(first.connections).to.equal(0);
      expect(second.violations).to.deep.equal([]);
    });

    it('finds what the file says of a registry in its replica sets too', async () => {
      const double = await startPrivate();
      const sets = [{ name: 'ours', registries: [describing(double)] }];
      const config = await writeConfig('config.json', JSON.stringify({ replicaSets: sets }));
      const { exitCode, stderr } = await runHere([...argumentsFor(double), '--config', config]);
      expect({ exitCode, stderr }).to.deep.equal({ exitCode: 0, stderr: '' });
    });

    it('lets a limit on the command line win over the file, also over the one for the kind', async () => {
      const [first, second] = [await start({ faults: [layers.stall({ afterShare: 0.4 })] }), await start()];
      const timeouts = { layers: { stallMs: 60_000, windowMs: 60_000 }, lastCandidate: { stallMs: 60_000 } };
      // Else the replica overtakes it before any limit expires.
      const transfer = { hedge: { layersMs: 60_000 } };
      const operations = { database: { timeouts } };
      const config = await writeConfig('config.json', JSON.stringify({ operations, transfer }));
      const args = [...argumentsFor(first, second), '--config', config, '--operation', 'database'];
      const { exitCode, stdout } = await runHere(args);
      expect(exitCode).to.equal(0);
      expect(stdout).to.include('600 ms (layers.stallMs)');
    });

    it('takes an ES module, which may make the engine', async () => {
      const double = await start();
      const index = pathToFileURL(join(import.meta.dirname, '../../lib/index.ts')).href;
      const config = await writeConfig(
        'config.mjs',
        `import { ociLayout } from '${index}';
         export default { engine: ociLayout(${JSON.stringify(layout())}), platform: 'linux/amd64' };`,
      );
      const { exitCode, stderr } = await runCommand(['pull', nameAt(double), '--config', config], desk.env);
      expect({ exitCode, stderr }).to.deep.equal({ exitCode: 0, stderr: '' });
      await expectWhole(nameAt(double));
    });

    for (const [what, name, text, problem] of [
      ['is not JSON', 'broken.json', `{\n "password": "${secret}", oops }`, /is not JSON/],
      ['holds no object', 'list.json', '[]', /must hold an object/],
      ['has no default export', 'empty.mjs', 'export const options = {};', /has no default export/],
      ['cannot be imported', 'broken.mjs', 'throw new Error("not today");', /cannot be imported \(Error: not today\)/],
      ['has an option that is unknown', 'unknown.json', '{"registrys":[]}', /Option registrys is unknown/],
    ] as const) {
      it(`refuses a file that ${what}, with 2 and without repeating what is in it`, async () => {
        const config = await writeConfig(name, text);
        const { exitCode, stderr } = await runHere(['pull', 'quay.io/team/app', '--to', layout(), '--config', config]);
        expect(exitCode).to.equal(2);
        expect(stderr).to.match(problem).and.not.include(secret);
      });
    }

    it('refuses a file that is not there', async () => {
      const { exitCode, stderr } = await runHere(['explain', 'redis', '--config', join(desk.directory, 'none.json')]);
      expect({ exitCode, stderr }).to.deep.include({ exitCode: 2 });
      expect(stderr).to.match(/none\.json: cannot be read \(ENOENT\)/);
    });
  });

  describe('on a terminal', () => {
    requireReal(terminalMaker, 'Debian: bsdutils');

    it('shows a bar for the whole and one for each layer on its way, and gives the terminal back', async () => {
      const slow = await start({ bandwidth: { totalBytesPerSecond: 600_000 } });
      const { exitCode, stdout } = await startOnTerminal(argumentsFor(slow), desk.env).ended;
      expect(exitCode).to.equal(0);
      expect(stdout).to.match(/ all +█+░+ +\d+ % {2}\S+ k?B of 1\.2 MB, /);
      expect(stdout).to.match(/sha256:[0-9a-f]{12} +█+░+ +\d+ %/);
      expect(stdout.lastIndexOf('\u001b[?25h')).to.be.greaterThan(stdout.lastIndexOf('\u001b[?25l'));
    });
  });

  it('writes an index that names the image as it was asked for', async () => {
    const double = await start();
    await runHere(argumentsFor(double));
    expect(await readFile(join(layout(), 'index.json'), 'utf8')).to.include(nameAt(double));
  });
});
