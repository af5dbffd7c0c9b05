import { getEventListeners } from 'node:events';
import { expect } from 'chai';
import { isPullDeadlineError } from '../../lib/errors/pull-deadline-error.js';
import type { PullEvent } from '../../lib/events/pull-event.js';
import { connection, layers, metadata } from '../../lib/testing/fault-groups.js';
import type { RegistryDouble } from '../../lib/testing/registry-double.js';
import { seededImage } from '../../lib/testing/seeded-image.js';
import { expectWhole, type RecordedPuller, usePullRig } from './pull-rig.js';
import { failureOf } from '../support/failure-of.js';
import { until } from '../support/until.js';

const image = seededImage({ layers: 2, bytes: 100_000, seed: 'joined' });
const images = { 'team/app:1': image, 'team/private:1': image };

/** Every request for content, each object once: nothing was fetched twice. */
function expectFetchedOnce(registry: RegistryDouble): void {
  const objects = registry.requests.filter(({ kind }) => kind === 'blob' || kind === 'manifest');
  expect(new Set(objects.map(({ object }) => object)).size).to.equal(objects.length);
}

function typesOf(events: readonly PullEvent[], operation: string): readonly string[] {
  return events.flatMap((event) =>
    'operation' in event && event.operation?.id === operation && event.type !== 'pull:progressed' ? [event.type] : [],
  );
}

