import { expect } from 'chai';
import type { EngineStore } from '../../../lib/engine/docker/engine-traits.js';
import type { EngineProgress } from '../../../lib/engine/docker/progress-stream.js';
import { type DirectPhases, followDirectPull } from '../../../lib/routes/direct/direct-phases.js';

/** `Downloading a1 10/100`, `Pulling fs layer a1`, `Digest: sha256:…`: as an engine says it, cut to what matters. */
function parse(text: string): EngineProgress {
  const [, status = '', id = null, current, total, seconds] =
    /^(Pulling from|Pulling fs layer|Copying blob|Copying config|Waiting|Downloading|Retrying in \d+ seconds?|Verifying Checksum|Download complete|Extracting|Already exists|Pull complete|.+?)(?: ([a-f]\d))?(?: (\d+)(?:\/(\d+))?(s)?)?$/.exec(
      text,
    ) ?? [];
  return {
    status,
    id,
    current: current === undefined ? null : Number(current),
    total: total === undefined ? null : Number(total),
    unit: seconds === undefined ? 'bytes' : 'seconds',
  };
}

/** What a line changed: the phase and the meaning of silence after it, whether it was progress, and its bytes. */
type Row = readonly [line: string, after: string];

function describeAfter(phases: DirectPhases, isProgress: boolean, bytes: number): string {
  return `${phases.phase}/${phases.silence}${isProgress ? ' +' : ''}${bytes > 0 ? ` ${bytes}` : ''}`;
}

function expectSteps(store: EngineStore, rows: readonly Row[]): DirectPhases {
  const phases = followDirectPull(store);
  const seen = rows.map(([text]): Row => {
    const { isProgress, bytes } = phases.note(parse(text));
    return [text, describeAfter(phases, isProgress, bytes)];
  });
  expect(seen).to.deep.equal(rows);
  return phases;
}

