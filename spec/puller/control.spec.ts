import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { isImageRefusedError } from '../../lib/errors/image-refused-error.js';
import type { PullEventOf } from '../../lib/events/pull-event.js';
import { layers, metadata } from '../../lib/testing/fault-groups.js';
import type { RegistryDouble } from '../../lib/testing/registry-double.js';
import { seededImage } from '../../lib/testing/seeded-image.js';
import { failureOf } from '../support/failure-of.js';
import { until } from '../support/until.js';
import { expectWhole, type RecordedPuller, usePullRig } from './pull-rig.js';

const image = seededImage({ layers: 2, bytes: 200_000, seed: 'control' });
const many = Object.fromEntries(
  Array.from({ length: 25 }, (_, n) => [
    `team/app:${n}`,
    seededImage({ layers: 1, bytes: 120_000, seed: `control ${n}` }),
  ]),
);
const act = { reason: 'the storage of the first stalls', actor: 'joe' };

describe("an operator's hand", () => {
  const rig = usePullRig();
  let first: RegistryDouble;
  let second: RegistryDouble;
  let prefixes: readonly [string, string];
  let name: string;

  beforeEach(async () => {
    const images = { ...many, 'team/app:db': image };
    ({ first, second, prefixes } = await rig.pair(images));
    name = `${first.host}/team/app:db`;
  });

  const servedBy = async (puller: RecordedPuller, kind: string): Promise<readonly string[]> =>
    (await puller.pullWithFailover(name, { operation: { kind } })).served.map(({ registry }) => registry);
  const changes = (puller: RecordedPuller): readonly PullEventOf<'operator:changed'>[] =>
    puller.heard.filter((event): event is PullEventOf<'operator:changed'> => event.type === 'operator:changed');

  it('prefers a registry for one kind of operation, until it is released', async () => {
    const puller = rig.puller({ registries: prefixes });
    const preferred = puller.control.prefer(prefixes[1], { scope: { operationKind: 'database' }, ...act });
    expect(await servedBy(puller, 'database')).to.deep.equal([prefixes[1]]);
    expect(await servedBy(puller, 'app')).to.deep.equal([prefixes[0]]);
    const plan = await puller.explain(name, { operation: { kind: 'database' } });
    expect(plan.order.layers).to.deep.equal([prefixes[1], prefixes[0]]);
    expect(plan.candidates.map((candidate) => candidate.layers)).to.deep.equal(['listed', 'preferred']);
    expect(preferred.release()).to.equal(true);
    expect(await servedBy(puller, 'database')).to.deep.equal([prefixes[0]]);
    expect(changes(puller).map(({ change, control }) => [change, control?.act, control?.actor])).to.deep.equal([
      ['set', 'prefer', 'joe'],
      ['released', 'prefer', 'joe'],
    ]);
  });

  it('bans a registry: it is in the plan, with the reason, and gets no request', async () => {
    const puller = rig.puller({ registries: prefixes });
    puller.control.ban(prefixes[0], act);
    expect(await servedBy(puller, 'app')).to.deep.equal([prefixes[1]]);
    expect(first.requests).to.have.length(0);
    const plan = await puller.explain(name);
    expect(plan.candidates.map((candidate) => candidate.metadata)).to.deep.equal(['banned', 'listed']);
    expect(plan.order.metadata).to.deep.equal([prefixes[1]]);
  });

  it('bans in one phase alone', async () => {
    const puller = rig.puller({ registries: prefixes });
    puller.control.ban(prefixes[0], { scope: { phase: 'layers' }, ...act });
    const { served } = await puller.pullWithFailover(name);
    expect(served.map(({ registry, objects }) => [registry, objects])).to.deep.equal([
      [prefixes[0], 1],
      [prefixes[1], 3],
    ]);
  });

  it('bans the last one only when that is forced, and then says so without a request', async () => {
    const puller = rig.puller({ registries: prefixes });
    puller.control.ban(prefixes[0], act);
    expect(() => puller.control.ban(prefixes[1], act)).to.throw(/force/);
    puller.control.ban(prefixes[1], { force: true, ...act });
    const before = first.requests.length + second.requests.length;
    expect(await failureOf(puller.pullWithFailover(name))).to.satisfy(isImageRefusedError);
    expect(first.requests.length + second.requests.length).to.equal(before);
  });

  it('holds a circuit open or closed, whatever happens', async () => {
    const puller = rig.puller({ registries: prefixes });
    const held = puller.control.hold(prefixes[0], { phase: 'layers', as: 'open', ...act });
    expect(await servedBy(puller, 'app')).to.deep.equal(prefixes);
    const stateNow = () =>
      puller.health().find(({ registry, phase }) => registry === prefixes[0] && phase === 'layers')?.state;
    expect(stateNow()).to.equal('held');
    held.release();
    expect(stateNow()).to.equal('closed');
    puller.control.hold(prefixes[0], { phase: 'layers', as: 'closed', ...act });
    await first.setFaults([layers.status(500)]);
    for (const n of [0, 1, 2]) await puller.pullWithFailover(`${first.host}/team/app:${n}`);
    const plan = await puller.explain(name);
    expect(plan.candidates[0]?.layers).to.equal('held-closed');
    expect(plan.order.layers[0]).to.equal(prefixes[0]);
  });

  it('comes before what a circuit says: who is preferred is asked first though its circuit is open', async () => {
    await first.setFaults([layers.status(500)]);
    const puller = rig.puller({ registries: prefixes });
    for (const n of [0, 1]) await puller.pullWithFailover(`${first.host}/team/app:${n}`);
    expect((await puller.explain(name)).candidates[0]?.layers).to.equal('circuit-open');
    puller.control.prefer(prefixes[0], act);
    expect((await puller.explain(name)).order.layers).to.deep.equal(prefixes);
  });

  /** How an operator says it; both hold for as long. */
  const holdsForMs = 8_000;
  const ways: readonly {
    readonly by: string;
    readonly ban: (puller: RecordedPuller, file: string) => Promise<void>;
  }[] = [
    {
      by: 'by a call',
      ban: async (puller) => {
        puller.control.ban(prefixes[0], { scope: { operationKind: 'database' }, forMs: holdsForMs, ...act });
      },
    },
    {
      by: 'by the control file',
      ban: async (_, file) => {
        const untilMs = Date.now() + holdsForMs;
        const control = { act: 'ban', registry: prefixes[0], scope: { operationKind: 'database' }, untilMs, ...act };
        await writeFile(`${file}.new`, JSON.stringify({ version: 1, controls: [control] }));
        await rename(`${file}.new`, file);
      },
    },
  ];

  for (const { by, ban } of ways)
    it(`moves the pulls of one kind that are under way, within a second and from the byte reached, and no others, until it expires: ${by}`, async () => {
      const file = join(rig.directory, 'controls.json');
      const slow = [layers.drip({ bytesPerSecond: 20_000, afterBytes: 50_000 })];
      await first.setFaults(slow);
      const puller = rig.puller({
        registries: prefixes,
        controlFile: file,
        timeouts: { layers: { minBytesPerSecond: 1, stallMs: 60_000 } },
        transfer: { hedge: { layersMs: Infinity, metadataMs: Infinity } },
      });
      const engines = ['database', 'app'].map((kind) => rig.engine(kind));
      const begun = engines.flatMap((engine, of) =>
        Array.from({ length: 25 }, (_, n) =>
          puller.pullWithFailover(`${first.host}/team/app:${n}`, {
            engine,
            operation: { kind: of === 0 ? 'database' : 'app', id: `${n}` },
          }),
        ),
      );
      const underWay = (kind: string): number =>
        new Set(
          puller.heard.flatMap((event) =>
            event.type === 'pull:progressed' &&
            event.operation?.kind === kind &&
            event.layers.some(({ doneBytes }) => doneBytes >= 50_000)
              ? [event.pullId]
              : [],
          ),
        ).size;
      await until(() => underWay('database') >= 3 && underWay('app') >= 3, 'layers of both kinds are slow');
      const movedAtMs = Date.now();
      await ban(puller, file);
      const databases = await Promise.all(begun.slice(0, 25));
      expect(Date.now() - movedAtMs, 'all of them are there').to.be.below(5_000);
      expect(second.requests.filter(({ kind }) => kind === 'blob')).to.not.have.length(0);
      for (const { failovers, served } of databases) {
        expect(served.map(({ registry }) => registry)).to.include(prefixes[1]);
        for (const { reason } of failovers) expect(reason).to.include({ cause: 'caller', code: 'steered' });
      }
      const moved = puller.heard.filter(
        (event): event is PullEventOf<'pull:failed-over'> => event.type === 'pull:failed-over',
      );
      expect(moved).to.not.have.length(0);
      for (const { operation, atMs, bytesKept } of moved) {
        expect(operation?.kind).to.equal('database');
        expect(atMs - movedAtMs).to.be.below(1_000);
        expect(bytesKept).to.be.at.least(0);
      }
      expect(Math.max(...moved.map(({ bytesKept }) => bytesKept)), 'from the byte reached').to.be.greaterThan(0);
      await first.setFaults([]);
      for (const { served } of await Promise.all(begun.slice(25))) {
        expect(served.map(({ registry }) => registry)).to.deep.equal([prefixes[0]]);
      }
      const three = many['team/app:3'] ?? image;
      for (const engine of engines) await expectWhole(engine, `${first.host}/team/app:3`, three);

      await until(() => changes(puller).some(({ change }) => change === 'expired'), 'it has expired');
      expect(await servedBy(puller, 'database')).to.deep.equal([prefixes[0]]);
    }).timeout(60_000);

  it('lets requests under way finish where that is wanted', async () => {
    await first.setFaults([layers.drip({ bytesPerSecond: 100_000, afterBytes: 100_000 })]);
    const puller = rig.puller({ registries: prefixes, transfer: { hedge: { layersMs: Infinity } } });
    const begun = puller.pullWithFailover(name);
    await until(
      () => first.requests.filter(({ kind, status }) => kind === 'blob' && status !== null).length === 3,
      'every blob is being answered',
    );
    puller.control.ban(prefixes[0], { inFlight: 'finish', ...act });
    expect((await begun).served.map(({ registry }) => registry)).to.deep.equal([prefixes[0]]);
    expect(await servedBy(puller, 'app')).to.deep.equal([prefixes[1]]);
  });

  it('frees a pull that waits for a manifest', async () => {
    await first.setFaults([metadata.noHeaders()]);
    const puller = rig.puller({ registries: prefixes, transfer: { hedge: { metadataMs: Infinity } } });
    const begun = puller.pullWithFailover(name);
    await until(() => first.requests.length > 0, 'it is asked');
    const atMs = Date.now();
    puller.control.ban(prefixes[0], act);
    const { served, failovers } = await begun;
    expect(Date.now() - atMs).to.be.below(2_000);
    expect(served.map(({ registry }) => registry)).to.deep.equal([prefixes[1]]);
    expect(failovers.map(({ phase, reason }) => [phase, reason.code])).to.deep.equal([['metadata', 'steered']]);
  });

  it('ends by itself', async () => {
    const puller = rig.puller({ registries: prefixes });
    puller.control.ban(prefixes[0], { forMs: 50, ...act });
    await until(() => changes(puller).some(({ change }) => change === 'expired'), 'it has expired');
    expect(await servedBy(puller, 'app')).to.deep.equal([prefixes[0]]);
  });

  it('lets parked pulls try again at once', async () => {
    await first.setFaults([metadata.status(503)]);
    await second.setFaults([metadata.status(503)]);
    const puller = rig.puller({ registries: prefixes, whenExhausted: { waitMs: 60_000 } });
    const begun = puller.pullWithFailover(name);
    await until(() => puller.parked.list().length === 1, 'it is parked');
    await second.setFaults([]);
    puller.control.prefer(prefixes[1], act);
    expect((await begun).served.map(({ registry }) => registry)).to.deep.equal([prefixes[1]]);
    const resumed = puller.heard.find((event): event is PullEventOf<'pull:resumed'> => event.type === 'pull:resumed');
    expect(resumed?.why).to.equal('operator');
  });

  it('is told of in events that say what, who, why and until when', () => {
    const puller = rig.puller({ registries: prefixes });
    puller.control.prefer(prefixes[1], { forMs: 60_000, ...act });
    const [event] = puller.heard;
    if (event?.type !== 'operator:changed') throw new Error('nothing was told');
    expect(event.control).to.deep.include({ act: 'prefer', registry: prefixes[1], ...act, origin: 'call' });
    expect(event.control?.untilMs).to.be.greaterThan(event.atMs);
    expect(event.message).to.include('joe');
  });
});
