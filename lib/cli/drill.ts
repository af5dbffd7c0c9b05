import { writeFile } from 'node:fs/promises';
import { Command } from 'commander';
import type { DrillEvent } from '../drill/drill-event.js';
import type { DrillOutcome } from '../drill/judge.js';
import { runDrill, type DrillOptions } from '../drill/run-drill.js';
import { renderIncident } from '../incidents/render-incident.js';
import { isInvalidOptionError } from '../errors/invalid-option-error.js';
import type { CommandContext } from './command-context.js';
import { addDockerHostFlag, openDocker, type DockerFlags } from './docker-flags.js';
import { DrillStory } from './drill-story.js';
import { openScreen } from './screen.js';

interface DrillFlags extends DockerFlags {
  /** False after `--no-docker`. */
  readonly docker: boolean;
  readonly json?: true;
  readonly plain?: true;
  readonly sabotage?: true;
  /** Where the record of the outage goes. */
  readonly incident?: string;
}

/** `pull-failover drill` */
export function drillCommand(context: CommandContext, onFailed: () => void): Command {
  const command = new Command('drill')
    .summary('replays the registry outage of 26 July 2017 on this machine')
    .description(
      'Replays the registry outage of 26 July 2017, in about half a minute: two registries in this process, over ' +
        'real sockets on the loopback interface, a worker that provisions databases and apps on several hosts, and ' +
        'images that are read back from disk and checked. Where a Docker or Podman engine answers, one database is ' +
        'also pulled into it, started, asked and removed. Needs no network; leaves nothing behind.',
    );
  addDockerHostFlag(command)
    .option('--no-docker', 'put nothing into an engine')
    .option('--json', 'print every event, and at the end a summary, as one JSON object per line')
    .option('--plain', 'print lines only, no moving bars')
    .option('--incident <file>', 'write the record of the outage there, as a page')
    .option('--sabotage', 'let every registry serve wrong bytes: the drill must then fail')
    .addHelpText(
      'after',
      `
Examples:
  pull-failover drill
  pull-failover drill --json | jq -c 'select(.type == "pull:failed-over")'`,
    )
    .action(async (flags: DrillFlags) => {
      const outcome = flags.json === true ? await drillAsJson(context, flags) : await drillOnScreen(context, flags);
      if (!outcome.ok) onFailed();
    });
  return command;
}

/** The engine for a database that is started; that there is none is no failure of a drill. */
async function dockerOf(flags: DrillFlags, env: NodeJS.ProcessEnv): Promise<NonNullable<DrillOptions['docker']>> {
  if (!flags.docker) return { missing: 'a database in an engine: leave --no-docker away' };
  try {
    return await openDocker(flags, env);
  } catch (error) {
    if (!isInvalidOptionError(error)) throw error;
    return { missing: `a database in an engine: ${error.message}` };
  }
}

/** What would have been the postmortem. Returns false where none is wanted, or nothing happened. */
async function writeIncident(flags: DrillFlags, { incident }: DrillOutcome): Promise<boolean> {
  if (flags.incident === undefined || incident === null) return false;
  await writeFile(flags.incident, renderIncident(incident, 'html'));
  return true;
}

async function drillAsJson({ stdout, signal, env }: CommandContext, flags: DrillFlags): Promise<DrillOutcome> {
  const write = (value: unknown): void => void stdout.write(`${JSON.stringify(value)}\n`);
  const onEvent = (event: DrillEvent): void => write(event);
  const docker = await dockerOf(flags, env);
  const outcome = await runDrill({ onEvent, signal, docker, sabotaged: flags.sabotage ?? false });
  write({ type: 'summary', ...outcome });
  await writeIncident(flags, outcome);
  return outcome;
}

async function drillOnScreen(context: CommandContext, flags: DrillFlags): Promise<DrillOutcome> {
  const docker = await dockerOf(flags, context.env);
  const screen = openScreen(context, { plain: flags.plain ?? false });
  try {
    const story = new DrillStory(screen);
    const onEvent = (event: DrillEvent): void => story.tell(event);
    const { signal } = context;
    const outcome = await runDrill({ onEvent, signal, docker, sabotaged: flags.sabotage ?? false });
    story.conclude(outcome);
    if (await writeIncident(flags, outcome)) screen.print([`The record of the outage, as a page: ${flags.incident}`]);
    return outcome;
  } finally {
    screen.close();
  }
}
