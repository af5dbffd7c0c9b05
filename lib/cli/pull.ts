import { Command, Option } from 'commander';
import { ociLayout } from '../engine/layout/oci-layout.js';
import { isPullFailoverError } from '../errors/pull-failover-error.js';
import { explainFailure } from '../health/explain-failure.js';
import { createPuller } from '../puller/create-puller.js';
import type { PullEngine } from '../puller/pull-engine.js';
import type { PullOptions } from '../puller/options.js';
import type { PullPolicy } from '../puller/pull-policy.js';
import type { Puller } from '../puller/puller.js';
import type { PullReport } from '../vocabulary/report.js';
import type { CommandContext } from './command-context.js';
import { addDockerHostFlag, addRouteFlags, dockerFlagNames, openEngine, type DockerFlags } from './docker-flags.js';
import { UsageError } from './exit-code.js';
import { addLimitFlags, parsePositive, readLimitFlags } from './limit-flags.js';
import { PullStory } from './pull-story.js';
import { addRegistryFlags, readRegistryFlags, type RegistryFlags } from './registry-flags.js';
import { openScreen } from './screen.js';

interface PullFlags extends RegistryFlags, DockerFlags {
  readonly to?: string;
  readonly platform?: string;
  readonly pullPolicy?: PullPolicy;
  readonly operation?: string;
  readonly deadlineMs?: number;
  readonly waitMs?: number;
  readonly useCached?: true;
  readonly json?: true;
  readonly plain?: true;
}

/** `pull-failover pull` */
export function pullCommand(context: CommandContext): Command {
  const command = new Command('pull')
    .summary('brings an image into Docker or Podman, or into a directory')
    .description(
      'Brings an image into a Docker or Podman engine, or with --to into an OCI image layout directory, from the ' +
        'first registry that serves it. When a registry stalls, breaks or lies, the pull goes on at the next one from ' +
        'the byte it had reached.',
    )
    .argument('<image>', 'the image, such as quay.io/team/app:1.2')
    .option('--to <directory>', 'an OCI image layout instead of an engine; it is made where there is none');
  addRouteFlags(addDockerHostFlag(command));
  addRegistryFlags(command)
    .option('--platform <platform>', "os/architecture[/variant] (the engine's own; with --to this machine's)")
    .addOption(
      new Option('--pull-policy <policy>', 'when registries are asked (always)').choices([
        'always',
        'if-not-present',
        'never',
      ]),
    )
    .option('--operation <kind>', 'what it is for, for the policies per kind in the configuration')
    .option('--deadline-ms <n>', 'the whole pull (no limit)', parsePositive)
    .addOption(
      new Option('--wait-ms <n>', 'wait so long for a registry to be well again, when none can serve it')
        .argParser(parsePositive)
        .conflicts('useCached'),
    )
    .option('--use-cached', 'make do with what the engine has, when no registry can serve it');
  addLimitFlags(command.optionsGroup('Limits, with their defaults:'));
  command
    .optionsGroup('Output:')
    .option('--json', 'print every event, and at the end a summary, as one JSON object per line')
    .option('--plain', 'print lines only, no moving bars')
    .addHelpText(
      'after',
      `
Credentials are those of docker login, or in the configuration file; never on the command line.

Examples:
  pull-failover pull quay.io/team/app:1.2 --registry quay.io/team --registry docker.io/team
  pull-failover pull quay.io/team/app:1.2 --docker-host ssh://deploy@host-17 --registry quay.io/team
  pull-failover pull 10.0.0.5:5000/app --to ./images --registry 10.0.0.5:5000 --plain-http 10.0.0.5:5000
  pull-failover pull redis:7 --to ./images --json | jq -c 'select(.type == "summary")'`,
    )
    .action(async (image: string, flags: PullFlags) => {
      const { engine: engineInFile, ...options } = await readRegistryFlags(flags);
      const engine = await engineOf(flags, engineInFile, context.env);
      const puller = createPuller(options);
      try {
        const pullOptions = { ...optionsOf(flags), engine, signal: context.signal };
        await (flags.json === true
          ? pullAsJson(context, puller, image, pullOptions)
          : pullOnScreen(context, puller, image, pullOptions, { engine, plain: flags.plain ?? false }));
      } finally {
        await puller.close();
        await engine.close();
      }
    });
  return command;
}

/** Where the image goes: what a flag says, else the file, else this machine's own engine. */
async function engineOf(flags: PullFlags, inFile: PullEngine | undefined, env: NodeJS.ProcessEnv): Promise<PullEngine> {
  const [forDocker] = Object.entries(dockerFlagNames).filter(([key]) => key in flags);
  if (flags.to === undefined) {
    return inFile === undefined || forDocker !== undefined ? openEngine(flags, env) : inFile;
  }
  if (forDocker !== undefined)
    throw new UsageError(`${forDocker[1]} is for an engine, and --to for a directory: give one`);
  return ociLayout(flags.to);
}

/** What was said for this pull, which wins over whatever the configuration says for all or for a kind. */
function optionsOf(flags: PullFlags): PullOptions {
  const { platform, pullPolicy, operation, deadlineMs, waitMs, useCached } = flags;
  return {
    ...(platform === undefined ? {} : { platform }),
    ...(pullPolicy === undefined ? {} : { pullPolicy }),
    ...(operation === undefined ? {} : { operation: { kind: operation } }),
    ...(deadlineMs === undefined ? {} : { deadlineMs }),
    ...(waitMs === undefined ? {} : { whenExhausted: { waitMs } }),
    ...(useCached === undefined ? {} : { whenExhausted: 'use-cached' as const }),
    timeouts: readLimitFlags({ ...flags }),
  };
}

async function pullAsJson(
  { stdout }: CommandContext,
  puller: Puller,
  image: string,
  options: PullOptions,
): Promise<void> {
  const write = (value: unknown): void => void stdout.write(`${JSON.stringify(value)}\n`);
  puller.events.on('*', write);
  try {
    const report: PullReport = await puller.pullWithFailover(image, options);
    write({ type: 'summary', ok: true, report });
  } catch (error) {
    const explanation = explainFailure(error);
    const known = isPullFailoverError(error)
      ? { name: error.name, code: error.code, retryable: error.retryable, message: error.message }
      : null;
    write({ type: 'summary', ok: false, error: { ...known, explanation } });
    throw error;
  }
}

async function pullOnScreen(
  context: CommandContext,
  puller: Puller,
  image: string,
  options: PullOptions,
  { engine, plain }: { readonly engine: PullEngine; readonly plain: boolean },
): Promise<void> {
  const screen = openScreen(context, { plain });
  try {
    const story = new PullStory(screen, engine);
    puller.events.on('*', (event) => story.tell(event));
    story.conclude(await puller.pullWithFailover(image, options));
  } finally {
    screen.close();
  }
}
