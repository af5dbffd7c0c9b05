import { expect } from 'chai';
import type { ProgressLine } from '../../lib/drop-in/progress-line.js';
import { progressBar } from '../../lib/drop-in/progress-line.js';
import { PullLines } from '../../lib/drop-in/pull-lines.js';
import type { LayerProgress, PullEvent } from '../../lib/events/pull-event.js';
import { digestOf } from '../../lib/image/digest.js';
import { parseReference } from '../../lib/image/reference.js';
import type { Digest } from '../../lib/vocabulary/digest.js';
import type { Reason } from '../../lib/vocabulary/reason.js';
import type { PullReport } from '../../lib/vocabulary/report.js';

const [a, b] = [digestOf(Buffer.from('a')), digestOf(Buffer.from('b'))];
const shortOf = (digest: Digest): string => digest.slice(7, 19);
const stalled: Reason = { cause: 'registry-storage', code: 'stalled', message: 'it stalled' };

type Body<Event> = Event extends PullEvent
  ? Omit<Event, 'seq' | 'atMs' | 'pullId' | 'image' | 'operation' | 'engine'>
  : never;

function listen(name: string) {
  const lines: ProgressLine[] = [];
  const keys: (string | undefined)[] = [];
  const pull = new PullLines(parseReference(name), (line, key) => {
    lines.push(line);
    keys.push(key);
  });
  const hear = (...bodies: readonly Body<PullEvent>[]): void => {
    for (const body of bodies) {
      const scope = { pullId: 'p', image: name, operation: null, engine: 'e' };
      pull.hear({ seq: 1, atMs: 0, ...scope, ...body });
    }
  };
  return { pull, lines, keys, hear };
}

const progressed = (...layers: readonly LayerProgress[]): Body<PullEvent> => ({
  type: 'pull:progressed',
  served: [],
  phase: 'layers',
  bytes: { total: 0, fetched: 0, kept: 0, local: 0 },
  layers,
});
const layer = (digest: Digest, doneBytes: number, registry: string | null = 'quay.io/team'): LayerProgress => ({
  digest,
  totalBytes: 2_000,
  doneBytes,
  registry,
});
const report = { digest: a } as PullReport;

