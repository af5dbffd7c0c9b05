import { constants } from 'node:os';

/** How the command ends. */
export const exitCodes = { ok: 0, failed: 1, usage: 2 } as const;

/** The end of every help text. */
export const exitCodesHelp = `
Exit codes:
  0    it worked
  1    what was asked for failed
  2    the command, an option or the configuration is wrong
  130  interrupted by Ctrl-C (other signals: 128 and their number)`;

/** A signal ended the command. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
  /** As shells count: 128 and the signal's number. */
  readonly exitCode: number;

  constructor(signal: NodeJS.Signals) {
    super(`interrupted by ${signal}`);
    this.exitCode = 128 + constants.signals[signal];
  }
}

/** The command was given something that it cannot work with; `message` is for whoever typed it. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}
