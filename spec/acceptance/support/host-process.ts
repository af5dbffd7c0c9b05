/** The process of a host that brings images into a daemon, as it is told by JSON lines. */
import { appendFileSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { inspect } from 'node:util';
import Dockerode from 'dockerode';
import { createPuller, dockerEngine, explainFailure } from '../../../lib/index.js';
import type { HostCommand, HostLine, HostOrder } from './host-child.js';

const commands = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
/** Null when whoever tells it what to do is gone. */
async function read(): Promise<unknown> {
  const { done, value } = await commands.next();
  return done === true ? null : JSON.parse(value);
}

const order = (await read()) as HostOrder;
const engine = dockerEngine(new Dockerode({ socketPath: order.socketPath }), order.engine ?? {});
const puller = createPuller({ ...order.puller, engine });
const ending = new AbortController();

/** Written at once: a line must not wait for a process that is about to be killed. */
function say(line: HostLine): void {
  appendFileSync(1, `${JSON.stringify(line)}\n`);
}

/** The most memory this process ever had, in bytes. */
function peakBytes(): number {
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) * 1024;
}

process.on('warning', ({ name, message }) => say({ kind: 'warning', name, message }));
puller.events.on('*', (event) => say({ kind: 'event', event }));

async function pull({ id, image, options = {} }: Extract<HostCommand, { readonly do: 'pull' }>): Promise<void> {
  try {
    const report = await puller.pullWithFailover(image, { ...options, signal: ending.signal });
    say({ kind: 'report', id, report, inspected: inspect(report, { depth: null }) });
  } catch (error) {
    const { name, code } = error as { readonly name?: string; readonly code?: string };
    say({
      kind: 'failed',
      id,
      name: name ?? typeof error,
      code: code ?? '',
      explained: explainFailure(error),
      inspected: `${inspect(error, { depth: null, showHidden: true })} ${String(error)}`,
    });
  }
}

async function close(): Promise<void> {
  await puller.close();
  await engine.close();
  say({
    kind: 'closed',
    title: process.title,
    health: puller.health(),
    peakBytes: peakBytes(),
    inspected: inspect({ puller, engine }, { depth: null, showHidden: true }),
  });
  process.stdin.destroy();
}

say({ kind: 'ready' });
for (let isClosed = false; !isClosed;) {
  const command = (await read()) as HostCommand | null;
  switch (command?.do) {
    case 'pull':
      void pull(command);
      break;
    case 'abort':
      ending.abort(new Error('the host wants no more'));
      break;
    case 'close':
    case undefined:
      isClosed = true;
  }
}
await close();
