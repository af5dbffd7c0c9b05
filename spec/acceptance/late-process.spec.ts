import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { expect } from 'chai';
import {
  createPuller,
  ociLayout,
  type PullEvent,
  type PullerOptions,
  type RegistryOptions,
  type Timeouts,
} from '../../lib/index.js';
import { seededImage } from '../../lib/testing/index.js';
import { requireDockerRegistry } from '../support/docker-registry.js';
import { expectImage, expectTidy } from './support/layout-on-disk.js';
import { type ProxiedRegistry, startProxiedRegistry, team } from './support/proxied-registry.js';
import { isEvent, isLine, type PullChild, startPullChild } from './support/pull-child.js';
import { useWorkingDirectory } from './support/working-directory.js';

const limitMs = 1_000;
/** Every limit that this process's own lateness could seem to exceed. */
const timeouts: Timeouts = {
  metadata: { requestMs: limitMs, totalMs: limitMs },
  layers: { firstByteMs: limitMs, stallMs: limitMs },
};
/** Half a minute is what the library promises to survive; every day a part of it is enough. */
const stoppedMs: number = process.env['REQUIRE_REAL'] === '1' ? 30_000 : 5_000;

/** Slow enough that a pull is still under way when it is stopped, and far enough that an answer is awaited meanwhile. */
const bandwidth = { totalBytesPerSecond: 12e6, latencyMs: 200 };
/** By then what follows an event has been asked for, and nothing of it can be here. */
const underWayMs = 80;
const image = seededImage({ layers: 6, bytes: 3e6, seed: 'a late process' });

describe('A registry is not blamed for what its client was late with', function () {
  this.timeout(120_000);
  requireDockerRegistry();
  const working = useWorkingDirectory();
  let first: ProxiedRegistry;
  let second: ProxiedRegistry;
  const children: PullChild[] = [];

  before(async () => {
    [first, second] = await Promise.all([startProxiedRegistry({ bandwidth }), startProxiedRegistry({ bandwidth })]);
    await Promise.all([first, second].map((registry) => registry.push('app:1.0', image)));
  });

  beforeEach(async () => {
    await Promise.all([first.setFaults([]), second.setFaults([])]);
  });

  afterEach(async () => {
    await Promise.all(children.splice(0).map((child) => child.kill()));
  });

  after(async () => {
    await Promise.all([first?.close(), second?.close()]);
  });

  function options(): PullerOptions & { readonly registries: readonly RegistryOptions[] } {
    return { registries: [first.option, second.option], timeouts, transfer: { hedge: { metadataMs: Infinity } } };
  }

  async function expectNobodyBlamed(events: readonly PullEvent[]): Promise<void> {
    expect(events.filter(({ type }) => /^circuit:|failed/.test(type))).to.deep.equal([]);
    expect((await second.traffic()).requests, 'requests to the second registry').to.deep.equal([]);
    expect(events.at(-1)?.type).to.equal('pull:succeeded');
  }

  const moments: readonly { readonly title: string; readonly isIt: (event: PullEvent) => boolean }[] = [
    { title: 'while the manifest is asked for', isIt: ({ type }) => type === 'phase:started' },
    {
      title: 'while the first bytes of layers are awaited',
      isIt: (event) => event.type === 'phase:started' && event.phase === 'layers',
    },
    {
      title: 'in the middle of the layers',
      isIt: (event) => event.type === 'pull:progressed' && event.bytes.fetched > 5e6,
    },
  ];

  for (const { title, isIt } of moments) {
    it(`when the event loop is blocked for twice the limit ${title}`, async () => {
      const directory = join(working.path, 'images');
      const puller = createPuller({ ...options(), engine: ociLayout(directory) });
      const events: PullEvent[] = [];
      let blocked = false;
      puller.events.on('*', (event) => {
        events.push(event);
        if (blocked || !isIt(event)) return;
        blocked = true;
        // Of the turn after it, the timers come before the poll: the limits fall due while what keeps them is unread.
        setTimeout(() => setImmediate(() => block(2 * limitMs)), underWayMs);
      });
      await puller.pullWithFailover(`${first.host}/${team}/app:1.0`);
      expect(puller.health().map(({ state }) => state)).to.not.include.members(['open']);
      await puller.close();
      expect(blocked).to.equal(true);
      await expectNobodyBlamed(events);
      await expectImage(directory, `${first.host}/${team}/app:1.0`, image);
      await expectTidy(directory);
    });
  }

  it(`when its process was stopped for ${stoppedMs / 1_000} seconds`, async () => {
    const name = `${first.host}/${team}/app:1.0`;
    const stopped = moments.map(async ({ isIt }, at) => {
      const directory = join(working.path, `images-${at}`);
      const child = startPullChild({ puller: jsonSafe(options()), pulls: [{ image: name, directory }] });
      children.push(child);
      await child.until((line): line is Extract<typeof line, { kind: 'event' }> => {
        return line.kind === 'event' && isIt(line.event);
      });
      await pause(underWayMs);
      child.signal('SIGSTOP');
      const before = child.lines.length;
      await pause(stoppedMs);
      expect(child.lines.slice(before).filter(isEvent('pull:succeeded')), 'it was over before').to.deep.equal([]);
      child.signal('SIGCONT');
      await child.until(isLine('closed'));
      await child.ended();
      await expectImage(directory, name, image);
      return child.events;
    });
    for (const events of await Promise.all(stopped)) await expectNobodyBlamed(events);
  });
});

/** Holds the event loop, and leaves the processor to others. */
function block(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/** A hedge that never comes is `Infinity`, which JSON cannot say. */
function jsonSafe(options: PullerOptions): PullerOptions {
  return { ...options, transfer: { hedge: { budget: 0 } } };
}
