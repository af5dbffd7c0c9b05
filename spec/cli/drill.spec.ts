import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import type { DrillEvent } from '../../lib/drill/drill-event.js';
import type { DrillOutcome } from '../../lib/drill/judge.js';
import { measure } from '../../lib/drill/measure.js';
import { compareWith2017 } from '../../lib/drill/numbers.js';
import type { PullEvent, PullEventOf, PullEventType } from '../../lib/events/pull-event.js';
import { monotonicMs } from '../../lib/clock/time.js';
import { requireReal } from '../support/real-parts.js';
import {
  deskEnvironment,
  type Ended,
  runCommand,
  startCommand,
  startOnTerminal,
  terminalMaker,
  useDesk,
} from './support/command-line.js';

type Printed = DrillEvent | (DrillOutcome & { readonly type: 'summary' });

const oneMinuteMs = 60_000;

describe('pull-failover drill', function () {
  this.timeout(120_000);

  describe('run to its end', () => {
    let directory = '';
    let asLines: Ended;
    let asJson: Ended;
    let tookMs = 0;
    let left: readonly string[] = [];
    let printed: readonly Printed[] = [];

    before(async () => {
      directory = await mkdtemp(join(tmpdir(), 'pull-failover-desk-'));
      const env = deskEnvironment(directory);
      const startedAtMs = monotonicMs();
      [asLines, asJson] = await Promise.all([runCommand(['drill'], env), runCommand(['drill', '--json'], env)]);
      tookMs = monotonicMs() - startedAtMs;
      left = (await readdir(directory)).filter((name) => name.startsWith('pull-failover-drill'));
      printed = asJson.stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as Printed);
    });
    after(async () => {
      await rm(directory, { recursive: true, force: true });
    });

    const pullEvents = (): readonly PullEvent[] =>
      printed.filter((event): event is PullEvent => !event.type.startsWith('drill:') && event.type !== 'summary');
    const named = <Name extends PullEventType>(name: Name): readonly PullEventOf<Name>[] =>
      pullEvents().filter((event): event is PullEventOf<Name> => event.type === name);
    const summary = (): DrillOutcome => {
      const last = printed.at(-1);
      if (last?.type !== 'summary') throw new Error('the last line is no summary');
      return last;
    };
    const started = (): Extract<DrillEvent, { type: 'drill:started' }> => {
      const [first] = printed;
      if (first?.type !== 'drill:started') throw new Error('the first line does not tell of the stage');
      return first;
    };
    const prefixOf = (name: string): string => started().standIns.find((each) => each.name === name)?.prefix ?? '';

    it('ends well in under a minute, says nothing on stderr, and leaves no file behind', () => {
      expect(asLines.stderr).to.equal('');
      expect(asJson.stderr).to.equal('');
      expect(asLines.exitCode).to.equal(0);
      expect(asJson.exitCode).to.equal(0);
      expect(tookMs).to.be.lessThan(oneMinuteMs);
      expect(left).to.deep.equal([]);
    });

    it('prints plain lines without a terminal: no colours, no bars, one line per event', () => {
      // oxlint-disable-next-line no-control-regex
      expect(asLines.stdout).to.not.match(/[\u0000-\u0009\u000b-\u001f]/);
      expect(asLines.stdout).to.not.include('█');
    });

    it('says what the names stand for', () => {
      for (const name of ['quay.io', 'docker.io']) {
        expect(asLines.stdout).to.match(new RegExp(`^  ${name} +is 127\\.0\\.0\\.1:\\d+/aptible here`, 'm'));
        expect(prefixOf(name)).to.match(/^127\.0\.0\.1:\d+\/aptible$/);
      }
    });

    it('has the words "failed over" in each line of the timeline that tells of a failover', () => {
      const lines = asLines.stdout.split('\n').filter((line) => line.includes(' from quay.io to docker.io'));
      expect(lines).to.have.length.greaterThan(2);
      for (const line of lines) expect(line).to.match(/^ +\+\d+\.\d s {2}op-\d+ {2}failed over (?:layers|metadata) /);
    });

    it('shows the clock of 2017 beside its own', () => {
      for (const clock of ['17:40', '18:20', '18:36', '18:46', '18:55', '19:07', '27 July']) {
        expect(asLines.stdout).to.match(new RegExp(`^${clock} +\\+\\d+\\.\\d s {2}\\S`, 'm'));
      }
    });

    it('replays both halves of the outage: layers fail over first, metadata later, and each opens its own circuit', () => {
      // What docker.io lacks goes back to quay.io, where it is asked last while its circuit is open.
      const missing = new Set(named('replica:missing').map(({ image }) => image));
      expect(missing.size).to.equal(2);
      const moves = named('pull:failed-over').filter(({ image }) => !missing.has(image));
      expect(new Set(moves.map(({ from, to }) => `${from} ${to}`))).to.deep.equal(
        new Set([`${prefixOf('quay.io')} ${prefixOf('docker.io')}`]),
      );
      const phases = named('pull:failed-over').map(({ phase }) => phase);
      expect(phases[0]).to.equal('layers');
      expect(phases).to.include('metadata');
      const opened = named('circuit:opened').map(({ registry, phase }) => `${registry} ${phase}`);
      expect(opened[0]).to.equal(`${prefixOf('quay.io')} layers`);
      expect(opened).to.include(`${prefixOf('quay.io')} metadata`);
      expect(opened.filter((circuit) => circuit.startsWith(prefixOf('docker.io')))).to.deep.equal([]);
    });

    it('goes on from the byte it had reached: both registries serve parts of the first database', () => {
      const redis = named('pull:succeeded').find(({ operation }) => operation?.id === 'op-871')?.report;
      expect(redis?.served.map(({ registry }) => registry)).to.have.members([
        prefixOf('quay.io'),
        prefixOf('docker.io'),
      ]);
      expect(redis?.bytes.fetched).to.equal(redis?.bytes.total);
    });

    it('leaves app deploys with cached layers on the registry whose metadata is well', () => {
      for (const id of ['op-875', 'op-876']) {
        const report = named('pull:succeeded').find(({ operation }) => operation?.id === id)?.report;
        expect(
          report?.served.map(({ registry }) => registry),
          id,
        ).to.deep.equal([prefixOf('quay.io')]);
        expect(report?.failovers, id).to.deep.equal([]);
      }
    });

    it('parks what was never replicated, and lets it go on when its registry is well again', () => {
      expect(new Set(named('replica:missing').map(({ image }) => image)).size).to.equal(2);
      for (const id of ['op-877', 'op-878']) {
        const own = pullEvents().filter((event) => 'operation' in event && event.operation?.id === id);
        const types = own.map(({ type }) => type);
        expect(types.indexOf('pull:parked'), id).to.be.greaterThan(0);
        expect(types.indexOf('pull:resumed'), id).to.be.greaterThan(types.indexOf('pull:parked'));
        expect(types.at(-1), id).to.equal('pull:succeeded');
      }
    });

    it('heals: every circuit that opened is closed at the end, and the last pull asks the first registry alone', () => {
      const states = new Map(
        pullEvents().flatMap((event) =>
          event.type.startsWith('circuit:') && 'phase' in event && 'registry' in event
            ? [[`${event.registry} ${event.phase}`, event.type] as const]
            : [],
        ),
      );
      expect([...states.values()]).to.deep.equal(['circuit:closed', 'circuit:closed']);
      const last = named('pull:succeeded').at(-1)?.report;
      expect(last?.served.map(({ registry }) => registry)).to.deep.equal([prefixOf('quay.io')]);
    });

    it('prints numbers that follow from the events it printed, and from nothing else', () => {
      const { numbers, images } = summary();
      const again = compareWith2017({
        ...measure(pullEvents()),
        healMs: 0,
        imagesRight: images.length,
        imagesRead: images.length,
        databasesAsked: 0,
        databasesAnswered: 0,
      });
      const withoutHealing = (rows: typeof numbers) => rows.filter(({ what }) => what !== 'back on the first registry');
      expect(withoutHealing(numbers)).to.deep.equal(withoutHealing(again));
      const rowOf = (what: string) => numbers.find((row) => row.what === what);
      const databases = named('pull:succeeded').filter(({ operation }) => operation?.kind === 'database').length;
      expect(rowOf('database operations failed')).to.deep.equal({
        what: 'database operations failed',
        in2017: '2',
        inDrill: `0 of ${databases}`,
      });
      expect(rowOf('app operations failed')?.in2017).to.equal('3');
      expect(rowOf('app operations failed')?.inDrill).to.match(/^0 of \d+$/);
      expect(rowOf('time to fail over')?.in2017).to.equal('26 min');
      expect(rowOf('time to fail over')?.inDrill).to.match(/^\d\.\d s at most$/);
    });

    it("agrees, registry by registry, with the registries' own logs on every byte", () => {
      const { transfers } = summary();
      expect(transfers.map(({ registry }) => registry)).to.deep.equal([prefixOf('quay.io'), prefixOf('docker.io')]);
      for (const { registry, sentBytes, arrivedBytes, agrees } of transfers) {
        const served = named('pull:succeeded').flatMap(({ report }) => report.served);
        const pulled = served.filter((each) => each.registry === registry).reduce((sum, { bytes }) => sum + bytes, 0);
        const looks = named('registry:probed').filter((each) => each.registry === registry);
        const told = pulled + looks.reduce((sum, { bytes }) => sum + bytes, 0);
        expect([sentBytes, arrivedBytes, agrees], registry).to.deep.equal([told, told, true]);
        expect(told, registry).to.be.greaterThan(1e6);
      }
      expect(asLines.stdout.match(/they agree/g)).to.have.length(2);
    });

    it('says plainly that no database was started, and how to have one', () => {
      const { databases, notRun } = summary();
      expect(databases).to.deep.equal([]);
      expect(notRun).to.match(/^no engine can be used at unix:.*: start Docker or Podman there, or set DOCKER_HOST$/);
      expect(asLines.stdout).to.include(`! Not run: ${notRun}`);
      expect(summary().numbers.at(-1)).to.deep.equal({
        what: 'databases that answer a PING',
        in2017: null,
        inDrill: 'no engine here',
      });
    });

    it('reads every image back from disk and finds it whole', () => {
      const { images, operations, problems, ok } = summary();
      expect({ ok, problems }).to.deep.equal({ ok: true, problems: [] });
      expect(images.length).to.be.greaterThan(12);
      for (const image of images) expect(image.problems).to.deep.equal([]);
      for (const { state } of operations) expect(state).to.equal('provisioned');
      expect(asLines.stdout).to.match(/✓ \d+ operations, none failed, every byte right, nothing left open/);
    });
  });

  describe('cut short', () => {
    const desk = useDesk();

    async function leftBehind(): Promise<readonly string[]> {
      return (await readdir(desk.directory)).filter((name) => name.startsWith('pull-failover-drill'));
    }

    it('fails when every registry serves wrong bytes, and says which operations and why', async () => {
      const { exitCode, stdout, stderr } = await runCommand(['drill', '--sabotage'], desk.env);
      expect(exitCode).to.equal(1);
      expect(stderr).to.equal('');
      expect(stdout).to.match(/^✗ op-85\d on host-\d: .*do not have its digest/m);
      expect(stdout).to.include('The drill failed');
      expect(stdout).to.not.include('every byte right');
      expect(await leftBehind()).to.deep.equal([]);
    });

    it('says in its summary that it failed', async () => {
      const { exitCode, stdout } = await runCommand(['drill', '--sabotage', '--json'], desk.env);
      const last = JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '') as DrillOutcome;
      expect(exitCode).to.equal(1);
      expect(last.ok).to.equal(false);
      expect(last.problems).to.have.length.greaterThan(0);
    });

    for (const [signal, exitCode] of [
      ['SIGINT', 130],
      ['SIGTERM', 143],
    ] as const) {
      it(`ends at once on ${signal} with ${exitCode}, and leaves nothing behind`, async () => {
        const drill = startCommand(['drill'], desk.env);
        await drill.untilPrinted('op-871');
        expect(await leftBehind()).to.have.length(1);
        const askedAtMs = monotonicMs();
        drill.child.kill(signal);
        const ended = await drill.ended;
        expect(ended.exitCode).to.equal(exitCode);
        expect(ended.stderr).to.equal('');
        expect(monotonicMs() - askedAtMs).to.be.lessThan(10_000);
        expect(await leftBehind()).to.deep.equal([]);
      });
    }

    it('takes two signals at one moment, as a runner passes them on, for one', async () => {
      const drill = startCommand(['drill'], desk.env);
      await drill.untilPrinted('op-851');
      drill.child.kill('SIGINT');
      drill.child.kill('SIGINT');
      expect((await drill.ended).exitCode).to.equal(130);
      expect(await leftBehind()).to.deep.equal([]);
    });

    it('ends when nobody reads it any more, and leaves nothing behind', async () => {
      const drill = startCommand(['drill'], desk.env);
      await drill.untilPrinted('op-851');
      drill.child.stdout.destroy();
      const ended = await drill.ended;
      expect(ended.exitCode).to.equal(141);
      expect(ended.stderr).to.equal('');
      expect(await leftBehind()).to.deep.equal([]);
    });
  });

  describe('on a terminal', () => {
    requireReal(terminalMaker, 'Debian: bsdutils');
    const desk = useDesk();
    const cursorHidden = '\u001b[?25l';
    const cursorShown = '\u001b[?25h';
    const red = '\u001b[31m';

    it('shows bars that move, and gives the terminal back as it was', async () => {
      const { exitCode, stdout } = await startOnTerminal(['drill', '--sabotage'], desk.env).ended;
      expect(exitCode).to.equal(1);
      expect(stdout).to.match(/op-85\d {2}app-[\w:-]+ +█+░+ +\d+ %/);
      expect(stdout).to.include(cursorHidden).and.include(red);
      expect(stdout.lastIndexOf(cursorShown)).to.be.greaterThan(stdout.lastIndexOf(cursorHidden));
      expect(stdout.lastIndexOf('\u001b[?7h')).to.be.greaterThan(stdout.lastIndexOf('\u001b[?7l'));
    });

    it('has no line wider than the terminal', async () => {
      const { stdout } = await startOnTerminal(['drill', '--sabotage', '--plain'], desk.env).ended;
      // oxlint-disable-next-line no-control-regex
      const rows = stdout.replace(/\u001b\[[\d;?]*[A-Za-z]/g, '').split(/\r?\n/);
      const breakable = rows.filter((row) => row.trim().includes(' '));
      expect(breakable.filter((row) => row.length > 79)).to.deep.equal([]);
    });

    it('shows no colours when NO_COLOR is set', async () => {
      const { stdout } = await startOnTerminal(['drill', '--sabotage'], { ...desk.env, NO_COLOR: '1' }).ended;
      // oxlint-disable-next-line no-control-regex
      expect(stdout).to.not.match(/\u001b\[\d+m/);
      expect(stdout).to.include('█');
    });

    it('shows lines only with --plain, and on a terminal that cannot move its cursor', async () => {
      const runs = await Promise.all([
        startOnTerminal(['drill', '--sabotage', '--plain'], desk.env).ended,
        startOnTerminal(['drill', '--sabotage'], { ...desk.env, TERM: 'dumb' }).ended,
      ]);
      for (const { stdout } of runs) expect(stdout).to.include('The drill failed').and.not.include('█');
    });

    it('ends with 130 when Ctrl-C is typed, with the cursor shown and nothing left behind', async () => {
      const drill = startOnTerminal(['drill'], desk.env);
      await drill.untilPrinted('█');
      drill.child.stdin.write('\u0003');
      const { exitCode, stdout } = await drill.ended;
      expect(exitCode).to.equal(130);
      expect(stdout.lastIndexOf(cursorShown)).to.be.greaterThan(stdout.lastIndexOf(cursorHidden));
      expect((await readdir(desk.directory)).filter((name) => name.startsWith('pull-failover-drill'))).to.deep.equal(
        [],
      );
    });
  });
});
