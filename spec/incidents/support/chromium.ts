import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { requireReal } from '../../support/real-parts.js';

/** Skips the suite around it where Chromium is not installed. */
export function requireChromium(): void {
  requireReal('chromium', 'apt-get install chromium');
}

/** What the browser said by itself. */
export interface BrowserEvent {
  readonly method: string;
  readonly params: Readonly<Record<string, unknown>>;
}

/** A page in a browser without a window. */
export interface Page {
  /** Calls a method of the DevTools protocol. */
  call<T>(method: string, params?: object): Promise<T>;
  /** What an expression of JavaScript is in the page; it must be JSON. */
  evaluate<T>(expression: string): Promise<T>;
  /** Goes to a file and waits until it is loaded. */
  open(path: string): Promise<void>;
  /** Everything it said since it was started. */
  readonly events: readonly BrowserEvent[];
}

export interface Chromium {
  readonly page: Page;
  close(): Promise<void>;
}

const callLimitMs = 30_000;
const endLimitMs = 3_000;
/** Ends the browser with the process that started it, however that ends. */
const endsWithParent: readonly string[] = ['setpriv', '--pdeathsig', 'KILL'];

interface Answer extends Partial<BrowserEvent> {
  readonly id?: number;
  readonly sessionId?: string;
  readonly result?: unknown;
  readonly error?: { readonly message: string };
}

/** Starts Chromium with a profile of its own, spoken to through pipes: it opens no port, and resolves no name. */
export async function startChromium(): Promise<Chromium> {
  const profile = mkdtempSync(join(tmpdir(), 'chromium-'));
  const command = [
    'chromium',
    '--headless=new',
    '--remote-debugging-pipe',
    `--user-data-dir=${profile}`,
    '--no-first-run',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-dev-shm-usage',
    '--disable-extensions',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--no-pings',
    '--host-resolver-rules=MAP * ~NOTFOUND',
    'about:blank',
  ];
  const [program = '', ...args] = existsSync('/usr/bin/setpriv') ? [...endsWithParent, ...command] : command;
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
  const endAtExit = (): void => {
    child.kill('SIGKILL');
    rmSync(profile, { recursive: true, force: true });
  };
  process.once('exit', endAtExit);
  const wire = new Wire(child.stdio[3] as Writable, child.stdio[4] as Readable);
  const close = async (): Promise<void> => {
    process.off('exit', endAtExit);
    await end(child, wire);
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  };
  try {
    await once(child, 'spawn');
    return { page: await openPage(wire), close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function openPage(wire: Wire): Promise<Page> {
  const { targetId } = await wire.call<{ targetId: string }>('Target.createTarget', { url: 'about:blank' });
  const { sessionId } = await wire.call<{ sessionId: string }>('Target.attachToTarget', { targetId, flatten: true });
  const call = <T>(method: string, params: object = {}): Promise<T> => wire.call<T>(method, params, sessionId);
  for (const domain of ['Page', 'Runtime', 'Network', 'Log']) await call(`${domain}.enable`);
  return {
    call,
    events: wire.events,
    evaluate: async <T>(expression: string) => {
      const answer = await call<{
        readonly result: { readonly value: T };
        readonly exceptionDetails?: { readonly text: string };
      }>('Runtime.evaluate', { expression, returnByValue: true });
      if (answer.exceptionDetails !== undefined) throw new Error(JSON.stringify(answer.exceptionDetails));
      return answer.result.value;
    },
    open: async (path) => {
      const loaded = wire.next('Page.loadEventFired');
      await call('Page.navigate', { url: `file://${path}` });
      await loaded;
    },
  };
}

/** The DevTools protocol over two pipes: JSON, each message ended by a zero byte. */
class Wire {
  readonly events: BrowserEvent[] = [];
  readonly #input: Writable;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  readonly #listeners = new Set<(event: BrowserEvent) => void>();
  #id = 0;

  constructor(input: Writable, output: Readable) {
    this.#input = input;
    let pending = '';
    output.setEncoding('utf8').on('data', (text: string) => {
      const messages = (pending + text).split('\0');
      pending = messages.pop() ?? '';
      for (const message of messages) this.#take(JSON.parse(message) as Answer);
    });
    // The browser has ended; whoever waits for an answer finds out by the time it takes.
    input.on('error', () => undefined);
    output.on('error', () => undefined);
  }

  call<T>(method: string, params: object = {}, sessionId?: string): Promise<T> {
    this.#id += 1;
    const id = this.#id;
    return limited(method, (resolve, reject) => {
      this.#waiting.set(id, ({ result, error }) => {
        if (error === undefined) resolve(result as T);
        else reject(new Error(`${method}: ${error.message}`));
      });
      const session = sessionId === undefined ? {} : { sessionId };
      this.#input.write(`${JSON.stringify({ id, method, params, ...session })}\0`);
    });
  }

  next(method: string): Promise<BrowserEvent> {
    return limited(method, (resolve) => {
      const listener = (event: BrowserEvent): void => {
        if (event.method !== method) return;
        this.#listeners.delete(listener);
        resolve(event);
      };
      this.#listeners.add(listener);
    });
  }

  #take(answer: Answer): void {
    if (answer.id !== undefined) {
      this.#waiting.get(answer.id)?.(answer);
      this.#waiting.delete(answer.id);
    } else if (answer.method !== undefined) {
      const event = { method: answer.method, params: answer.params ?? {} };
      this.events.push(event);
      for (const listener of this.#listeners) listener(event);
    }
  }
}

function limited<T>(
  what: string,
  work: (resolve: (value: T) => void, reject: (error: Error) => void) => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`Chromium gave no answer: ${what}`)), callLimitMs);
    const settle = (then: () => void): void => {
      clearTimeout(timer);
      then();
    };
    work(
      (value) => settle(() => resolve(value)),
      (error) => settle(() => reject(error)),
    );
  });
}

async function end(child: ChildProcess, wire: Wire): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const exited = once(child, 'exit');
  const timer = setTimeout(() => child.kill('SIGKILL'), endLimitMs);
  void wire.call('Browser.close').catch(() => undefined);
  await exited;
  clearTimeout(timer);
}
