import { expect } from 'chai';
import fc from 'fast-check';
import { spawn, type ChildProcess } from 'node:child_process';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { epochMs, monotonicMs } from '../../lib/clock/time.js';
import type { SeenBy } from '../../lib/events/pull-event.js';
import { createCircuits, maxUnlistedRegistries, type Circuits } from '../../lib/health/circuit.js';
import { circuitsDocument, keptForMs } from '../../lib/health/circuits-document.js';
import { goodSpanMs } from '../../lib/health/circuit-state.js';
import { parseHealthOptions } from '../../lib/health/health-options.js';
import type { StateDocument } from '../../lib/health/state-document.js';
import { openStateStore, type StateStore } from '../../lib/health/state-store.js';
import { maxRetryAfterMs } from '../../lib/health/verdict.js';
import type { Reason } from '../../lib/vocabulary/reason.js';
import { startFakeTime, type FakeTime } from '../support/fake-time.js';
import { useTemporaryDirectory } from '../support/temporary-directory.js';
import { until } from '../support/until.js';

const quay = 'quay.io/aptible';
const hub = 'docker.io/aptible';
const stalled: Reason = { cause: 'registry-storage', code: 'stalled', message: 'quay.io/aptible stopped sending' };

/** What one process tells of its circuits. */
interface Process {
  readonly circuits: Circuits;
  readonly told: string[];
}

