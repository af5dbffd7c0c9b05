import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { compare, type Comparison } from './compare.js';
import { replaceMeasured } from './markdown.js';
import { scenarios } from './scenarios.js';

const usage = `npm run bench [-- compare] [--rounds N] [--cap SECONDS] [--only NAME,NAME] [--to DIR]
  --rounds  how often everything is run, default 3
  --cap     who takes longer is stopped; default: what suits each scenario
  --only    names of scenarios; then README.md and compare.svg stay as they are:
            ${scenarios.map(({ name }) => name).join(', ')}
  --to      writes compare.md and compare.svg there instead
`;

const readme: URL = new URL('README.md', import.meta.url);
const chart: URL = new URL('compare.svg', import.meta.url);

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      rounds: { type: 'string', default: '3' },
      cap: { type: 'string' },
      only: { type: 'string' },
      to: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(usage);
    return;
  }
  const stranger = positionals.find((word) => word !== 'compare');
  if (stranger !== undefined) throw new Error(`there is no ${stranger}\n${usage}`);
  const only = values.only?.split(',') ?? null;
  const unknown = only?.find((wanted) => !scenarios.some(({ name }) => name === wanted));
  if (unknown !== undefined) throw new Error(`there is no scenario ${unknown}\n${usage}`);
  let last: Comparison | null = null;
  for await (const comparison of compare({
    rounds: positive('rounds', values.rounds),
    capSeconds: values.cap === undefined ? null : positive('cap', values.cap),
    only,
  })) {
    last = comparison;
    if (values.to !== undefined) keepIn(values.to, comparison);
    else if (only === null) publish(comparison);
  }
  process.stdout.write(`${last?.text}\n`);
  if (last?.isWell !== true) process.exitCode = 1;
}

function publish({ text, chart: svg }: Comparison): void {
  writeFileSync(readme, replaceMeasured(readFileSync(readme, 'utf8'), 'compare', text));
  writeFileSync(chart, svg);
}

function keepIn(directory: string, { text, chart: svg }: Comparison): void {
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'compare.md'), `${text}\n`);
  writeFileSync(join(directory, 'compare.svg'), svg);
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${name} must be an integer of at least 1\n${usage}`);
  return value;
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
