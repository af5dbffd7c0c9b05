import { execFile } from 'node:child_process';

/** What a finished command left. */
export interface CommandResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Long enough for a cold npm on a busy machine; a command that takes longer hangs. */
const maxCommandMs = 180_000;

/** Runs a command to its end; a non-zero exit is a result, not a rejection. */
export function runCommand(command: string, args: readonly string[], directory: string): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    execFile(
      command,
      [...args],
      { cwd: directory, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024, timeout: maxCommandMs },
      (error, stdout, stderr) => {
        if (error === null) resolve({ exitCode: 0, stdout, stderr });
        else if (typeof error.code === 'number') resolve({ exitCode: error.code, stdout, stderr });
        else reject(error);
      },
    );
  });
}

/** Runs a command that must succeed. Its output is the message of the rejection: nothing else says why it failed. */
export async function runCommandWell(command: string, args: readonly string[], directory: string): Promise<string> {
  const { exitCode, stdout, stderr } = await runCommand(command, args, directory);
  if (exitCode !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${exitCode}\n${stdout}\n${stderr}`);
  return stdout;
}