describe('a pull in the words of a Docker daemon', () => {
  it('is told from the first layer to the status', () => {
    const { pull, lines, hear } = listen('redis:7');
    hear({ type: 'phase:started', phase: 'metadata' });
    expect(pull.hasBegun).to.equal(false);
    hear({ type: 'phase:started', phase: 'layers' });
    expect(pull.hasBegun).to.equal(true);
    hear(
      progressed(layer(a, 2_000, null), layer(b, 0)),
      progressed(layer(a, 2_000, null), layer(b, 1_000)),
      progressed(layer(a, 2_000, null), layer(b, 2_000)),
      { type: 'phase:started', phase: 'extract' },
    );
    pull.succeed(report, null);
    expect(lines).to.deep.equal([
      { status: 'Pulling from library/redis', id: '7' },
      { status: 'Already exists', progressDetail: {}, id: shortOf(a) },
      { status: 'Pulling fs layer', progressDetail: {}, id: shortOf(b) },
      {
        status: 'Downloading',
        progressDetail: { current: 1_000, total: 2_000 },
        progress: progressBar(1_000, 2_000),
        id: shortOf(b),
      },
      { status: 'Download complete', progressDetail: {}, id: shortOf(b) },
      { status: 'Extracting', progressDetail: {}, id: shortOf(b) },
      { status: 'Pull complete', progressDetail: {}, id: shortOf(b) },
      { status: `Digest: ${a}` },
      { status: 'Status: Downloaded newer image for redis:7' },
    ]);
  });

  it('says that the image is up to date when nothing had to be brought', () => {
    const { pull, lines, hear } = listen('quay.io/team/app:1');
    hear({ type: 'phase:started', phase: 'layers' }, progressed(layer(a, 2_000, null), layer(b, 2_000, null)));
    pull.succeed(report, null);
    expect(lines.at(-1)).to.deep.equal({ status: 'Status: Image is up to date for quay.io/team/app:1' });
    expect(lines.filter(({ status }) => status === 'Pull complete')).to.deep.equal([]);
  });

  it('begins also when it is served from the cache, or over before anything was told', () => {
    const { pull, lines, hear } = listen('redis');
    hear({ type: 'pull:served-from-cache', digest: a, why: 'exhausted', reason: stalled, ageMs: null });
    pull.succeed(report, null);
    expect(lines.map(({ status }) => status)).to.deep.equal([
      'Pulling from library/redis',
      'Using the image that is here (exhausted)',
      `Digest: ${a}`,
      'Status: Image is up to date for redis:latest',
    ]);
  });

  it('calls an image by its digest when it was asked for by it', () => {
    const { pull, lines } = listen(`quay.io/team/app@${b}`);
    pull.succeed(report, null);
    expect(lines[0]).to.deep.equal({ status: 'Pulling from team/app', id: `quay.io/team/app@${b}` });
    expect(lines.at(-1)?.status).to.equal(`Status: Image is up to date for quay.io/team/app@${b}`);
  });

  it('tells what failover did between them, what happened before the first line right after it', () => {
    const { lines, hear } = listen('redis:7');
    const moved = { from: 'quay.io/team', to: 'docker.io/team', reason: stalled, bytesKept: 0 };
    hear({ type: 'pull:failed-over', phase: 'metadata', ...moved });
    expect(lines).to.deep.equal([]);
    hear(
      { type: 'phase:started', phase: 'layers' },
      { type: 'pull:failed-over', phase: 'layers', ...moved },
      { type: 'pull:route-changed', from: 'relay', to: 'load', reason: stalled },
    );
    expect(lines.map(({ status }) => status)).to.deep.equal([
      'Pulling from library/redis',
      'Failed over from quay.io/team to docker.io/team (metadata): it stalled',
      'Failed over from quay.io/team to docker.io/team (layers): it stalled',
      'Going on by load instead of relay: it stalled',
    ]);
  });

  it('never grows with the hours that a pull is parked, and not with the bytes of a layer', () => {
    const { keys, hear } = listen('redis:7');
    const parked: Body<PullEvent> = { type: 'pull:parked', phase: 'layers', reason: stalled, untilMs: null };
    hear({ type: 'phase:started', phase: 'layers' }, progressed(layer(a, 1)));
    const before = keys.length;
    for (let round = 0; round < 50; round += 1) {
      hear(parked, { type: 'pull:resumed', parkedMs: 1, why: 'interval' }, progressed(layer(a, 2 + round)));
    }
    expect(keys.slice(before)).to.have.length(150).and.not.include(undefined);
    expect(new Set(keys.slice(before)).size).to.equal(2);
  });

  it('warns after the status, as a daemon does', () => {
    const { pull, lines } = listen('redis:7');
    pull.succeed(report, 'not this name');
    expect(lines.slice(-2)).to.deep.equal([
      { status: 'Status: Image is up to date for redis:7' },
      { status: 'WARNING: not this name' },
    ]);
  });

  it('ends with the failure, where older and newer clients look for it', () => {
    const { pull, lines } = listen('redis:7');
    pull.fail('No registry could serve it');
    expect(lines).to.deep.equal([
      { error: 'No registry could serve it', errorDetail: { message: 'No registry could serve it' } },
    ]);
  });

  it('says nothing of a layer twice', () => {
    const { lines, hear } = listen('redis:7');
    const whole = progressed(layer(a, 2_000), layer(b, 2_000, null));
    hear(whole, whole, progressed(layer(a, 0), layer(b, 0)), whole);
    expect(lines.map(({ status }) => status)).to.deep.equal([
      'Pulling from library/redis',
      'Pulling fs layer',
      'Download complete',
      'Already exists',
    ]);
  });

  for (const [current, total, expected] of [
    [0, 100, `[>${' '.repeat(49)}]       0B/100B`],
    [1_234_567, 3_400_000, `[${'='.repeat(18)}>${' '.repeat(31)}]  1.235MB/3.4MB`],
    [999, 1_000, `[${'='.repeat(49)}>]     999B/1kB`],
    [1_000, 1_000, `[${'='.repeat(50)}]      1kB/1kB`],
    [2_000, 1_000, `[${'='.repeat(50)}]      2kB/1kB`],
  ] as const) {
    it(`draws ${current} of ${total} as Docker does`, () => {
      expect(progressBar(current, total)).to.equal(expected);
    });
  }
});
