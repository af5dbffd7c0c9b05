import { Command, CommanderError } from 'commander';
import { packageVersion } from '../distribution/user-agent.js';
import { isInvalidOptionError } from '../errors/invalid-option-error.js';
import { isInvalidReferenceError } from '../errors/invalid-reference-error.js';
import { explainFailure } from '../health/explain-failure.js';
import type { CommandContext } from './command-context.js';
import { drillCommand } from './drill.js';
import { exitCodes, exitCodesHelp, Interrupted, UsageError } from './exit-code.js';
import { explainCommand } from './explain.js';
import { incidentCommand } from './incident.js';
import { printable } from './line.js';
import { pullCommand } from './pull.js';
import { statusCommand } from './status.js';
import { switchCommand } from './switch.js';

/** Runs the command with these arguments (without node and the script), and returns the exit code. Never rejects. */
export async function runProgram(argv: readonly string[], context: CommandContext): Promise<number> {
  let exitCode: number = exitCodes.ok;
  const onFailed = (): void => {
    exitCode = exitCodes.failed;
  };
  const program = new Command('pull-failover')
    .description('Brings container images from the first of several registries that can really deliver them.')
    .version(packageVersion)
    .addHelpText('after', exitCodesHelp);
  for (const command of [
    drillCommand(context, onFailed),
    pullCommand(context),
    explainCommand(context),
    statusCommand(context),
    switchCommand(context),
    incidentCommand(context),
  ]) {
    program.addCommand(command.addHelpText('after', exitCodesHelp));
  }
  for (const command of [program, ...program.commands]) {
    command
      .exitOverride()
      .showHelpAfterError('(add --help for what there is)')
      .configureOutput({
        writeOut: (text) => void context.stdout.write(text),
        writeErr: (text) => void context.stderr.write(text),
        getOutHelpWidth: () => context.stdout.columns ?? helpWidth,
        getErrHelpWidth: () => context.stderr.columns ?? helpWidth,
      });
  }
  try {
    await program.parseAsync(argv, { from: 'user' });
    return exitCode;
  } catch (error) {
    return told(error, context);
  }
}

/** Where the output is no terminal. */
const helpWidth = 80;

/** Says what went wrong, and returns the exit code for it. */
function told(error: unknown, { stderr, signal }: CommandContext): number {
  // Commander has said it.
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
  if (signal.aborted && error === signal.reason && error instanceof Interrupted) return error.exitCode;
  if (error instanceof UsageError) {
    stderr.write(`error: ${printable(error.message)}\n`);
    return exitCodes.usage;
  }
  stderr.write(`error: ${printable(explainFailure(error))}\n`);
  return isInvalidOptionError(error) || isInvalidReferenceError(error) ? exitCodes.usage : exitCodes.failed;
}
