import { spawnSync } from 'node:child_process';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { ownOwner } from '../../lib/files/process-owner.js';
import type { StateDocument } from '../../lib/health/state-document.js';
import { openStateStore } from '../../lib/health/state-store.js';
import type { Incident } from '../../lib/incidents/incident.js';
import {
  createIncidentRecorder,
  type IncidentRecorder,
  type IncidentRecorderOptions,
} from '../../lib/incidents/incident-recorder.js';
import { incidentsDocument, type KeptIncidents } from '../../lib/incidents/incidents-document.js';
import { type FakeTime, startFakeTime } from '../support/fake-time.js';
import { useTemporaryDirectory } from '../support/temporary-directory.js';
import { HostStory, hub, quay } from './support/host-story.js';

describe('incidents in stateDir', () => {
  const open: IncidentRecorder[] = [];
  let time: FakeTime | null = null;

  afterEach(async () => {
    time?.restore();
    time = null;
    for (const recorder of open.splice(0)) await recorder.close();
  });

  // After the hook above: nothing may be written into a folder that is being removed.
  const state = useTemporaryDirectory();

  function documentOf(): StateDocument<KeptIncidents> {
    return openStateStore(state.path).document(incidentsDocument);
  }

  function host(options: IncidentRecorderOptions = {}): {
    readonly recorder: IncidentRecorder;
    readonly story: HostStory;
  } {
    const recorder = createIncidentRecorder({ document: documentOf(), ...options });
    open.push(recorder);
    const story = new HostStory((event) => recorder.observe(event));
    story.nowMs = Date.now();
    return { recorder, story };
  }

  async function onDisk(): Promise<readonly Incident[]> {
    return [...(await documentOf().read()).values()].map(({ incident }) => incident);
  }

  /** Puts incidents there as a process with this name would have left them. */
  async function leaveBehind(
    owner: string | null,
    savedAtMs: number,
    ...incidents: readonly Incident[]
  ): Promise<void> {
    const kept = incidents.map((incident) => ({ incident, owner, savedAtMs }));
    await writeFile(join(state.path, 'incidents.json'), JSON.stringify({ version: 1, incidents: kept }));
  }

  function openIncident(): Incident {
    const recorder = createIncidentRecorder();
    const story = new HostStory((event) => recorder.observe(event));
    story.nowMs = Date.now() - 3_600_000;
    story.opened();
    story.saved();
    const incident = recorder.current();
    if (incident === null) throw new Error('it is not open');
    return incident;
  }

  /** A process that has ended, as the kernel proves. */
  function deadOwner(): string {
    const [, ...rest] = ownOwner().split('-');
    const { pid } = spawnSync('true');
    return [pid, ...rest].join('-');
  }

  /** Another process that lives. */
  function otherOwner(): string {
    return '1-0-0123456789ab-0';
  }

  it('are there again for the next process, the newest first', async () => {
    const { recorder, story } = host();
    story.opened();
    story.saved();
    story.pass(1_000).closed();
    story.pass(1_000).opened(hub);
    story.pass(1_000).closed(hub);
    await recorder.close();
    const next = host().recorder;
    await next.load();
    expect(next.list()).to.deep.equal(recorder.list());
    expect(next.list().map(({ registries }) => registries)).to.deep.equal([[hub], [quay]]);
    expect(next.current()).to.equal(null);
  });

  it('take events that come while the disk is read', async () => {
    const { recorder, story } = host();
    story.saved();
    story.opened();
    await recorder.flush();
    expect(recorder.current()?.operations.map(({ outcome }) => outcome)).to.deep.equal(['saved']);
    expect(await onDisk()).to.deep.equal([recorder.current()]);
  });

  it('stay open over an orderly restart, and the next process goes on with the same record', async () => {
    const opened: Incident[] = [];
    const closed: Incident[] = [];
    const before = host();
    before.story.opened();
    before.story.saved();
    await before.recorder.close();
    const after = host({
      onOpened: (incident) => opened.push(incident),
      onClosed: (incident) => closed.push(incident),
    });
    after.story.pass(60_000).opened(quay, 'layers', 'state');
    after.story.saved('app', { pullId: 'after' });
    await after.recorder.flush();
    const current = after.recorder.current();
    expect(opened, 'it had begun before').to.be.empty;
    expect(current?.id).to.equal(before.recorder.current()?.id);
    expect(current?.openedAtMs).to.equal(before.recorder.current()?.openedAtMs);
    expect(current?.operations.map(({ kind }) => kind)).to.deep.equal(['database', 'app']);
    expect(current?.failures.map(({ count }) => count)).to.deep.equal([2]);
    expect(current?.throughput.registries.map(({ bytes }) => bytes)).to.deep.equal([12_000_000, 28_000_000]);
    after.story.pass(60_000).closed();
    expect(closed.map(({ id }) => id)).to.deep.equal([current?.id]);
    await after.recorder.flush();
    expect((await onDisk()).map(({ closedAtMs }) => closedAtMs)).to.deep.equal([after.story.nowMs]);
  });

  for (const [what, owner, silentMs] of [
    ['was killed', deadOwner, 0],
    ['cannot be asked about, and has been silent for long', otherOwner, 301_000],
  ] as const) {
    it(`are taken over from a process that ${what}`, async () => {
      const incident = openIncident();
      await leaveBehind(owner(), Date.now() - silentMs, incident);
      const { recorder } = host();
      await recorder.load();
      expect(recorder.current()).to.deep.equal(incident);
    });
  }

  it('are not taken from a process that still writes them', async () => {
    const incident = openIncident();
    await leaveBehind(otherOwner(), Date.now(), incident);
    const { recorder, story } = host();
    await recorder.load();
    expect(recorder.current()).to.equal(null);
    expect(recorder.list()).to.deep.equal([]);
    story.opened(quay, 'layers', 'state');
    await recorder.flush();
    expect(new Set((await onDisk()).map(({ id }) => id))).to.deep.equal(new Set([incident.id, recorder.current()?.id]));
  });

  it('are taken over by one process alone, where several begin at once', async () => {
    await leaveBehind(null, Date.now(), openIncident());
    const hosts = [host(), host(), host()];
    await Promise.all(hosts.map(({ recorder }) => recorder.load()));
    expect(hosts.filter(({ recorder }) => recorder.current() !== null)).to.have.length(1);
  });

  it('of which several were left open go on with the newest; the others end when they were written last', async () => {
    const older = { ...openIncident(), id: 'older', openedAtMs: Date.now() - 7_200_000 };
    const newer = openIncident();
    const savedAtMs = Date.now() - 1_000;
    await leaveBehind(null, savedAtMs, older, newer);
    const { recorder } = host();
    await recorder.load();
    expect(recorder.current()?.id).to.equal(newer.id);
    expect(recorder.list().map(({ id, closedAtMs }) => [id, closedAtMs])).to.deep.equal([['older', savedAtMs]]);
  });

  it('end when they were written last, where every circuit had closed before the next process began', async () => {
    const savedAtMs = Date.now() - 100_000;
    await leaveBehind(null, savedAtMs, openIncident());
    const closed: Incident[] = [];
    const { recorder, story } = host({ circuits: () => [], onClosed: (incident) => closed.push(incident) });
    await recorder.load();
    story.started();
    expect(recorder.current()).to.equal(null);
    expect(closed.map(({ closedAtMs }) => closedAtMs)).to.deep.equal([savedAtMs]);
  });

  it('of two processes are kept both', async () => {
    const [one, other] = [host(), host()];
    one.story.opened();
    other.story.pass(1).opened(hub);
    await Promise.all([one.recorder.flush(), other.recorder.flush()]);
    expect(new Set((await onDisk()).map(({ registries }) => registries[0]))).to.deep.equal(new Set([quay, hub]));
  });

  it('are written when they begin and end, every ten seconds while something happens, and seldom else', async () => {
    time = startFakeTime();
    let writes = 0;
    const inner = openStateStore(null).document(incidentsDocument);
    const document: StateDocument<KeptIncidents> = {
      read: inner.read,
      update: (change) => {
        writes += 1;
        return inner.update(change);
      },
    };
    const { recorder, story } = host({ document });
    await recorder.load();
    /** Lets time pass, and returns how often it was written since it was asked last. */
    const after = async (ms: number): Promise<number> => {
      await time?.passMs(ms);
      story.nowMs = Date.now();
      const since = writes;
      writes = 0;
      return since;
    };
    story.opened();
    expect(await after(1)).to.equal(1);
    for (let at = 0; at < 100; at += 1) story.saved();
    expect(await after(10_000)).to.equal(1);
    expect(await after(49_000), 'nothing happened').to.equal(0);
    expect(await after(600_000), 'signs of life').to.be.within(9, 11);
    story.closed();
    expect(await after(1)).to.equal(1);
    expect(await after(600_000)).to.equal(0);
  });

  it('hold in this process although the disk fails, and harm nobody', async () => {
    await rm(state.path, { recursive: true });
    await writeFile(state.path, '');
    const { recorder, story } = host();
    await recorder.load();
    story.opened();
    story.saved();
    await recorder.flush();
    expect(recorder.current()?.operations).to.have.length(1);
    story.closed();
    await recorder.close();
    expect(recorder.list()).to.have.length(1);
    await rm(state.path);
  });

  it('are few MB at most, however bad they were', async () => {
    const { recorder, story } = host({ maxIncidents: 50 });
    await recorder.load();
    const message = 'm'.repeat(400);
    for (let incident = 0; incident < 40; incident += 1) {
      story.pass(1_000).opened();
      for (let at = 0; at < 250; at += 1) {
        const pull = story.pass(1_000).started('database', { image: `${quay}/${'n'.repeat(200)}` });
        story.failed(pull, { reason: { cause: 'registry-storage', code: `http-${500 + at}`, message } });
        const error = { code: 'ERR_PULL_EXHAUSTED', message: message.repeat(3), retryable: true } as const;
        story.tell({ ...pull, type: 'pull:failed', error, attempts: [] });
      }
      story.pass(1_000).closed();
    }
    await recorder.flush();
    expect(recorder.list().length).to.be.within(5, 39);
    const { length } = await readFile(join(state.path, 'incidents.json'), 'utf8');
    expect(length).to.be.below(9_000_000);
  });

  for (const [what, spoil] of [
    ['another version', { version: 2, incidents: [] }],
    ['no list', { version: 1, incidents: {} }],
    [
      'an incident without a registry',
      { version: 1, incidents: [{ incident: { id: 'x' }, owner: null, savedAtMs: 1 }] },
    ],
    ['a malformed owner', { version: 1, incidents: [{ incident: openIncident(), owner: 'me', savedAtMs: 1 }] }],
  ] as const) {
    it(`are set aside where the file holds ${what}, and recorded anew`, async () => {
      await writeFile(join(state.path, 'incidents.json'), JSON.stringify(spoil));
      const { recorder, story } = host();
      await recorder.load();
      expect(recorder.list()).to.be.empty;
      story.opened();
      await recorder.flush();
      expect((await readdir(state.path)).toSorted()).to.deep.equal(['incidents.json', 'incidents.json.broken']);
      expect((await onDisk()).map(({ id }) => id)).to.deep.equal([recorder.current()?.id]);
    });
  }
});
