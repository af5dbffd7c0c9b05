import { expect } from 'chai';
import type { CircuitHealth } from '../../lib/health/circuit.js';
import { layers, metadata } from '../../lib/testing/fault-groups.js';
import type { RegistryDouble } from '../../lib/testing/registry-double.js';
import { seededImage } from '../../lib/testing/seeded-image.js';
import { until } from '../support/until.js';
import { type RecordedPuller, usePullRig } from './pull-rig.js';

const count = 50;
const images = Object.fromEntries(
  Array.from({ length: count }, (_, n) => [
    `team/app:${n}`,
    seededImage({ layers: 1, bytes: 150_000, seed: `failback ${n}` }),
  ]),
);
const coolDownMs = 1_000;
const probeMs = 100;

describe('a registry whose layers are dead', function () {
  this.timeout(60_000);
  const rig = usePullRig();
  let first: RegistryDouble;
  let registries: readonly string[];

  beforeEach(async () => {
    ({ first, prefixes: registries } = await rig.pair(images));
  });

  const open = (): RecordedPuller =>
    rig.puller({
      registries,
      timeouts: { layers: { firstByteMs: 1_000, stallMs: 300 } },
      transfer: { hedge: { layersMs: Infinity } },
      health: { coolDownMs, maxCoolDownMs: coolDownMs, probe: { intervalMs: probeMs } },
    });
  const pull = (puller: RecordedPuller, n: number): ReturnType<RecordedPuller['pullWithFailover']> =>
    puller.pullWithFailover(`${first.host}/team/app:${n}`);
  const stateOf = (puller: RecordedPuller): CircuitHealth | undefined =>
    puller.health().find(({ registry, phase }) => registry === registries[0] && phase === 'layers');
  const blobsAskedOf = (registry: RegistryDouble): number =>
    registry.requests.filter(({ kind }) => kind === 'blob').length;

  it('is left alone but for one probe per cool-down, its metadata stays in use, and no pull waits for it again', async () => {
    const puller = open();
    // Healthy first, so that there is something to probe.
    await pull(puller, 0);
    await first.setFaults([layers.stall({ afterBytes: 60_000 })]);
    for (let n = 1; stateOf(puller)?.state !== 'open'; n += 1) await pull(puller, n);
    const openedAtMs = Date.now();
    const asked = blobsAskedOf(first);
    const manifests = first.requests.filter(({ kind }) => kind === 'manifest').length;
    for (let n = 10; n < count; n += 1) {
      const { failovers, served } = await pull(puller, n);
      expect(failovers, `pull ${n}`).to.deep.equal([]);
      expect(served.map(({ registry }) => registry)).to.deep.equal(registries);
    }
    const coolDowns = Math.ceil((Date.now() - openedAtMs) / (coolDownMs * 0.8));
    expect(blobsAskedOf(first) - asked).to.be.at.most(coolDowns);
    expect(first.requests.filter(({ kind }) => kind === 'manifest').length - manifests).to.equal(count - 10);
  });

  it('is found to be well without any pull, at the offset where it failed, and serves again', async () => {
    const puller = open();
    await pull(puller, 0);
    await first.setFaults([layers.stall({ afterBytes: 60_000 })]);
    for (let n = 1; stateOf(puller)?.state !== 'open'; n += 1) await pull(puller, n);
    const before = first.requests.length;
    await until(
      () => puller.heard.filter(({ type }) => type === 'circuit:opened').length > 1,
      'the probe that failed has opened it again',
    );
    const probes = first.requests.slice(before).filter(({ kind }) => kind === 'blob');
    expect(probes).to.not.have.length(0);
    const healedAtMs = Date.now();
    await first.setFaults([]);
    await until(() => stateOf(puller)?.state === 'closed', 'it is well');
    expect(Date.now() - healedAtMs).to.be.below(coolDownMs + 3 * probeMs + 5_000);
    const closed = puller.heard.find((event) => event.type === 'circuit:closed');
    expect(closed).to.include({ seenBy: 'probe', phase: 'layers' });
    const { served, attempts } = await pull(puller, 49);
    expect(attempts).to.deep.equal([]);
    expect(served.map(({ registry }) => registry)).to.deep.equal([registries[0]]);
  });

  it('is found to be well though it has served nothing before, and its limit expired after the pull had its layers', async () => {
    const puller = rig.puller({
      registries,
      timeouts: { layers: { firstByteMs: 1_000, stallMs: 800 } },
      health: { coolDownMs: 300, maxCoolDownMs: 300, probe: { intervalMs: probeMs } },
    });
    await first.setFaults([layers.stall({ afterBytes: 60_000 })]);
    for (const n of [0, 1]) await pull(puller, n);
    await until(() => stateOf(puller)?.state === 'open', 'its limits have expired');
    await first.setFaults([]);
    await until(() => stateOf(puller)?.state === 'closed', 'a probe has found it well');
  });

  it('is unproven on the first engine, is the storage of the registry with the second, and both phases heal', async () => {
    const puller = open();
    const on = (n: number, host: string): ReturnType<RecordedPuller['pullWithFailover']> =>
      puller.pullWithFailover(`${first.host}/team/app:${n}`, { engine: rig.engine(host) });
    const findings = () => puller.heard.flatMap((event) => (event.type === 'registry:failed' ? [event] : []));
    await on(0, 'host-1');
    await first.setFaults([layers.stall({ afterBytes: 60_000 })]);
    await on(1, 'host-1');
    expect(findings().map(({ finding }) => finding?.fault)).to.deep.equal(['unproven']);
    await on(2, 'host-2');
    const second = findings().at(-1);
    expect(second?.reason.cause).to.equal('registry-storage');
    expect(second?.finding).to.include({ fault: 'registry', evidence: 'two-engines' });
    expect(stateOf(puller)?.state).to.equal('open');

    await first.setFaults([layers.stall({ afterBytes: 60_000 }), metadata.status(503)]);
    for (const n of [3, 4]) await on(n, 'host-2');
    const states = (): readonly string[] =>
      puller.health().flatMap(({ registry, state }) => (registry === registries[0] ? [state] : []));
    expect(states(), 'metadata by itself, later').to.not.include('closed');
    await first.setFaults([]);
    await until(() => states().every((state) => state === 'closed'), 'both are well');
    expect(puller.heard.filter(({ type }) => type === 'pull:failed')).to.deep.equal([]);
  });

  it('is known to a host that was restarted, which pays nothing for it again', async () => {
    const stateDir = `${rig.directory}/state`;
    const options = {
      registries,
      stateDir,
      timeouts: { layers: { firstByteMs: 1_000, stallMs: 300 } },
      transfer: { hedge: { layersMs: Infinity } },
    };
    await first.setFaults([layers.stall({ afterBytes: 60_000 })]);
    const before = rig.puller(options);
    for (const n of [0, 1]) await pull(before, n);
    await before.close();
    const asked = blobsAskedOf(first);
    const after = rig.puller(options);
    const { failovers } = await pull(after, 2);
    expect(failovers).to.deep.equal([]);
    expect(blobsAskedOf(first)).to.equal(asked);
    expect(stateOf(after)?.state).to.equal('open');
    expect(after.heard.find((event) => event.type === 'circuit:opened')).to.include({ seenBy: 'state' });
  });
});
