import { expect } from 'chai';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createControls, type Controls } from '../../../lib/health/control/controls.js';
import type { ControlChange } from '../../../lib/health/control/placed-control.js';
import { controlsDocument, type StoredControls } from '../../../lib/health/control/stored-controls.js';
import type { StateDocument } from '../../../lib/health/state-document.js';
import { openStateStore } from '../../../lib/health/state-store.js';
import { startFakeTime } from '../../support/fake-time.js';
import { useTemporaryDirectory } from '../../support/temporary-directory.js';

const quay = 'quay.io/aptible';
const hub = 'docker.io/aptible';

describe('what operators said by calls', () => {
  const temporary = useTemporaryDirectory();
  const opened: Controls[] = [];

  afterEach(async () => {
    for (const controls of opened.splice(0)) {
      controls.close();
      await controls.flush();
    }
  });

  const open = (
    options: { readonly document?: StateDocument<StoredControls>; readonly registries?: readonly string[] } = {},
  ): { readonly controls: Controls; readonly told: string[] } => {
    const told: string[] = [];
    const controls = createControls({
      replicaSets: [{ name: 'default', registries: options.registries ?? [quay, hub, 'ghcr.io/x'] }],
      document: options.document ?? openStateStore(temporary.path).document(controlsDocument),
      onChanged: ({ change, control }: ControlChange) => told.push(`${change} ${control?.act} ${control?.registry}`),
    });
    opened.push(controls);
    return { controls, told };
  };
  const file = (): string => join(temporary.path, 'controls.json');
  const written = async (): Promise<{ readonly version: number; readonly controls: readonly object[] }> =>
    JSON.parse(await readFile(file(), 'utf8'));

  it('survives a restart as it was, and is told', async () => {
    const before = open();
    before.controls.prefer(hub, {
      scope: { operationKind: 'database', replicaSet: 'default', phase: 'layers' },
      reason: 'x',
      actor: 'ann',
      forMs: 3_600_000,
    });
    before.controls.hold(quay, { as: 'open', inFlight: 'finish' });
    before.controls.apply({ controls: [{ id: 'q', act: 'ban', registry: quay, force: true }] });
    await before.controls.flush();
    const after = open();
    await after.controls.load();
    expect(after.controls.list()).to.deep.equal(before.controls.list());
    expect(after.told.toSorted()).to.deep.equal([`set ban ${quay}`, `set hold ${quay}`, `set prefer ${hub}`]);
    await after.controls.load();
    expect(after.told).to.have.length(3);
  });

  it('is one file that says its version, and holds only what is in force', async () => {
    const { controls } = open();
    controls.prefer(hub).release();
    controls.ban(quay);
    await controls.flush();
    const { version, controls: kept } = await written();
    expect(version).to.equal(1);
    expect(kept).to.deep.equal([{ ...controls.list()[0], group: 'single', order: 2 }]);
  });

  it('of a declared state is replaced by the next one, also after a restart', async () => {
    const before = open();
    before.controls.ban(quay);
    before.controls.apply({ controls: [{ act: 'prefer', registry: hub }] });
    await before.controls.flush();
    const after = open();
    after.controls.apply({ controls: [{ act: 'prefer', registry: 'ghcr.io/x' }] });
    await after.controls.load();
    expect(
      after.controls
        .list()
        .map(({ act, registry }) => `${act} ${registry}`)
        .toSorted(),
    ).to.deep.equal([`ban ${quay}`, 'prefer ghcr.io/x']);
    await after.controls.flush();
    expect((await written()).controls).to.have.length(2);
  });

  it('of a declared state is replaced by the next one, also before it was written', async () => {
    const { controls } = open();
    controls.prefer(hub);
    controls.apply({ controls: [{ act: 'ban', registry: quay }] });
    controls.apply({ controls: [] });
    await controls.flush();
    expect((await written()).controls).to.have.length(1);
  });

  it('is taken from the disk when it was over before anybody came', async () => {
    const { controls: before } = open();
    before.ban(quay);
    await before.flush();
    const [kept] = (await written()).controls;
    await writeFile(file(), JSON.stringify({ version: 1, controls: [{ ...kept, untilMs: Date.now() - 1 }] }));
    const { controls, told } = open();
    await controls.load();
    controls.prefer(hub);
    await controls.flush();
    expect((await written()).controls).to.have.length(1);
    expect(told).to.deep.equal([`set prefer ${hub}`]);
  });

  it('holds in every process that shares the directory, and ends in all of them', async () => {
    const [one, other] = [open(), open()];
    const handle = one.controls.ban(quay);
    await one.controls.flush();
    await other.controls.load();
    expect(
      other.controls.effectOn({ registry: quay, replicaSet: 'default', operationKind: null, phase: 'layers' }).banned,
    ).to.include({ id: handle.id });
    expect(other.controls.release(handle.id)).to.equal(true);
    await other.controls.flush();
    await one.controls.load();
    expect(one.controls.list()).to.deep.equal([]);
    expect(one.told).to.deep.equal([`set ban ${quay}`, `released ban ${quay}`]);
    expect(handle.release()).to.equal(false);
  });

  it('loses nothing of what several processes say at once', async () => {
    const all = Array.from({ length: 4 }, () => open());
    const ids = all.flatMap(({ controls }, process) =>
      Array.from(
        { length: 5 },
        (_, index) => controls.prefer(hub, { scope: { operationKind: `k-${process}-${index}` } }).id,
      ),
    );
    for (const { controls } of all) await controls.flush();
    for (const { controls } of all) {
      await controls.load();
      expect(
        controls
          .list()
          .map(({ id }) => id)
          .toSorted(),
      ).to.deep.equal(ids.toSorted());
    }
  });

  it('is never taken back by a look at the disk that began before it was written', async () => {
    const inner = openStateStore(null).document(controlsDocument);
    let hold = Promise.resolve();
    const { controls, told } = open({
      document: {
        // What it found, it found before it waited.
        read: async () => {
          const found = await inner.read();
          await hold;
          return found;
        },
        update: inner.update,
      },
    });
    controls.prefer(hub);
    await controls.flush();
    let go = (): void => undefined;
    hold = new Promise((resolve) => {
      go = resolve;
    });
    const loading = controls.load();
    const { id } = controls.ban(quay);
    await controls.flush();
    go();
    await loading;
    expect(controls.list()).to.have.length(2);
    controls.release(id);
    await controls.load();
    expect(controls.list()).to.have.length(1);
    expect(told).to.deep.equal([`set prefer ${hub}`, `set ban ${quay}`, `released ban ${quay}`]);
  });

  it('holds although the disk fails, and is written when it does no longer', async () => {
    const inner = openStateStore(null).document(controlsDocument);
    let fails = true;
    const { controls, told } = open({
      document: { read: inner.read, update: async (change) => (fails ? null : inner.update(change)) },
    });
    const released = controls.prefer('ghcr.io/x');
    controls.ban(quay);
    released.release();
    await controls.flush();
    await controls.load();
    expect(controls.list().map(({ registry }) => registry)).to.deep.equal([quay]);
    fails = false;
    controls.prefer(hub);
    await controls.flush();
    expect([...(await inner.read()).values()].map(({ control }) => control.registry)).to.deep.equal([quay, hub]);
    expect(told).to.have.length(4);
  });

  for (const [what, content] of [
    ['is gone', null],
    ['is broken', '{"version":1,"controls":[{"act":"ba'],
    ['is of another version', '{"version":2,"controls":[]}'],
    ['has an entry without its id', `{"version":1,"controls":[{"act":"ban","registry":"${quay}"}]}`],
  ] as const) {
    it(`stays in force when its file ${what}`, async () => {
      const { controls, told } = open();
      controls.ban(quay);
      await controls.flush();
      await rm(file());
      if (content !== null) await writeFile(file(), content);
      await controls.load();
      expect(controls.list()).to.have.length(1);
      expect(told).to.deep.equal([`set ban ${quay}`]);
    });
  }

  it('that is over does not come back, also where nobody took it from the disk', async () => {
    const time = startFakeTime();
    try {
      const document = openStateStore(null).document(controlsDocument);
      const [one, other] = [open({ document }), open({ document })];
      one.controls.ban(quay, { forMs: 50 });
      await one.controls.flush();
      await other.controls.load();
      one.controls.close();
      await time.passMs(50);
      await other.controls.load();
      const third = open({ document });
      await third.controls.load();
      expect([other.controls.list(), third.controls.list()]).to.deep.equal([[], []]);
      expect(other.told).to.deep.equal([`set ban ${quay}`, `expired ban ${quay}`]);
      expect(third.told).to.deep.equal([]);
      await other.controls.flush();
      expect([...(await document.read()).keys()]).to.deep.equal([]);
    } finally {
      for (const { close } of opened) close();
      time.restore();
    }
  });

  it('about a registry that only another puller has is left to that one', async () => {
    const [one, other] = [open(), open({ registries: [hub] })];
    one.controls.ban(quay);
    await one.controls.flush();
    await other.controls.load();
    expect([other.controls.list(), other.told]).to.deep.equal([[], []]);
    other.controls.prefer(hub);
    await other.controls.flush();
    expect((await written()).controls).to.have.length(2);
  });

  it('under a clock that was ahead does not come before all that is said until then', async () => {
    await mkdir(temporary.path, { recursive: true });
    const control = {
      id: 'p',
      act: 'prefer',
      registry: quay,
      scope: {},
      reason: '',
      actor: 'ann',
      sinceMs: Date.now() + 86_400_000,
      untilMs: null,
      inFlight: 'move',
      as: null,
      force: false,
      origin: 'call',
      group: 'single',
      order: 1,
    };
    await writeFile(file(), JSON.stringify({ version: 1, controls: [control] }));
    const { controls } = open();
    await controls.load();
    expect(controls.list()[0]?.sinceMs).to.be.at.most(Date.now());
  });
});