describe('identical pulls into one engine at the same time', () => {
  const rig = usePullRig();

  /** A registry whose layers stay away until `heal`. */
  async function slowRegistry(): Promise<{ readonly registry: RegistryDouble; heal(): Promise<void> }> {
    const registry = await rig.registry({ images, faults: [layers.noHeaders()] });
    return {
      registry,
      heal: async () => {
        await until(() => registry.requests.some(({ kind }) => kind === 'blob'), 'a blob is asked for');
        await registry.setFaults([]);
        registry.resetConnections();
      },
    };
  }

  const joined = (puller: RecordedPuller): Promise<unknown> => puller.events.waitFor('pull:joined');

  it('share their requests; each has its own id, operation and end', async () => {
    const { registry, heal } = await slowRegistry();
    const puller = rig.puller();
    const name = `${registry.host}/team/app:1`;

    const first = puller.pullWithFailover(name, { operation: { kind: 'app', id: 'one' } });
    const second = puller.pullWithFailover(name, { operation: { kind: 'app', id: 'two' } });
    await joined(puller);
    const third = puller.pullWithFailover(name, { operation: { kind: 'app', id: 'three' } });
    await heal();
    const reports = await Promise.all([first, second, third]);

    await expectWhole(rig.engine(), name, image);
    expect(registry.requests.filter(({ kind }) => kind === 'manifest')).to.have.length(1);
    const [leader] = puller.heard;
    const joins = puller.heard.filter((event) => event.type === 'pull:joined');
    expect(joins.map(({ joinedPullId }) => joinedPullId)).to.deep.equal([reports[0]?.pullId, reports[0]?.pullId]);
    expect(leader?.type === 'pull:started' ? leader.pullId : '').to.equal(reports[0]?.pullId);
    expect(new Set(reports.map(({ pullId }) => pullId)).size).to.equal(3);
    expect(reports.map(({ operation }) => operation?.id)).to.deep.equal(['one', 'two', 'three']);
    for (const report of reports) {
      expect({ ...report, pullId: '', operation: null, timings: null }).to.deep.equal({
        ...reports[0],
        pullId: '',
        operation: null,
        timings: null,
      });
    }
  });

  it('tell everything that concerns all of them in the name of each, from when it joined', async () => {
    const dying = await rig.registry({ images, faults: [layers.noHeaders()] });
    const healthy = await rig.registry({ images });
    const puller = rig.puller({
      registries: [`${dying.host}/team`, `${healthy.host}/team`],
      timeouts: { layers: { firstByteMs: 400 } },
    });
    const name = `${dying.host}/team/app:1`;

    const first = puller.pullWithFailover(name, { operation: { kind: 'app', id: 'one' } });
    await puller.events.waitFor('phase:started', { filter: ({ phase }) => phase === 'layers' });
    const second = puller.pullWithFailover(name, { operation: { kind: 'app', id: 'two' } });
    await Promise.all([first, second]);

    const common = ['phase:ended', 'phase:started', 'phase:ended', 'pull:succeeded'];
    const unfailed = (types: readonly string[]): readonly string[] =>
      types.filter((type) => type !== 'registry:failed' && type !== 'pull:failed-over');
    expect(unfailed(typesOf(puller.heard, 'two'))).to.deep.equal([
      ...['pull:started', 'pull:joined', 'pull:planned', 'phase:started'],
      ...common,
    ]);
    expect(unfailed(typesOf(puller.heard, 'one'))).to.deep.equal([
      ...['pull:started', 'pull:planned', 'phase:started', 'phase:ended', 'phase:started'],
      ...common,
    ]);
    for (const id of ['one', 'two']) {
      expect(typesOf(puller.heard, id).filter((type) => type === 'pull:failed-over')).to.have.length(1);
    }
  });

  it('let a follower abort without harm to the leader', async () => {
    const { registry, heal } = await slowRegistry();
    const puller = rig.puller();
    const name = `${registry.host}/team/app:1`;
    const caller = new AbortController();

    const leader = puller.pullWithFailover(name);
    const follower = puller.pullWithFailover(name, { signal: caller.signal, operation: { kind: 'app', id: 'left' } });
    await joined(puller);
    caller.abort('no longer wanted');
    expect(await failureOf(follower)).to.equal('no longer wanted');
    expect(getEventListeners(caller.signal, 'abort')).to.deep.equal([]);
    expect(typesOf(puller.heard, 'left').at(-1)).to.equal('pull:aborted');
    await heal();
    expect((await leader).source).to.equal('registry');
    await expectWhole(rig.engine(), name, image);
  });

  it('let the leader abort without harm to a follower, who goes on hearing of it', async () => {
    const { registry, heal } = await slowRegistry();
    const puller = rig.puller();
    const name = `${registry.host}/team/app:1`;
    const caller = new AbortController();

    const leader = puller.pullWithFailover(name, { signal: caller.signal, operation: { kind: 'app', id: 'left' } });
    const follower = puller.pullWithFailover(name, { operation: { kind: 'app', id: 'stays' } });
    await joined(puller);
    await until(() => registry.requests.some(({ kind }) => kind === 'blob'), 'a blob is asked for');
    const reason = new Error('the operator gave up');
    caller.abort(reason);
    expect(await failureOf(leader)).to.equal(reason);
    const before = puller.heard.length;
    await heal();
    const report = await follower;

    expect(report.operation?.id).to.equal('stays');
    await expectWhole(rig.engine(), name, image);
    expectFetchedOnce({ ...registry, requests: registry.requests.filter(({ kind }) => kind === 'manifest') });
    expect(typesOf(puller.heard.slice(before), 'left')).to.deep.equal([]);
    expect(typesOf(puller.heard.slice(before), 'stays')).to.include('phase:ended');
  });

  it('end the work when the last one has left, and start anew for whoever asks next', async () => {
    const { registry, heal } = await slowRegistry();
    const puller = rig.puller();
    const name = `${registry.host}/team/app:1`;
    const caller = new AbortController();
    const pulls = [1, 2].map(() => puller.pullWithFailover(name, { signal: caller.signal }));
    await joined(puller);
    await until(() => registry.requests.some(({ kind }) => kind === 'blob'), 'a blob is asked for');
    caller.abort('enough');
    for (const pull of pulls) expect(await failureOf(pull)).to.equal('enough');
    await until(() => registry.requests.every(({ endedAtMs }) => endedAtMs !== null), 'its requests are ended');
    await heal();
    await puller.pullWithFailover(name);
    expect(puller.heard.filter(({ type }) => type === 'pull:joined')).to.have.length(1);
    expect(getEventListeners(caller.signal, 'abort')).to.deep.equal([]);
  });

  it('let one that asks while the work is being ended start anew, without being ended with it', async () => {
    const { registry, heal } = await slowRegistry();
    const puller = rig.puller();
    const name = `${registry.host}/team/app:1`;
    const caller = new AbortController();
    const first = puller.pullWithFailover(name, { signal: caller.signal });
    await until(() => registry.requests.some(({ kind }) => kind === 'blob'), 'a blob is asked for');
    caller.abort('enough');
    const next = puller.pullWithFailover(name);
    expect(await failureOf(first)).to.equal('enough');
    await heal();
    expect((await next).source).to.equal('registry');
    await expectWhole(rig.engine(), name, image);
  });

  it('keep their own deadlines: the leader is not bound to the follower, nor the other way round', async () => {
    for (const [first, second] of [
      [200, 60_000],
      [60_000, 200],
    ] as const) {
      const { registry, heal } = await slowRegistry();
      const puller = rig.puller({ engine: rig.engine(`images-${first}`) });
      const name = `${registry.host}/team/app:1`;
      const leader = puller.pullWithFailover(name, { deadlineMs: first });
      const follower = puller.pullWithFailover(name, { deadlineMs: second });
      const [late, patient] = first < second ? [leader, follower] : [follower, leader];
      const error = await failureOf(late);
      expect(isPullDeadlineError(error) && error.timeoutMs).to.equal(200);
      await heal();
      expect((await patient).source).to.equal('registry');
      await puller.close();
    }
  });

  it('let a follower wait for a Retry-After that is beyond the leader’s deadline', async () => {
    const registry = await rig.registry({ images, faults: [metadata.status(429, { retryAfter: 1, times: 1 })] });
    const puller = rig.puller();
    const name = `${registry.host}/team/app:1`;
    const leader = puller.pullWithFailover(name, { deadlineMs: 700 });
    const follower = puller.pullWithFailover(name);
    expect(isPullDeadlineError(await failureOf(leader))).to.equal(true);
    expect((await follower).source).to.equal('registry');
  });

  it('are not joined when anything that makes a difference differs', async () => {
    const { registry, heal } = await slowRegistry();
    const users = { one: 'password of one', two: 'password of two' };
    registry.setAuth({ kind: 'bearer', users });
    const puller = rig.puller();
    const name = `${registry.host}/team/app:1`;
    const one = { username: 'one', password: users.one };
    const two = { username: 'two', password: users.two };
    const variants = [
      { credentials: one },
      { credentials: two },
      { credentials: one, timeouts: { layers: { totalMs: 50_000 } } },
      { credentials: one, whenExhausted: 'use-cached' as const },
      { credentials: one, pullPolicy: 'if-not-present' as const },
      { credentials: one, onDivergence: 'fail' as const },
      { credentials: one, onUnverified: 'fail' as const },
      { credentials: one, engine: rig.engine('elsewhere', { id: 'images' }) },
      { credentials: one, engine: rig.engine('another place', { id: 'images' }) },
    ];
    const pulls = variants.map((options) => puller.pullWithFailover(name, options));
    const other = puller.pullWithFailover(`${registry.host}/team/private:1`, { credentials: one });
    await heal();
    const reports = await Promise.all([...pulls, other]);

    expect(puller.heard.filter(({ type }) => type === 'pull:joined')).to.deep.equal([]);
    expect(reports.map(({ source }) => source)).to.have.length(variants.length + 1);
    await expectWhole(rig.engine('elsewhere'), name, image);
    await expectWhole(rig.engine('another place'), name, image);
  });

  it('are joined when the same credentials are given, in whatever way', async () => {
    const { registry, heal } = await slowRegistry();
    registry.setAuth({ kind: 'bearer', users: { one: 'password' } });
    const puller = rig.puller();
    const name = `${registry.host}/team/app:1`;
    const first = puller.pullWithFailover(name, { credentials: { username: 'one', password: 'password' } });
    const second = puller.pullWithFailover(name, {
      credentials: async () => ({ username: 'one', password: 'password' }),
    });
    await joined(puller);
    await heal();
    await Promise.all([first, second]);
    expect(registry.requests.filter(({ kind, status }) => kind === 'manifest' && status === 200)).to.have.length(1);
  });

  it('are not joined for another platform', async () => {
    const both = seededImage({ platforms: ['linux/amd64', 'linux/arm64'], bytes: 5_000, seed: 'two platforms' });
    const registry = await rig.registry({ images: { 'team/both:1': both } });
    const puller = rig.puller();
    const name = `${registry.host}/team/both:1`;
    const reports = await Promise.all(
      ['linux/amd64', 'linux/arm64'].map((platform) => puller.pullWithFailover(name, { platform })),
    );
    expect(reports.map(({ manifestDigest }) => manifestDigest)).to.deep.equal(
      both.manifests.map(({ digest }) => digest),
    );
    expect(puller.heard.filter(({ type }) => type === 'pull:joined')).to.deep.equal([]);
  });

  it('fail together, each with its own end and all attempts', async () => {
    const registry = await rig.registry({ images, faults: [connection.reset()] });
    const puller = rig.puller();
    const name = `${registry.host}/team/app:1`;
    const errors = await Promise.all([1, 2].map(() => failureOf(puller.pullWithFailover(name))));
    const ends = puller.heard.filter((event) => event.type === 'pull:failed');
    expect(ends).to.have.length(2);
    expect(puller.heard.filter(({ type }) => type === 'pull:joined')).to.have.length(1);
    for (const error of errors) expect(error).to.have.property('code', 'ERR_PULL_EXHAUSTED');
    expect(ends[0]?.attempts).to.deep.equal(ends[1]?.attempts);
  });
});