describe('circuits that processes share', () => {
  const directory = useTemporaryDirectory();
  let time: FakeTime;
  let store: StateStore;

  beforeEach(() => {
    time = startFakeTime();
    store = sharedStore();
  });

  afterEach(() => {
    time.restore();
  });

  function start(kept: StateStore = store, registries: readonly string[] = [quay]): Process {
    const told: string[] = [];
    const circuits = createCircuits(
      parseHealthOptions({}),
      {
        opened: ({ phase, seenBy }: { phase: string; seenBy: SeenBy }) => told.push(`${phase} opened by ${seenBy}`),
        halfOpened: ({ phase }) => told.push(`${phase} half-opened`),
        closed: ({ phase, seenBy }) => told.push(`${phase} closed by ${seenBy}`),
      },
      { registries, random: () => 0, document: kept.document(circuitsDocument) },
    );
    return { circuits, told };
  }

  /** A store in memory that several can open: one document each, shared. */
  function sharedStore(): StateStore {
    const inner = openStateStore(null);
    const documents = new Map<string, StateDocument<unknown>>();
    return {
      document: <T>(kind: Parameters<typeof inner.document<T>>[0]) => {
        const known = documents.get(kind.name) ?? inner.document(kind);
        documents.set(kind.name, known);
        return known as StateDocument<T>;
      },
    };
  }

  async function trip({ circuits }: Process, registry = quay): Promise<void> {
    circuits.record(registry, 'layers', { ill: stalled });
    circuits.record(registry, 'layers', { ill: stalled });
    await circuits.flush();
  }

  it('hold for a host that was restarted: it does not pay again', async () => {
    await trip(start());
    await time.passMs(5_000);
    const restarted = start();
    await restarted.circuits.load();
    expect(restarted.circuits.place(quay, 'layers')).to.equal('open');
    expect(restarted.circuits.place(quay, 'metadata')).to.equal('closed');
    expect(restarted.circuits.nextChangeMs()).to.equal(10_000);
    expect(restarted.told).to.deep.equal(['layers opened by state']);
    expect(restarted.circuits.health().find(({ phase }) => phase === 'layers')).to.deep.include({
      sinceMs: epochMs() - 5_000,
      reason: stalled,
    });
  });

  it('go on with the same cool-downs after a restart', async () => {
    const before = start();
    await trip(before);
    await time.passMs(15_000);
    before.circuits.record(quay, 'layers', { ill: stalled });
    await before.circuits.flush();
    const restarted = start();
    await restarted.circuits.load();
    expect(restarted.circuits.nextChangeMs()).to.equal(30_000);
    await time.passMs(30_000);
    restarted.circuits.record(quay, 'layers', { ill: stalled });
    expect(restarted.circuits.nextChangeMs()).to.equal(60_000);
  });

  it('are half-open after a restart in which the cool-down ended', async () => {
    await trip(start());
    await time.passMs(60_000);
    const restarted = start();
    await restarted.circuits.load();
    expect(restarted.circuits.place(quay, 'layers')).to.equal('half-open');
    expect(restarted.told).to.deep.equal(['layers opened by state', 'layers half-opened']);
  });

  it('open and close for the others too, who hear of each step', async () => {
    const one = start();
    const other = start();
    await trip(one);
    await other.circuits.load();
    await time.passMs(15_000);
    for (let probe = 0; probe < 3; probe += 1) {
      one.circuits.record(quay, 'layers', 'good', 'probe');
      await time.passMs(goodSpanMs);
    }
    await one.circuits.flush();
    await other.circuits.load();
    expect(one.told.at(-1)).to.equal('layers closed by probe');
    expect(other.told).to.deep.equal(['layers opened by state', 'layers half-opened', 'layers closed by state']);
    expect(other.circuits.place(quay, 'layers')).to.equal('closed');
  });

  it('let the newer change win, also where the older one is written later', async () => {
    const one = start();
    const other = start();
    await trip(one);
    await other.circuits.load();
    await time.passMs(15_000);
    for (const { circuits } of [one, other]) expect(circuits.place(quay, 'layers')).to.equal('half-open');
    one.circuits.record(quay, 'layers', { ill: stalled });
    await time.passMs(1);
    for (let probe = 0; probe < 3; probe += 1) {
      other.circuits.record(quay, 'layers', 'good', 'probe');
      await time.passMs(goodSpanMs);
    }
    for (const { circuits } of [other, one, other]) await circuits.flush();
    for (const { circuits } of [other, one]) {
      await circuits.load();
      expect(circuits.place(quay, 'layers')).to.equal('closed');
    }
  });

  it('tell nothing twice, and of nothing that this process did itself', async () => {
    const one = start();
    await trip(one);
    await one.circuits.load();
    await one.circuits.load();
    await time.passMs(15_000);
    one.circuits.place(quay, 'layers');
    await one.circuits.flush();
    await one.circuits.load();
    expect(one.told).to.deep.equal(['layers opened by pull', 'layers half-opened']);
  });

  it('agree on half-open although each notices the end of the cool-down at another time', async () => {
    const one = start();
    const other = start();
    await trip(one);
    await other.circuits.load();
    await time.passMs(15_000);
    one.circuits.record(quay, 'layers', 'good', 'probe');
    await time.passMs(3_000);
    other.circuits.place(quay, 'layers');
    await other.circuits.flush();
    await one.circuits.load();
    await time.passMs(2_000);
    one.circuits.record(quay, 'layers', 'good', 'probe');
    one.circuits.record(quay, 'layers', 'good', 'probe');
    expect(one.circuits.place(quay, 'layers'), 'the good result of before still counts').to.equal('closed');
  });

  it('share a pause that a registry asked for', async () => {
    const one = start();
    const other = start();
    one.circuits.limit(quay, 'metadata', monotonicMs() + 30_000);
    await one.circuits.flush();
    await other.circuits.load();
    expect(other.circuits.place(quay, 'metadata')).to.equal('limited');
    expect(other.circuits.nextChangeMs()).to.equal(30_000);
    expect(other.told).to.deep.equal([]);
  });

  it('agree in the end, whatever each process finds and whenever it looks', async () => {
    const who = fc.integer({ min: 0, max: 2 });
    const step = fc.oneof(
      { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('ill' as const, 'good' as const), who }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('load' as const, 'flush' as const), who }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('pass' as const), who: fc.nat({ max: 20_000 }) }) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const shared = sharedStore();
        const processes = [0, 1, 2].map(() => start(shared));
        for (const each of steps) {
          const circuits = processes[each.who]?.circuits;
          if (each.do === 'pass') await time.passMs(each.who);
          else if (each.do === 'load') await circuits?.load();
          else if (each.do === 'flush') await circuits?.flush();
          else circuits?.record(quay, 'layers', each.do === 'good' ? 'good' : { ill: stalled });
        }
        for (const { circuits } of processes) await circuits.flush();
        for (const { circuits } of processes) await circuits.load();
        const [first, ...others] = processes.map(({ circuits }) => {
          const { state, sinceMs } = circuits.health().find(({ phase }) => phase === 'layers') ?? {};
          return { state, sinceMs: state === 'closed' ? null : sinceMs };
        });
        for (const other of others) expect(other).to.deep.equal(first);
        for (const { told } of processes) {
          const kinds = told.map((each) => each.split(' ')[1]);
          kinds.forEach((kind, at) => {
            const before = at === 0 ? 'closed' : kinds[at - 1];
            expect([`closed opened`, 'opened half-opened', 'half-opened opened', 'half-opened closed']).to.include(
              `${before} ${kind}`,
            );
          });
        }
      }),
      { numRuns: 100 },
    );
  });

  it('keep what an operator holds to each process', async () => {
    const one = start();
    const other = start();
    other.circuits.hold(quay, 'layers', 'closed');
    await trip(one);
    await other.circuits.load();
    expect(other.circuits.place(quay, 'layers')).to.equal('held-closed');
    expect(other.told).to.deep.equal([]);
    other.circuits.hold(quay, 'layers', null);
    expect(other.told).to.deep.equal(['layers opened by state']);
  });

  it('are read once while nothing changes, and written once for many changes at once', async () => {
    let reads = 0;
    let writes = 0;
    const inner = sharedStore();
    const counting: StateStore = {
      document: (kind) => {
        const document = inner.document(kind);
        return {
          read: () => {
            reads += 1;
            return document.read();
          },
          update: (change) => {
            writes += 1;
            return document.update(change);
          },
        };
      },
    };
    const one = start(counting, []);
    for (let tenant = 0; tenant < 100; tenant += 1) void trip(one, `tenant-${tenant}.example`);
    await one.circuits.flush();
    expect(writes).to.be.at.most(3);
    const before = reads;
    await one.circuits.load();
    expect(reads - before).to.equal(1);
  });

  it('hold in this process although the disk fails, and reach it once it is well', async () => {
    let fails = true;
    const inner = sharedStore();
    const failing: StateStore = {
      document: (kind) => {
        const document = inner.document(kind);
        return { read: document.read, update: async (change) => (fails ? null : document.update(change)) };
      },
    };
    const one = start(failing);
    await trip(one);
    expect(one.circuits.place(quay, 'layers')).to.equal('open');
    fails = false;
    await one.circuits.flush();
    const other = start(inner);
    await other.circuits.load();
    expect(other.circuits.place(quay, 'layers')).to.equal('open');
  });

  it('keep every listed registry, and a bounded number of others', async () => {
    const one = start(store, [quay, hub]);
    await trip(one, hub);
    for (let tenant = 0; tenant < maxUnlistedRegistries * 3; tenant += 1) {
      if (tenant % 50 === 0) await time.passMs(1);
      for (let pull = 0; pull < 2; pull += 1) {
        one.circuits.record(`tenant-${tenant}.example`, 'metadata', { ill: stalled });
      }
      if (tenant % 100 === 0) await one.circuits.flush();
    }
    await one.circuits.flush();
    const kept = await store.document(circuitsDocument).read();
    expect(kept.size).to.be.at.most(maxUnlistedRegistries * 2 + 4);
    expect([...kept.values()].map(({ registry }) => registry)).to.include(hub);
  });

  it('take nothing over any more once they are closed', async () => {
    const one = start();
    const other = start();
    await trip(one);
    other.circuits.close();
    await other.circuits.load();
    expect(other.told).to.deep.equal([]);
  });

  describe('on disk', () => {
    const path = (): string => join(directory.path, 'circuits.json');
    const entry = (more: object): object => ({
      registry: quay,
      phase: 'layers',
      state: 'open',
      sinceMs: epochMs() - 1_000,
      untilMs: epochMs() + 14_000,
      reason: stalled,
      limitedUntilMs: null,
      openings: 1,
      ...more,
    });
    const write = (...circuits: readonly object[]): Promise<void> =>
      writeFile(path(), JSON.stringify({ version: 1, circuits }));

    it('are JSON that other tools can read', async () => {
      const one = start(openStateStore(directory.path));
      await trip(one);
      expect(JSON.parse(await readFile(path(), 'utf8'))).to.deep.equal({
        version: 1,
        circuits: [entry({ sinceMs: epochMs(), untilMs: epochMs() + 15_000 })],
      });
    });

    it('open nothing for a year that a clock wrote which was ahead', async () => {
      const year = 365 * 86_400_000;
      await write(entry({ sinceMs: epochMs() + year, untilMs: epochMs() + year, limitedUntilMs: epochMs() + year }));
      const one = start(openStateStore(directory.path));
      await one.circuits.load();
      expect(one.circuits.place(quay, 'layers')).to.equal('limited');
      expect((one.circuits.limitedUntilMs(quay, 'layers') ?? Infinity) - monotonicMs()).to.be.at.most(maxRetryAfterMs);
      expect(one.circuits.nextChangeMs()).to.be.at.most(300_000);
      await time.passMs(300_000);
      one.circuits.record(quay, 'layers', { ill: stalled });
      await one.circuits.flush();
      expect(await readFile(path(), 'utf8')).not.to.include(String(epochMs() + year).slice(0, 5));
    });

    it('say nothing about today a day later', async () => {
      await write(entry({ sinceMs: epochMs() - keptForMs, untilMs: epochMs() - keptForMs + 15_000 }));
      const one = start(openStateStore(directory.path));
      await one.circuits.load();
      expect(one.told).to.deep.equal([]);
    });

    for (const [what, broken] of [
      ['no registry', { registry: 5 }],
      ['another phase', { phase: 'extract' }],
      ['another state', { state: 'held' }],
      ['no time', { sinceMs: null }],
      ['a time before all times', { sinceMs: -1 }],
      ['an opening without its end', { untilMs: null }],
      ['an opening without a reason', { reason: null }],
      ['a cause that is none', { reason: { ...stalled, cause: 'constructor' } }],
      ['a code that is none', { reason: { ...stalled, code: '<script>' } }],
      ['a malformed count', { openings: 'two' }],
    ] as const) {
      it(`are set aside when a circuit has ${what}`, async () => {
        await write(entry(broken));
        const one = start(openStateStore(directory.path));
        await one.circuits.load();
        expect(one.told).to.deep.equal([]);
        await trip(one);
        expect((await readdir(directory.path)).toSorted()).to.deep.equal(['circuits.json', 'circuits.json.broken']);
      });
    }
  });
});

