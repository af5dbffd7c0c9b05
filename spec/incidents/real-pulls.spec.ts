import { expect } from 'chai';
import type { Incident } from '../../lib/incidents/incident.js';
import { createIncidentRecorder, type IncidentRecorder } from '../../lib/incidents/incident-recorder.js';
import { readIncident } from '../../lib/incidents/read-incident.js';
import { renderIncident } from '../../lib/incidents/render-incident.js';
import { layers } from '../../lib/testing/fault-groups.js';
import type { RegistryDouble } from '../../lib/testing/registry-double.js';
import { seededImage } from '../../lib/testing/seeded-image.js';
import type { PullReport } from '../../lib/vocabulary/report.js';
import { type RecordedPuller, usePullRig } from '../puller/pull-rig.js';
import { until } from '../support/until.js';

const images = Object.fromEntries(
  Array.from({ length: 60 }, (_, n) => [`team/app:${n}`, seededImage({ bytes: 60_000, seed: `incident ${n}` })]),
);

describe('the record of real pulls', () => {
  const rig = usePullRig();
  let first: RegistryDouble;
  let second: RegistryDouble;
  let puller: RecordedPuller;
  let recorder: IncidentRecorder;
  let pulled: PullReport[];

  beforeEach(async () => {
    first = await rig.registry({ images });
    second = await rig.registry({ images });
    const registries = [`${first.host}/team`, `${second.host}/team`];
    puller = rig.puller({ registries, health: { coolDownMs: 50, maxCoolDownMs: 50 } });
    recorder = createIncidentRecorder({ circuits: () => puller.health() });
    puller.events.on('*', (event) => recorder.observe(event));
    pulled = [];
  });

  async function pull(n: number, kind: string, engine = 'images'): Promise<void> {
    const image = `${first.host}/team/app:${n}`;
    const operation = { kind, id: `op-${n}` };
    pulled.push(await puller.pullWithFailover(image, { operation, engine: rig.engine(engine, { id: engine }) }));
  }

  it('tells who was saved by whom, from the first failure to the failback, and each byte', async () => {
    await first.setFaults([layers.reset({ afterBytes: 10_000 })]);
    await pull(0, 'database', 'host-4');
    await Promise.all([pull(1, 'database', 'host-17'), pull(1, 'app', 'host-17')]);
    const current = recorder.current();
    expect(current, 'two ill pulls in a row open the circuit').to.not.equal(null);
    await pull(2, 'app');
    await first.setFaults([]);
    let next = 3;
    await until(async () => {
      await pull(next, 'app');
      next += 1;
      return recorder.current() === null || next === 60;
    });

    const [incident] = recorder.list() as readonly [Incident];
    expect(incident.id).to.equal(current?.id);
    expect(incident.registries).to.deep.equal([`${first.host}/team`]);
    expect(incident.circuits.at(0)).to.include({ phase: 'layers', state: 'open' });
    expect(incident.circuits.at(-1)).to.include({ phase: 'layers', state: 'closed' });
    const early = incident.operations.slice(0, 3).map(({ kind, outcome, savedBy }) => [kind, outcome, savedBy]);
    expect(early).to.have.deep.members([
      ['database', 'saved', 'failover'],
      ['database', 'saved', 'failover'],
      ['app', 'saved', 'failover'],
    ]);
    expect(incident.failures[0]?.engines).to.have.members(['host-4', 'host-17']);
    expect(incident.failovers).to.have.length(1);
    expect(incident.failovers[0]?.count, 'one is told by two pulls that share it').to.equal(2);

    const shared = pulled.filter(({ operation }) => operation?.id === 'op-1').slice(1);
    for (const [at, { host }] of [first, second].entries()) {
      const registry = `${host}/team`;
      const recorded = incident.throughput.registries.find((each) => each.registry === registry)?.bytes ?? 0;
      const reported = pulled
        .filter((report) => !shared.includes(report))
        .flatMap(({ served }) => served)
        .filter((each) => each.registry === registry)
        .reduce((sum, { bytes }) => sum + bytes, 0);
      // The pull that closed the circuit ends after the incident does.
      const last = pulled.at(-1)?.served.find((each) => each.registry === registry)?.bytes ?? 0;
      expect(recorded, `registry ${at}`).to.be.within(reported - last, reported);
    }
    expect(readIncident(JSON.parse(renderIncident(incident, 'json')))).to.deep.equal(incident);
  });

  it('tells of a pull that was parked that it was late, and of one that found nobody that it failed', async () => {
    for (const registry of [first, second]) await registry.setFaults([layers.reset({ afterBytes: 10_000 })]);
    const failed = await Promise.allSettled([pull(0, 'app'), pull(1, 'app')]);
    expect(failed.map(({ status }) => status)).to.deep.equal(['rejected', 'rejected']);
    const image = `${first.host}/team/app:2`;
    const operation = { kind: 'database', id: 'op-2' };
    const late = puller.pullWithFailover(image, { operation, whenExhausted: { waitMs: 60_000 } });
    await until(() => puller.parked.list().length === 1);
    for (const registry of [first, second]) await registry.setFaults([]);
    await late;
    await until(() => recorder.current() !== null || recorder.list().length > 0);
    const [incident] = [...recorder.list(), recorder.current()].filter((each) => each !== null);
    expect(incident?.operations.map(({ id, outcome }) => [id, outcome])).to.have.deep.members([
      ['op-0', 'failed'],
      ['op-1', 'failed'],
      ['op-2', 'late'],
    ]);
    for (const { outcome, error, lateMs } of incident?.operations ?? []) {
      expect(error?.code).to.equal(outcome === 'failed' ? 'ERR_PULL_EXHAUSTED' : undefined);
      expect(lateMs > 0).to.equal(outcome === 'late');
    }
  });
});
