import { expect } from 'chai';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { epochMs, monotonicMs } from '../../../lib/clock/time.js';
import { createCircuits, type CircuitHealth, type Circuits } from '../../../lib/health/circuit.js';
import { circuitsDocument, type CircuitsState } from '../../../lib/health/circuits-document.js';
import { parseHealthOptions, type HealthOptions } from '../../../lib/health/health-options.js';
import { createProber, probeJitter, type Probed, type Prober } from '../../../lib/health/probe/prober.js';
import { createProbeTargets, type ProbeTargets } from '../../../lib/health/probe/probe-targets.js';
import { probeBytes } from '../../../lib/health/probe/probe-targets-document.js';
import type { StateDocument } from '../../../lib/health/state-document.js';
import { openStateStore } from '../../../lib/health/state-store.js';
import { digestOf } from '../../../lib/image/digest.js';
import { resolveLimits } from '../../../lib/policy/limits.js';
import type { RegistryPhase } from '../../../lib/vocabulary/phase.js';
import type { Reason } from '../../../lib/vocabulary/reason.js';
import { startFakeTime, type FakeTime } from '../../support/fake-time.js';
import { broken, stageRegistry, type StagedRegistry } from '../support/staged-registry.js';

const quay = 'quay.io/aptible';
const repository = 'aptible/redis';
const stalled: Reason = { cause: 'registry-storage', code: 'stalled', message: 'quay.io/aptible stopped sending' };