describe('the phases of a pull that an engine does by itself', () => {
  it('on the classic store: layers begin with the manifest, and the config is waited for after the last of them', () => {
    const phases = expectSteps('graph', [
      ['Pulling from 1', 'layers/registry +'],
      ['Pulling fs layer a1', 'layers/registry +'],
      ['Pulling fs layer b2', 'layers/registry +'],
      ['Waiting b2', 'layers/registry'],
      ['Downloading a1 10/100', 'layers/registry + 10'],
      ['Downloading a1 40/100', 'layers/registry + 30'],
      ['Downloading b2 50/90', 'layers/registry + 50'],
      ['Verifying Checksum a1', 'layers/registry + 60'],
      ['Download complete a1', 'layers/registry'],
      ['Extracting a1 20/100', 'layers/registry'],
      ['Download complete b2', 'extract/local + 40'],
      ['Extracting a1 60/100', 'extract/local +'],
      ['Extracting a1 60/100', 'extract/local'],
      ['Pull complete a1', 'extract/local +'],
      ['Extracting b2 90/90', 'extract/local +'],
      ['Pull complete b2', 'layers/registry +'],
      ['Digest: sha256:abc', 'extract/local +'],
      ['Status: Downloaded newer image for x', 'extract/local'],
    ]);
    expect(phases).to.include({ bytes: 190, fetched: 2, digest: 'sha256:abc', isWithoutSlot: false });
  });

  it('on the classic store: a retry is no progress, and begins to count anew', () => {
    const phases = expectSteps('graph', [
      ['Pulling from 1', 'layers/registry +'],
      ['Pulling fs layer a1', 'layers/registry +'],
      ['Downloading a1 60/100', 'layers/registry + 60'],
      ['Retrying in 5 seconds a1', 'layers/registry'],
      ['Retrying in 4 seconds a1', 'layers/registry'],
      ['Retrying in 1 second a1', 'layers/registry'],
      ['Downloading a1 10/40', 'layers/registry + 10'],
      ['Download complete a1', 'extract/local + 30'],
    ]);
    expect(phases.bytes).to.equal(100);
  });

  it('on the classic store: a full bar before a retry is not the end of the layer', () => {
    expectSteps('graph', [
      ['Pulling fs layer a1', 'layers/registry +'],
      ['Downloading a1 100/100', 'extract/local + 100'],
      ['Retrying in 5 seconds a1', 'layers/registry +'],
    ]);
  });

  it('on the containerd store: the config comes first, and a line that repeats itself is no progress', () => {
    const phases = expectSteps('containerd', [
      ['Pulling from 1', 'layers/registry +'],
      ['Pulling fs layer a1', 'layers/registry +'],
      ['Pulling fs layer b2', 'layers/registry +'],
      ['Pulling fs layer b2', 'layers/registry'],
      ['Downloading a1 100/300', 'layers/registry + 100'],
      ['Downloading a1 100/300', 'layers/registry'],
      ['Downloading a1 200/300', 'layers/registry + 100'],
      ['Download complete b2', 'layers/registry +'],
      ['Download complete a1', 'extract/local + 100'],
      ['Extracting a1 1s', 'extract/local +'],
      ['Extracting a1 2s', 'extract/local'],
      ['Pull complete a1', 'extract/local +'],
      ['Digest: sha256:abc', 'extract/local'],
      ['Status: Downloaded newer image for x', 'extract/local'],
    ]);
    expect(phases).to.include({ bytes: 300, fetched: 2 });
  });

  it('with every layer there already: nothing came from the registry', () => {
    for (const store of ['graph', 'containerd'] as const) {
      const phases = expectSteps(store, [
        ['Pulling from 1', 'layers/registry +'],
        ['Digest: sha256:abc', 'extract/local +'],
        ['Status: Image is up to date for x', 'extract/local'],
      ]);
      expect(phases).to.include({ bytes: 0, fetched: 0 });
    }
    const podman = expectSteps('podman', [
      ['Already exists a1', 'layers/either +'],
      ['Pulling fs layer b2', 'layers/either +'],
      ['Download complete b2', 'layers/either +'],
    ]);
    expect(podman.fetched).to.equal(1);
    expect(['a1', 'b2', 'c3'].map((id) => podman.hasFetched(id))).to.deep.equal([false, true, false]);
  });

  it('on Podman: only a layer with clearly more to come waits for the registry for certain', () => {
    expectSteps('podman', [
      ['Pulling fs layer a1', 'layers/either +'],
      ['Downloading a1 100/1000', 'layers/registry + 100'],
      ['Downloading a1 700/1000', 'layers/either + 600'],
      ['Pulling fs layer b2', 'layers/either +'],
      ['Downloading b2 10/1000', 'layers/registry + 10'],
      ['Download complete b2', 'layers/either + 990'],
      ['Download complete a1', 'layers/either + 300'],
    ]);
  });

  it("on Podman's own endpoint: nothing is said of bytes, and the config is the last blob", () => {
    expectSteps('podman', [
      ['Trying to pull x...', 'metadata/registry'],
      ['Getting image source signatures', 'metadata/registry'],
      ['Copying blob a1', 'layers/mute +'],
      ['Copying blob b2', 'layers/mute +'],
      ['Copying config c3', 'extract/local +'],
      ['Writing manifest to image destination', 'extract/local'],
    ]);
  });

  it('knows the layers that no byte came of, and when all wait for a slot', () => {
    const phases = expectSteps('graph', [
      ['Pulling from 1', 'layers/registry +'],
      ['Pulling fs layer a1', 'layers/registry +'],
      ['Pulling fs layer b2', 'layers/registry +'],
      ['Pulling fs layer c3', 'layers/registry +'],
      ['Waiting c3', 'layers/registry'],
    ]);
    expect(phases.untouched).to.deep.equal(['a1', 'b2']);
    expect(phases.isWithoutSlot).to.equal(false);
    phases.note(parse('Waiting a1'));
    phases.note(parse('Waiting b2'));
    expect(phases.isWithoutSlot).to.equal(true);
  });

  it('takes a word that is no layer of anything for nothing', () => {
    const phases = followDirectPull('graph');
    for (const status of ['constructor', 'toString', '', 'WARNING: image with reference', 'Loaded image']) {
      const step = phases.note({ status, id: 'a1', current: 1, total: 2, unit: 'bytes' });
      expect(step, status).to.deep.equal({ isProgress: false, bytes: 0, isWhole: false });
    }
    expect(phases.phase).to.equal('metadata');
  });
});
