import { parseArgs } from 'node:util';
import { readFileSync, writeFileSync } from 'node:fs';
import { type BenchPart, enginePart, layoutPart, type PartOptions, type PartResult } from './part.js';
import { replaceMeasured } from './markdown.js';

const parts: readonly BenchPart[] = [layoutPart, enginePart];

const usage = `npm run bench -- [PART] [--rounds N] [--cap SECONDS] [--only NAME,NAME]
  PART      ${parts.map(({ name }) => name).join(' or ')}; default: both
  --rounds  how often everything is run, default 5
  --cap     who takes longer is stopped; default: what suits each scenario
  --only    names of scenarios; then README.md stays as it is
${parts.map(({ name, scenarioNames }) => `            ${name}: ${scenarioNames.join(', ')}`).join('\n')}
`;

const readme: URL = new URL('README.md', import.meta.url);

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      rounds: { type: 'string', default: '5' },
      cap: { type: 'string' },
      only: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(usage);
    return;
  }
  const options: Omit<PartOptions, 'only'> = {
    rounds: positive('rounds', values.rounds),
    capSeconds: values.cap === undefined ? null : positive('cap', values.cap),
  };
  const only = values.only?.split(',') ?? null;
  for (const part of choose(positionals, only)) {
    const chosen = only?.filter((name) => part.scenarioNames.includes(name)) ?? null;
    let result: PartResult | null = null;
    for await (const each of part.run({ ...options, only: chosen })) {
      result = each;
      if (only === null) writeFileSync(readme, replaceMeasured(readFileSync(readme, 'utf8'), part.name, each.text));
    }
    process.stdout.write(`${result?.text}\n`);
    if (result?.isWell !== true) process.exitCode = 1;
  }
}

/** The parts that are named, or that have one of the scenarios that are named. */
function choose(names: readonly string[], only: readonly string[] | null): readonly BenchPart[] {
  const unknownPart = names.find((name) => !parts.some((part) => part.name === name));
  if (unknownPart !== undefined) throw new Error(`there is no part ${unknownPart}\n${usage}`);
  const named = names.length === 0 ? parts : parts.filter(({ name }) => names.includes(name));
  if (only === null) return named;
  const unknown = only.find((name) => !named.some(({ scenarioNames }) => scenarioNames.includes(name)));
  if (unknown !== undefined) throw new Error(`there is no scenario ${unknown}\n${usage}`);
  return named.filter(({ scenarioNames }) => scenarioNames.some((name) => only.includes(name)));
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