describe('the prober', () => {
  let time: FakeTime;
  let staged: StagedRegistry;
  let circuits: Circuits;
  let targets: ProbeTargets;
  let told: { readonly what: string; readonly phase: RegistryPhase; readonly atMs: number }[];
  let probed: Probed[];
  const probers: Prober[] = [];
  let document: StateDocument<CircuitsState>;

  beforeEach(() => {
    time = startFakeTime();
    staged = stageRegistry(broken);
    targets = createProbeTargets();
    document = openStateStore(null).document(circuitsDocument);
    told = [];
    probed = [];
  });

  afterEach(async () => {
    for (const prober of probers.splice(0)) await prober.close();
    expect(staged.open).to.equal(0);
    time.restore();
  });

  function serve(registry = quay): void {
    const digest = digestOf(Buffer.from('layer'));
    targets.failedAt(registry, { repository, digest, size: 10_000_000, offset: 6_000_000 });
    targets.served(registry, 'metadata', { repository, object: '3.0' });
  }

  function start(
    health: HealthOptions = {},
    more: { readonly random?: () => number; readonly shared?: boolean } = {},
  ): void {
    const settings = parseHealthOptions(health);
    const random = more.random ?? (() => 0);
    const tell = (what: string) => (change: { phase: RegistryPhase; seenBy?: string }) =>
      told.push({
        what: change.seenBy === undefined ? what : `${what} by ${change.seenBy}`,
        phase: change.phase,
        atMs: monotonicMs(),
      });
    circuits = createCircuits(
      settings,
      { opened: tell('opened'), halfOpened: tell('half-opened'), closed: tell('closed') },
      { registries: [quay], random, ...(more.shared === true ? { document } : {}) },
    );
    probers.push(
      createProber({
        circuits,
        settings,
        targets,
        limits: resolveLimits([]),
        clientOf: () => staged.client,
        registries: [quay],
        random,
        onProbed: (each) => probed.push(each),
      }),
    );
  }

  function trip(phase: RegistryPhase = 'layers', reason = stalled): void {
    circuits.record(quay, phase, { ill: reason });
    circuits.record(quay, phase, { ill: reason });
  }

  const askedAtMs = (): readonly number[] => staged.asked.map(({ atMs }) => atMs);
  const healthOf = (phase: RegistryPhase): CircuitHealth => {
    const health = circuits.health().find((each) => each.registry === quay && each.phase === phase);
    if (health === undefined) throw new Error(`no circuit of ${phase}`);
    return health;
  };

  it('asks nobody anything while all is well', async () => {
    start();
    serve();
    await time.passMs(600_000);
    expect(staged.asked).to.deep.equal([]);
  });

  it('asks once at the end of each cool-down, which a bad answer makes the longer one', async () => {
    start();
    serve();
    trip();
    await time.passMs(15_000 + 30_000 + 60_000 + 120_000 + 240_000 + 300_000 + 300_000 - 1);
    const ends = [15_000, 45_000, 105_000, 225_000, 465_000, 765_000];
    expect(askedAtMs()).to.deep.equal(ends);
    expect(staged.asked.every(({ phase, bytes }) => phase === 'layers' && bytes === probeBytes)).to.equal(true);
    expect(told.filter(({ what }) => what === 'opened by probe')).to.have.length(ends.length);
    expect(probed.map(({ seenBy, phase }) => [seenBy, phase])).to.deep.equal(ends.map(() => ['probe', 'layers']));
  });

  it('asks about the phase that failed, and no other', async () => {
    start();
    serve();
    trip('metadata');
    await time.passMs(15_000);
    expect(staged.asked.map(({ phase }) => phase)).to.deep.equal(['metadata']);
    expect(circuits.place(quay, 'layers')).to.equal('closed');
  });

  it('closes a healed circuit by itself within three intervals and five seconds of the cool-down', async () => {
    for (const random of [0, 0.5, 0.999]) {
      start({}, { random: () => random });
      serve();
      trip();
      const openedAtMs = monotonicMs();
      staged.mood = 'well';
      await time.passMs(15_000 + 3 * 2_500 + 5_000);
      expect(told.at(-1)?.what).to.equal('closed by probe');
      expect((told.at(-1)?.atMs ?? Infinity) - openedAtMs).to.be.at.most(15_000 + 2 * 2_500 * (1 + probeJitter) + 1);
      expect(circuits.place(quay, 'layers')).to.equal('closed');
      const asked = staged.asked.length;
      await time.passMs(60_000);
      expect(staged.asked, 'it is well').to.have.length(asked);
      staged.mood = broken;
    }
  });

  it('lets no pull try a half-open registry before a probe found it well', async () => {
    start();
    serve();
    staged.mood = 'silent';
    trip();
    await time.passMs(15_000);
    expect(circuits.place(quay, 'layers', { trial: true })).to.equal('half-open-full');
    await time.passMs(5_000);
    expect(circuits.place(quay, 'layers', { trial: true }), 'its first byte was late').to.equal('open');
    staged.mood = 'well';
    await time.passMs(30_000);
    expect(circuits.place(quay, 'layers', { trial: true })).to.equal('half-open');
  });

  it('leaves it to the pulls where nothing is known that could be asked for', async () => {
    start();
    trip();
    expect(healthOf('layers').nextProbeAtMs).to.equal(null);
    await time.passMs(15_000);
    expect(staged.asked).to.deep.equal([]);
    expect(circuits.place(quay, 'layers', { trial: true })).to.equal('half-open');
  });

  it('begins as soon as there is something to ask for', async () => {
    start();
    trip();
    await time.passMs(20_000);
    serve();
    await time.passMs(0);
    expect(askedAtMs()).to.deep.equal([20_000]);
  });

  it('leaves it to the pulls where a probe cannot prove what was wrong', async () => {
    start();
    serve();
    staged.mood = 'well';
    trip('layers', { cause: 'content', code: 'digest-mismatch', message: 'wrong bytes' });
    trip('metadata', { cause: 'content', code: 'malformed-json', message: 'no manifest' });
    await time.passMs(60_000);
    expect(staged.asked).to.deep.equal([]);
    expect(circuits.place(quay, 'layers', { trial: true })).to.equal('half-open');
  });

  it('leaves alone what an operator holds, and goes on afterwards', async () => {
    start();
    serve();
    trip();
    circuits.hold(quay, 'layers', 'open');
    await time.passMs(60_000);
    expect(staged.asked).to.deep.equal([]);
    circuits.hold(quay, 'layers', null);
    await time.passMs(0);
    expect(staged.asked).to.have.length(1);
  });

  it('waits as long as the registry wants to be left alone', async () => {
    start();
    serve();
    trip();
    circuits.limit(quay, 'layers', monotonicMs() + 40_000);
    await time.passMs(39_999);
    expect(staged.asked).to.deep.equal([]);
    staged.mood = { kind: 'status', status: 429, from: 'registry', specCodes: [], retryAfterMs: 20_000 };
    await time.passMs(1);
    expect(circuits.limitedUntilMs(quay, 'layers')).to.equal(60_000);
    staged.mood = 'well';
    await time.passMs(20_000);
    expect(askedAtMs()).to.deep.equal([40_000, 60_000]);
  });

  it('says when the next probe is due', async () => {
    start();
    serve();
    trip();
    expect(healthOf('layers').nextProbeAtMs).to.equal(epochMs() + 15_000);
    expect(healthOf('metadata').nextProbeAtMs).to.equal(null);
    staged.mood = 'well';
    await time.passMs(15_000);
    expect(healthOf('layers').nextProbeAtMs).to.equal(epochMs() + 2_500);
    await time.passMs(10_000);
    expect(healthOf('layers')).to.deep.include({ state: 'closed', nextProbeAtMs: null });
  });

  it('moves nothing for what fails on this host, and asks less often while it does', async () => {
    start();
    serve();
    staged.mood = { kind: 'dns', code: 'failed', scope: 'all' };
    trip();
    await time.passMs(75_000);
    expect(askedAtMs()).to.deep.equal([15_000, 20_000, 30_000, 45_000, 60_000, 75_000]);
    expect(circuits.place(quay, 'layers')).to.equal('half-open-full');
    expect(probed).to.deep.equal([]);
    staged.mood = 'well';
    await time.passMs(25_000);
    expect(circuits.place(quay, 'layers')).to.equal('closed');
  });

  it('asks one thing at a time of a registry and phase', async () => {
    start({ coolDownMs: 1_000 });
    serve();
    staged.mood = 'silent';
    trip('layers');
    trip('metadata');
    let most = 0;
    for (let second = 0; second < 60; second += 1) {
      await time.passMs(500);
      most = Math.max(most, staged.open);
      circuits.place(quay, 'layers');
    }
    expect(most).to.equal(2);
  });

  for (const [maxBytesPerMinute, perProbe] of [
    [3 * probeBytes, probeBytes],
    [1_000, 1_000],
  ] as const) {
    it(`reads no more than ${maxBytesPerMinute} bytes within any minute, where that is the limit`, async () => {
      start({ coolDownMs: 5_000, probe: { intervalMs: 100, maxBytesPerMinute } });
      serve();
      staged.mood = (nowMs) => (nowMs % 7_000 < 5_000 ? 'well' : broken);
      trip();
      for (let minute = 0; minute < 10; minute += 1) {
        await time.passMs(60_000);
        if (circuits.place(quay, 'layers') === 'closed') trip();
      }
      expect(staged.asked.length).to.be.greaterThan(10);
      expect(staged.asked.every(({ bytes }) => bytes === perProbe)).to.equal(true);
      for (const { atMs } of staged.asked) {
        const inMinute = staged.asked.filter((each) => each.atMs >= atMs && each.atMs < atMs + 60_000);
        expect(inMinute.reduce((sum, { sentBytes }) => sum + sentBytes, 0)).to.be.at.most(maxBytesPerMinute);
      }
    });
  }

  it('asks nobody once another process has found out', async () => {
    start({}, { shared: true });
    serve();
    const other = createCircuits(parseHealthOptions({}), {}, { registries: [quay], random: () => 0, document });
    trip();
    await circuits.flush();
    await other.load();
    staged.mood = 'well';
    await time.passMs(16_000);
    expect(askedAtMs()).to.deep.equal([15_000]);
    other.record(quay, 'layers', { ill: stalled });
    await other.flush();
    await time.passMs(29_999);
    expect(askedAtMs()).to.deep.equal([15_000]);
    expect(told.at(-1)?.what).to.equal('opened by state');
    await time.passMs(2);
    expect(askedAtMs()).to.deep.equal([15_000, 46_000]);
  });

  it('ends what is under way when it is closed, and asks nobody any more', async () => {
    start({ canary: { intervalMs: 1_000 } });
    serve();
    staged.mood = 'silent';
    trip();
    await time.passMs(15_000);
    expect(staged.open).to.be.greaterThan(0);
    await probers[0]?.close();
    expect(staged.open).to.equal(0);
    const asked = staged.asked.length;
    await time.passMs(600_000);
    expect(staged.asked).to.have.length(asked);
    expect(probed.filter(({ phase }) => phase === 'layers')).to.deep.equal([]);
  });

  describe('with canaries', () => {
    const health: HealthOptions = { canary: { intervalMs: 60_000 } };

    it('looks at each phase of a registry that is taken for well, every so often', async () => {
      start(health);
      serve();
      staged.mood = 'well';
      await time.passMs(180_001);
      for (const phase of ['metadata', 'layers'] as const) {
        const atMs = staged.asked.filter((each) => each.phase === phase).map((each) => each.atMs);
        expect(atMs).to.deep.equal([0, 60_000, 120_000, 180_000]);
      }
      expect(told).to.deep.equal([]);
    });

    it('sees that layers are dead while metadata is fine, before any pull', async () => {
      start(health);
      serve();
      staged.mood = (nowMs, phase) => (phase === 'layers' && nowMs > 30_000 ? broken : 'well');
      await time.passMs(65_000);
      expect(told.map(({ what, phase }) => `${phase} ${what}`)).to.deep.equal(['layers opened by canary']);
    });

    it('looks again soon after a bad look', async () => {
      start(health);
      serve();
      await time.passMs(2_501);
      expect(told.map(({ what, phase }) => `${phase} ${what}`)).to.have.members([
        'layers opened by canary',
        'metadata opened by canary',
      ]);
    });

    it('looks at nobody whom the host did not list', async () => {
      start(health);
      serve('tenant.example');
      circuits.record('tenant.example', 'metadata', 'good');
      await time.passMs(600_000);
      expect(staged.asked).to.deep.equal([]);
    });

    it('begins at another time for each registry and host', async () => {
      let next = 0;
      start(health, { random: () => (next = (next + 0.37) % 1) });
      serve();
      staged.mood = 'well';
      await time.passMs(60_000);
      expect(new Set(askedAtMs()).size).to.equal(staged.asked.length);
      expect(Math.min(...askedAtMs())).to.be.greaterThan(0);
    });
  });

  for (const [wellMs, illMs] of [
    [2_000, 2_000],
    [4_000, 3_000],
    [6_000, 4_000],
    [20_000, 10_000],
  ] as const) {
    it(`switches a bounded number of times while a registry is well for ${wellMs} ms and ill for ${illMs} ms in turn`, async () => {
      start();
      serve();
      const isWell = (nowMs: number): boolean => nowMs % (wellMs + illMs) < wellMs;
      staged.mood = (nowMs) => (isWell(nowMs) ? 'well' : broken);
      let late = 0;
      for (let second = 0; second < 1_200; second += 1) {
        // A pull each second: from this registry where it is its turn, else from the next one.
        const place = circuits.place(quay, 'layers', { trial: true });
        if (place === 'closed' || place === 'half-open') {
          const good = isWell(monotonicMs());
          if (!good) late += 1;
          circuits.record(quay, 'layers', good ? 'good' : { ill: stalled });
        }
        await time.passMs(1_000);
      }
      const opened = told.filter(({ what }) => what.startsWith('opened')).length;
      const closed = told.filter(({ what }) => what.startsWith('closed')).length;
      expect(opened).to.be.within(1, 10);
      expect(closed).to.be.at.most(opened);
      expect(late, 'pulls of 1,200 that had to go on elsewhere').to.be.at.most(2 * opened);
      // And once it stays well, it is back within the longest cool-down.
      staged.mood = 'well';
      await time.passMs(300_000 + 15_000);
      expect(circuits.place(quay, 'layers')).to.equal('closed');
    });
  }

  it('keeps no process alive', async function () {
    this.timeout(15_000);
    const script = fileURLToPath(new URL('../support/probing-process.ts', import.meta.url));
    const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', script], { timeout: 14_000 });
    expect(JSON.parse(stdout)).to.deep.equal([true, false, true, false]);
  });
});