describe('circuits of two processes', () => {
  const directory = useTemporaryDirectory();
  const children: ChildProcess[] = [];

  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
  });

  /** Another process over the same directory; asks it, and waits for its answer. */
  function start(): (line: string) => Promise<string> {
    const script = fileURLToPath(new URL('./support/circuit-process.ts', import.meta.url));
    const child = spawn(process.execPath, ['--import', 'tsx', script, directory.path], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    children.push(child);
    const { stdin, stdout } = child;
    if (stdin === null || stdout === null) throw new Error('no pipes');
    const lines: Interface = createInterface(stdout);
    return (line) =>
      new Promise((resolve) => {
        lines.once('line', resolve);
        stdin.write(`${line}\n`);
      });
  }

  it('open, half-open and close together', async () => {
    const [one, other] = [start(), start()];
    expect(await one('ill quay.io/a')).to.equal('open');
    expect(await other('place quay.io/a')).to.equal('open');
    await until(async () => (await other('place quay.io/a')) === 'half-open', 'half-open');
    await until(async () => (await one('good quay.io/a')) === 'closed', 'closed');
    expect(await other('place quay.io/a')).to.equal('closed');
  });

  it('lose nothing when both write at once', async () => {
    const [one, other] = [start(), start()];
    for (let round = 0; round < 5; round += 1) {
      await Promise.all([one(`ill one-${round}.example`), other(`ill other-${round}.example`)]);
    }
    const kept = await openStateStore(directory.path).document(circuitsDocument).read();
    expect(kept.size).to.equal(10);
  });
});
