import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import { replaceMeasured } from './markdown.js';
import { measure, measureStart } from './measure.js';
import { reportText, type Result, type Surroundings } from './report.js';
import { loopback, type Scenario, scenarios } from './scenario.js';

const usage = `npm run bench -- [--rounds N] [--cap SECONDS] [--only NAME,NAME]
  --rounds  how often everything is run, default 5
  --cap     who takes longer is stopped, default 40
  --only    ${[...scenarios, loopback].map(({ name }) => name).join(', ')}; then README.md stays as it is
`;

const readme = new URL('README.md', import.meta.url);

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '5' },
      cap: { type: 'string', default: '40' },
      only: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(usage);
    return;
  }
  const rounds = positive('rounds', values.rounds);
  const capSeconds = positive('cap', values.cap);
  const chosen = choose(values.only);
  const before = await describeSurroundings(rounds, capSeconds);
  const results = await measure({
    scenarios: chosen,
    rounds,
    capSeconds,
    onTrial: (scenario, contender, trial, complaint) => {
      const said = trial.ending === 'failed' ? `: ${complaint.split('\n').at(-1)}` : '';
      process.stderr.write(
        `${scenario.title} · ${contender.title}: ${trial.ending} after ${trial.seconds.toFixed(2)} s${said}\n`,
      );
    },
  });
  const text = reportText(results, before);
  process.stdout.write(`${text}\n`);
  if (values.only === undefined) writeFileSync(readme, replaceMeasured(readFileSync(readme, 'utf8'), text));
  if (!results.every(allOwnPullsSucceeded)) process.exitCode = 1;
}

function allOwnPullsSucceeded({ standings }: Result): boolean {
  return standings.every(({ contender, summary }) => contender.tool !== 'pull-failover' || summary.ending === 'done');
}

function choose(only: string | undefined): readonly Scenario[] {
  const all = [...scenarios, loopback];
  if (only === undefined) return all;
  return only.split(',').map((name) => {
    const scenario = all.find((each) => each.name === name);
    if (scenario === undefined) throw new Error(`there is no scenario ${name}\n${usage}`);
    return scenario;
  });
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${name} must be an integer of at least 1\n${usage}`);
  return value;
}

async function describeSurroundings(rounds: number, capSeconds: number): Promise<Surroundings> {
  return {
    start: {
      own: await measureStart('pull-failover', rounds, capSeconds),
      skopeo: await measureStart('skopeo', rounds, capSeconds),
    },
    cores: cpus().length,
    cpu: (cpus()[0]?.model ?? 'unknown').trim(),
    memoryBytes: totalmem(),
    loadBefore: loadavg()[0] ?? Number.NaN,
    node: process.versions.node,
    skopeo: versionOf('skopeo'),
    dockerRegistry: versionOf('docker-registry'),
    rounds,
    capSeconds,
  };
}

function versionOf(tool: string): string {
  const text = execFileSync(tool, ['--version'], { encoding: 'utf8' });
  return /\d+\.\d+\.\d+/.exec(text)?.[0] ?? text.trim();
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
