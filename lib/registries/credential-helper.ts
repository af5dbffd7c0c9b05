import { spawn, type ChildProcess } from 'node:child_process';
import { checkCredentials, type Credentials } from './credentials.js';
import { CredentialsUnavailableError } from './credentials-unavailable.js';

/**
 * How long a credential helper may take, in milliseconds. One that asks a keychain answers in tens of milliseconds, one
 * that asks a cloud within a second or two; one that waits for somebody to unlock a keyring never does.
 */
export const helperLimitMs = 10_000;

/** The largest answer of a helper that is read, in bytes: the longest secrets known (cloud tokens) stay below 16 KiB. */
export const maxHelperAnswerBytes: number = 64 * 1024;

/**
 * How long the answer of a helper that has ended is waited for, in milliseconds. It is in the pipe by then; only a
 * process that the helper left behind (an agent) keeps the pipe open longer, and is none of our business.
 */
const drainMs = 500;

/** What one run of a helper needs. */
export interface HelperRequest {
  /** The helper's name without `docker-credential-`, as in `credsStore` and `credHelpers`. */
  readonly helper: string;
  /** What the helper knows the registry by: its host, or `https://index.docker.io/v1/` for Docker Hub. */
  readonly serverKey: string;
  /** Kills the helper, and everything it started; rejects with the signal's own reason. */
  readonly signal: AbortSignal;
  /** The helper's environment, where its program is looked for too. */
  readonly env: NodeJS.ProcessEnv;
}

const helperName = /^[A-Za-z0-9._-]+$/;
const notFound = 'credentials not found in native keychain';
const identityTokenUser = '<token>';

/**
 * Runs `docker-credential-<helper> get` and returns what it answers, or null when it knows nothing of the registry.
 * Nothing that the helper prints is ever repeated: it may be the secret.
 *
 * @throws CredentialsUnavailableError
 * @see https://github.com/docker/docker-credential-helpers/tree/v0.8.2#development
 */
export async function runCredentialHelper(request: HelperRequest): Promise<Credentials | null> {
  const { helper, serverKey, signal, env } = request;
  signal.throwIfAborted();
  // Not only against a name like `../../tmp/x`: the name is looked up on the PATH, so it must not become a path.
  if (!helperName.test(helper)) {
    throw new CredentialsUnavailableError(
      'config-malformed',
      `Docker's configuration names a credential helper for ${serverKey} whose name is not made of A-Z a-z 0-9 . _ -`,
    );
  }
  const program = `docker-credential-${helper}`;
  const answer = await runProgram(program, serverKey, signal, env);
  if (answer.exitCode !== 0) {
    if (answer.stdout.trim() === notFound) return null;
    throw new CredentialsUnavailableError(
      'helper-failed',
      `${program} failed for ${serverKey} (${answer.exitCode === null ? 'it was killed' : `exit code ${answer.exitCode}`})`,
    );
  }
  return parseAnswer(answer.stdout, program, serverKey);
}

function parseAnswer(stdout: string, program: string, serverKey: string): Credentials | null {
  const malformed = (problem: string): CredentialsUnavailableError =>
    new CredentialsUnavailableError('helper-malformed', `The answer of ${program} for ${serverKey} ${problem}`);
  let parsed: unknown;
  try {
    parsed = JSON.parse(stdout);
  } catch {
    throw malformed('is not JSON');
  }
  if (typeof parsed !== 'object' || parsed === null) throw malformed('is not an object');
  const { Username: username, Secret: secret } = parsed as { readonly Username?: unknown; readonly Secret?: unknown };
  if (typeof username !== 'string' || typeof secret !== 'string') throw malformed('has no Username and Secret');
  if (username === '' && secret === '') return null;
  const checked = checkCredentials(
    username === identityTokenUser ? { identityToken: secret } : { username, password: secret },
  );
  if ('problem' in checked) throw malformed(checked.problem);
  return checked.credentials;
}

interface ProgramAnswer {
  /** Null when a signal ended it. */
  readonly exitCode: number | null;
  readonly stdout: string;
}

function runProgram(
  program: string,
  input: string,
  signal: AbortSignal,
  env: NodeJS.ProcessEnv,
): Promise<ProgramAnswer> {
  return new Promise<ProgramAnswer>((resolve, reject) => {
    const child = start(program, env);
    // Both are missing, whatever the types say, when this process has no file descriptor left for them.
    const { stdin, stdout } = child;
    const chunks: Buffer[] = [];
    let bytes = 0;
    let ended = false;
    let drain: NodeJS.Timeout | undefined;

    const end = (settle: () => void): void => {
      if (ended) return;
      ended = true;
      signal.removeEventListener('abort', onAbort);
      clearTimeout(drain);
      settle();
      stdin?.destroy();
      stdout?.destroy();
    };
    const fail = (error: unknown): void =>
      end(() => {
        killGroup(child);
        reject(error);
      });
    const answer = (): void =>
      end(() => resolve({ exitCode: child.exitCode, stdout: Buffer.concat(chunks).toString('utf8') }));
    const onAbort = (): void => fail(signal.reason);

    signal.addEventListener('abort', onAbort, { once: true });
    child.on('error', (error: NodeJS.ErrnoException) => fail(notStarted(program, error)));
    child.on('exit', () => {
      if (!ended) drain = setTimeout(answer, drainMs);
    });
    child.on('close', answer);
    stdout?.on('error', () => {});
    stdout?.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      chunks.push(chunk);
      if (bytes > maxHelperAnswerBytes) fail(tooLong(program, input));
    });
    // A helper may answer, or fail, without reading its input: EPIPE is not our failure, its exit code tells.
    stdin?.on('error', () => {});
    stdin?.end(input);
  });
}

function start(program: string, env: NodeJS.ProcessEnv): ChildProcess {
  try {
    return spawn(program, ['get'], {
      env,
      shell: false,
      // A process group of its own, so that what a wrapper script started dies with it.
      detached: ownGroups,
      stdio: ['pipe', 'pipe', 'ignore'],
      windowsHide: true,
    });
  } catch (error) {
    throw notStarted(program, error as NodeJS.ErrnoException);
  }
}

const ownGroups = process.platform !== 'win32';

/** Ends the helper and what it started; once it has ended its number may belong to somebody else. */
function killGroup(child: ChildProcess): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  try {
    if (ownGroups) process.kill(-child.pid, 'SIGKILL');
    else child.kill('SIGKILL');
  } catch {
    // It ended meanwhile.
  }
}

function notStarted(program: string, error: NodeJS.ErrnoException): CredentialsUnavailableError {
  return error.code === 'ENOENT'
    ? new CredentialsUnavailableError(
        'helper-missing',
        `${program}, which Docker's configuration names, is not on the PATH`,
      )
    : new CredentialsUnavailableError('helper-failed', `${program} could not be started (${error.code ?? error.name})`);
}

function tooLong(program: string, serverKey: string): CredentialsUnavailableError {
  return new CredentialsUnavailableError(
    'helper-malformed',
    `${program} answered for ${serverKey} with more than ${maxHelperAnswerBytes} bytes`,
  );
}
