import type { WriteStream } from 'node:tty';

/** What a command may use of the process it runs in. */
export interface CommandContext {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: NodeJS.ProcessEnv;
  /** Ends the command; its reason is an `Interrupted`. */
  readonly signal: AbortSignal;
}

/** A stream that may be a terminal. */
export type Output = NodeJS.WritableStream & Partial<Pick<WriteStream, 'isTTY' | 'columns' | 'rows' | 'hasColors'>>;
