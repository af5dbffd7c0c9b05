import { expect } from 'chai';
import { isImageRefusedError } from '../../lib/errors/image-refused-error.js';
import { isInvalidOptionError } from '../../lib/errors/invalid-option-error.js';
import { isInvalidReferenceError } from '../../lib/errors/invalid-reference-error.js';
import { PullDeadlineError, isPullDeadlineError } from '../../lib/errors/pull-deadline-error.js';
import { isPullExhaustedError } from '../../lib/errors/pull-exhausted-error.js';
import { PullFailoverError } from '../../lib/errors/pull-failover-error.js';
import type { PullEvent } from '../../lib/events/pull-event.js';
import { digestOf } from '../../lib/image/digest.js';
import { pulls, type PullScript, type PullStep } from '../../lib/testing/pull-script.js';
import { createPullerDouble, type PullerDouble } from '../../lib/testing/puller-double.js';
import { expectOrderly } from '../puller/orderly-events.js';
import { failureOf } from '../support/failure-of.js';
import { startFakeTime } from '../support/fake-time.js';

const redis = 'quay.io/team/redis:3.0';
const registries = ['quay.io/team', 'docker.io/team', 'ghcr.io/team'] as const;
const [quay, hub, github] = registries;
/** A registry that nobody was asked beside. */
const untroubled = { wastedBytes: 0, hedges: { won: 0, lost: 0 } } as const;

describe('createPullerDouble', () => {
  let puller: PullerDouble;
  let heard: PullEvent[];

  const begin = (options: Parameters<typeof createPullerDouble>[0] = { registries }): PullerDouble => {
    puller = createPullerDouble(options);
    heard = [];
    puller.events.on('*', (event) => heard.push(event));
    return puller;
  };
  const told = (): readonly string[] =>
    heard.map(({ type }) => type).filter((type) => !/^phase|progressed|started|planned/.test(type));

  afterEach(async () => {
    await puller.close();
    expectOrderly(heard);
  });

  it('lets every pull succeed that no script speaks of, with a plausible report', async () => {
    begin({});
    const report = await puller.pullWithFailover('redis', { operation: { kind: 'database', id: 'op-1' } });
    expect(report).to.deep.include({
      image: 'docker.io/library/redis:latest',
      reference: 'docker.io/library/redis:latest',
      engine: 'puller-double',
      operation: { kind: 'database', id: 'op-1' },
      source: 'registry',
      replicaSet: null,
      platform: report.platform,
      failovers: [],
      attempts: [],
    });
    expect(report.digest).to.match(/^sha256:[0-9a-f]{64}$/);
    expect(report.bytes).to.deep.equal({ total: 20_000_000, fetched: 20_000_000, kept: 0, local: 0 });
    expect(report.served).to.deep.equal([
      { ...untroubled, registry: 'docker.io', objects: 2, bytes: 20_000_000, connections: 1 },
    ]);
    const progress = heard.find((event) => event.type === 'pull:progressed');
    expect(progress?.served).to.deep.equal(report.served);
    expect(puller.calls).to.have.length(1);
  });

  it('gives the same digest for the same image, and another one for another', async () => {
    begin();
    const digests = await Promise.all(
      [redis, redis, 'quay.io/team/redis:4.0'].map(async (name) => (await puller.pullWithFailover(name)).digest),
    );
    expect(digests[0]).to.equal(digests[1]);
    expect(digests[0]).to.not.equal(digests[2]);
    const named = digestOf(Buffer.from('named'));
    expect((await puller.pullWithFailover(`quay.io/team/redis@${named}`)).digest).to.equal(named);
  });

  it('needs neither network nor disk nor time: everything happens while time stands still', async () => {
    const time = startFakeTime();
    try {
      begin();
      puller.script(redis, pulls.outage());
      const report = await puller.pullWithFailover(redis);
      expect(report.failovers).to.have.length(1);
      await puller.close();
    } finally {
      time.restore();
    }
  });

  describe('plays', () => {
    it('an outage', async () => {
      begin();
      puller.script(redis, pulls.outage());
      const report = await puller.pullWithFailover(redis);
      expect(told()).to.deep.equal(['registry:failed', 'pull:failed-over', 'pull:succeeded']);
      const [failover] = report.failovers;
      expect(failover).to.deep.include({ phase: 'layers', from: quay, to: hub, bytesKept: 6_000_000 });
      expect(failover?.reason).to.deep.include({ cause: 'registry-storage', code: 'stalled' });
      expect(report.served).to.deep.equal([
        { ...untroubled, registry: quay, objects: 2, bytes: 6_001_000, connections: 1 },
        { ...untroubled, registry: hub, objects: 1, bytes: 13_999_000, connections: 1 },
      ]);
      expect(report.attempts.map(({ registry, verdict, bytes }) => [registry, verdict, bytes])).to.deep.equal([
        [quay, 'ill', 6_000_000],
      ]);
    });

    it('an outage of metadata between registries of one’s choice', async () => {
      begin();
      puller.script(redis, pulls.outage({ phase: 'metadata', because: 'unavailable', from: quay, to: github }));
      const report = await puller.pullWithFailover(redis);
      expect(report.resolution).to.equal('replica-unverified');
      expect(report.failovers[0]).to.deep.include({ phase: 'metadata', from: quay, to: github, bytesKept: 0 });
      expect(report.failovers[0]?.reason.code).to.equal('http-503');
      // A manifest takes no connection that is counted.
      expect(report.served.map(({ registry, connections }) => [registry, connections])).to.deep.equal([
        [github, 0],
        [quay, 1],
      ]);
      expect(report.attempts[0]).to.deep.include({ object: '3.0', phase: 'metadata' });
    });

    it('an outage between any registries, when none are configured', async () => {
      begin({});
      puller.script(redis, [pulls.failOver({ from: quay, to: hub }), pulls.succeed()]);
      const report = await puller.pullWithFailover(redis);
      expect(report.replicaSet).to.equal('default');
      const planned = heard.find((event) => event.type === 'pull:planned');
      expect(planned?.order).to.deep.equal({ metadata: [quay, hub], layers: [quay, hub] });
      expect(report.failovers.map(({ from, to }) => [from, to])).to.deep.equal([[quay, hub]]);
    });

    it('a plan with the repository that the image has at each registry, when none are configured', async () => {
      begin({});
      const mirror = '127.0.0.1:5001/copies/of/quay';
      puller.script(redis, pulls.outage({ from: quay, to: mirror }));
      await puller.pullWithFailover(redis);
      const planned = heard.find((event) => event.type === 'pull:planned');
      expect(planned?.candidates).to.deep.equal([
        { registry: quay, repository: redis.replace(/^[^/]+\/|:.*$/g, ''), metadata: 'listed', layers: 'listed' },
        { registry: mirror, repository: 'copies/of/quay/redis', metadata: 'listed', layers: 'listed' },
      ]);
    });

    it('a chain of failovers through both phases', async () => {
      begin();
      puller.script(redis, [
        pulls.failOver({ phase: 'metadata' }),
        pulls.failOver({ bytesKept: 100 }),
        pulls.failOver({ from: hub, to: github, because: 'reset', bytesKept: 200 }),
        pulls.succeed(),
      ]);
      const report = await puller.pullWithFailover(redis);
      expect(report.failovers.map(({ phase, to }) => `${phase} ${to}`)).to.deep.equal([
        `metadata ${hub}`,
        `layers ${hub}`,
        `layers ${github}`,
      ]);
      expect(heard.filter(({ type }) => type === 'phase:started')).to.have.length(3);
      expect(report.served.reduce((sum, { bytes }) => sum + bytes, 0)).to.equal(report.bytes.fetched);
    });

    it('exhaustion, of every registry, with when to try again', async () => {
      begin();
      puller.script(redis, pulls.exhausted({ because: 'limited', phase: 'metadata', retryAfterMs: 7_000 }));
      const error = await failureOf(puller.pullWithFailover(redis));
      if (!isPullExhaustedError(error)) throw error;
      expect(error.attempts.map(({ registry, verdict }) => [registry, verdict])).to.deep.equal(
        registries.map((registry) => [registry, 'limited']),
      );
      expect(error).to.deep.include({ retryAfterMs: 7_000, retryable: true, phase: 'metadata' });
      expect((await puller.explain(redis)).candidates[0]?.metadata).to.equal('limited');
    });

    it('what makes no registry ill without moving a circuit, and what does with', async () => {
      begin({ registries, health: { consecutiveFailures: 1 } });
      for (const because of ['missing', 'denied'] as const) {
        puller.script(redis, [pulls.registryFails({ because }), pulls.succeed()]);
        await puller.pullWithFailover(redis);
      }
      expect(puller.health().every(({ state }) => state === 'closed')).to.equal(true);
      puller.script(redis, [pulls.registryFails({ registry: hub, because: 'refused' }), pulls.succeed()]);
      await puller.pullWithFailover(redis);
      expect(
        puller
          .health()
          .filter(({ state }) => state === 'open')
          .map(({ registry }) => registry),
      ).to.deep.equal([hub]);
    });

    it('parking: promoted by the test, or after half a minute of fake time', async () => {
      const time = startFakeTime();
      try {
        begin({ registries, whenExhausted: { waitMs: 3_600_000 } });
        puller.script(redis, pulls.parked(), { times: 2 });
        const parked = puller.pullWithFailover(redis);
        await time.passMs(29_000);
        expect(puller.parked.list().map(({ image }) => image)).to.deep.equal([redis]);
        await time.passMs(1_000);
        expect((await parked).attempts).to.have.length(3);
        const again = puller.pullWithFailover(redis);
        const { pullId } = await puller.events.waitFor('pull:parked');
        puller.parked.promote(pullId);
        await again;
        await puller.close();
      } finally {
        time.restore();
      }
    });

    it('a cached copy, as the policy says', async () => {
      begin();
      puller.script(redis, pulls.cached());
      const report = await puller.pullWithFailover(redis, { whenExhausted: 'use-cached' });
      expect(report).to.deep.include({ source: 'cache', served: [] });
      expect(report.attempts).to.have.length(3);
      puller.script(redis, pulls.succeedFromCache());
      await puller.pullWithFailover(redis, { pullPolicy: 'if-not-present' });
      await puller.pullWithFailover(redis, { pullPolicy: 'never' });
      const why = heard.flatMap((event) => (event.type === 'pull:served-from-cache' ? [event.why] : []));
      expect(why).to.deep.equal(['exhausted', 'if-not-present', 'never']);
      expect(heard.filter(({ type }) => type === 'pull:planned')).to.have.length(1);
    });

    it('a deadline, at once, that of the pull where it has one', async () => {
      begin();
      puller.script(redis, pulls.pastDeadline({ registry: hub }), { times: 2 });
      const errors = [
        await failureOf(puller.pullWithFailover(redis)),
        await failureOf(puller.pullWithFailover(redis, { deadlineMs: 5_000 })),
      ];
      expect(
        errors.map((error) => isPullDeadlineError(error) && [error.timeoutMs, error.attempts.length]),
      ).to.deep.equal([
        [60_000, 1],
        [5_000, 1],
      ]);
    });

    it('any other error of the library', async () => {
      begin();
      const error = new PullFailoverError('the disk is full', { code: 'ERR_HOST_FAULT', retryable: false });
      puller.script(redis, pulls.fail(error));
      expect(await failureOf(puller.pullWithFailover(redis))).to.equal(error);
      expect(heard.at(-1)).to.have.nested.property('error.code', 'ERR_HOST_FAULT');
    });

    it('until the test lets it go on', async () => {
      begin();
      const hold = pulls.hold();
      puller.script(redis, [pulls.registryFails(), hold, pulls.succeed()]);
      const pull = puller.pullWithFailover(redis);
      await hold.reached;
      expect(puller.calls[0]?.outcome).to.equal('running');
      expect(told()).to.deep.equal(['registry:failed']);
      hold.open();
      await pull;
      expect(puller.calls[0]?.outcome).to.equal('succeeded');
    });

    it('nothing more after the caller has aborted, wherever it was', async () => {
      begin({ registries, whenExhausted: { waitMs: 60_000 } });
      const scripts: readonly PullScript[] = [
        pulls.aborted(),
        pulls.parked(),
        [pulls.registryFails(), pulls.hold(), pulls.succeed()],
      ];
      for (const script of scripts) {
        puller.script(redis, script);
        const caller = new AbortController();
        const pull = failureOf(puller.pullWithFailover(redis, { signal: caller.signal }));
        await puller.events.waitFor('phase:started');
        caller.abort('enough');
        expect(await pull).to.equal('enough');
        expect(puller.calls.at(-1)?.outcome).to.equal('aborted');
      }
    });

    it('what the report is told to say', async () => {
      begin();
      const digest = digestOf(Buffer.from('mine'));
      puller.script(
        redis,
        pulls.succeed({
          digest,
          imageId: 'sha256:id',
          resolution: 'replica-confirmed',
          bytes: { total: 1_000, kept: 200, local: 300 },
          served: [
            { registry: hub, objects: 3, bytes: 400 },
            { registry: github, objects: 1, bytes: 100 },
          ],
        }),
      );
      expect(await puller.pullWithFailover(redis)).to.deep.include({
        digest,
        manifestDigest: digest,
        imageId: 'sha256:id',
        resolution: 'replica-confirmed',
        bytes: { total: 1_000, fetched: 500, kept: 200, local: 300 },
        served: [
          { ...untroubled, registry: hub, objects: 3, bytes: 400, connections: 1 },
          { ...untroubled, registry: github, objects: 1, bytes: 100, connections: 1 },
        ],
      });
      puller.script(redis, pulls.succeed({ bytes: { local: 20_000_000 } }));
      const local = await puller.pullWithFailover(redis);
      expect(local).to.deep.include({ served: [] });
      expect(local.bytes).to.deep.equal({ total: 20_000_000, fetched: 0, kept: 0, local: 20_000_000 });
    });

    it('what it took, registry by registry, with hedges and waste', async () => {
      begin();
      puller.script(
        redis,
        pulls.succeed({
          bytes: { total: 500, fetched: 600 },
          served: [
            { bytes: 150, wastedBytes: 100 },
            { bytes: 450, objects: 4, connections: 6, hedges: { won: 1 } },
            { objects: 0, hedges: { lost: 2 } },
          ],
        }),
      );
      const { served } = await puller.pullWithFailover(redis);
      expect(served).to.deep.equal([
        { ...untroubled, registry: quay, objects: 1, bytes: 150, wastedBytes: 100, connections: 1 },
        { ...untroubled, registry: hub, objects: 4, bytes: 450, connections: 6, hedges: { won: 1, lost: 0 } },
        { ...untroubled, registry: github, objects: 0, bytes: 0, connections: 0, hedges: { won: 0, lost: 2 } },
      ]);
    });
  });

  describe('keeps account of', () => {
    it('the calls: what was given, and how each ended', async () => {
      begin();
      puller.script(redis, pulls.exhausted());
      const options = { operation: { kind: 'app', id: 'op-3' } } as const;
      await failureOf(puller.pullWithFailover(redis, options));
      await puller.pullWithFailover('quay.io/team/other');
      await failureOf(puller.pullWithFailover('Not an image'));
      expect(puller.calls.map(({ image, outcome }) => [image, outcome])).to.deep.equal([
        [redis, 'failed'],
        ['quay.io/team/other', 'succeeded'],
        ['Not an image', 'failed'],
      ]);
      expect(puller.calls[0]?.options).to.equal(options);
    });

    it('the scripts: one after the other, by canonical name, then none', async () => {
      begin();
      puller.script('quay.io/team/redis', pulls.exhausted());
      puller.script('quay.io/team/redis:latest', pulls.outage({ to: github }));
      expect(puller.unplayed).to.deep.equal(['quay.io/team/redis:latest']);
      await failureOf(puller.pullWithFailover('quay.io/team/redis:latest'));
      expect((await puller.pullWithFailover('quay.io/team/redis')).failovers).to.have.length(1);
      expect(puller.unplayed).to.deep.equal([]);
      expect((await puller.pullWithFailover('quay.io/team/redis')).failovers).to.deep.equal([]);
    });

    it('a script that goes on for ever', async () => {
      begin();
      puller.script(redis, pulls.exhausted(), { times: Infinity });
      expect(puller.unplayed).to.deep.equal([redis]);
      for (let n = 0; n < 4; n += 1)
        expect(isPullExhaustedError(await failureOf(puller.pullWithFailover(redis)))).to.equal(true);
      expect(puller.unplayed).to.deep.equal([]);
    });

    it('one script for pulls that join each other', async () => {
      begin();
      puller.script(redis, pulls.outage());
      const [one, two] = await Promise.all([puller.pullWithFailover(redis), puller.pullWithFailover(redis)]);
      expect(told()).to.include('pull:joined');
      expect(one.failovers).to.deep.equal(two.failovers);
      expect(one.pullId).to.not.equal(two.pullId);
    });
  });

  describe('refuses a script that could not happen', () => {
    const wrong: readonly (readonly [string, unknown, RegExp])[] = [
      ['is no list', 'outage', /script\[0\]\.kind must be one of/],
      ['is empty', [], /must end/],
      ['has no end', [pulls.registryFails()], /must end: the last step is one of succeed/],
      ['has two ends', [pulls.succeed(), pulls.succeed()], /one end, as its last step, got succeed, succeed/],
      ['goes on after its end', [pulls.succeed(), pulls.registryFails()], /one end/],
      ['has a step that does not exist', [{ kind: 'explode' }], /script\[0\]\.kind must be one of .*got "explode"/],
      ['has a step with an unknown key', [{ kind: 'succeed', bites: 1 }], /script\[0\]\.bites is unknown \(value 1\)/],
      ['has an unknown phase', [pulls.failOver({ phase: 'extract' as never }), pulls.succeed()], /script\[0\]\.phase/],
      [
        'has an unknown mishap',
        [pulls.failOver({ because: 'gremlins' as never }), pulls.succeed()],
        /because.*gremlins/,
      ],
      ['fails over to where it was', pulls.outage({ from: hub, to: hub }), /another registry than from/],
      [
        'fails over to a stranger',
        pulls.outage({ to: 'ghcr.io/other' }),
        /there are: quay\.io\/team, docker\.io\/team/,
      ],
      ['names no registry', pulls.outage({ to: 'https://quay.io' }), /must be the prefix of a registry/],
      [
        'tells a failover twice',
        [pulls.failOver(), pulls.failOver(), pulls.succeed()],
        /once, got layers from quay\.io\/team to docker\.io\/team twice/,
      ],
      [
        'goes back to metadata',
        [pulls.failOver(), pulls.failOver({ phase: 'metadata' }), pulls.succeed()],
        /must not go back to metadata/,
      ],
      ['keeps bytes of metadata', pulls.outage({ phase: 'metadata', bytesKept: 1 }), /bytesKept/],
      ['is exhausted by nobody', [pulls.exhaust()], /must let a registry fail before the pull is exhausted/],
      ['parks for nobody', [pulls.park(), pulls.succeed()], /must let a registry fail before the pull is parked/],
      [
        'holds by hand',
        [{ kind: 'hold', reached: Promise.resolve(), open: () => {} }, pulls.succeed()],
        /pulls\.hold\(\)/,
      ],
      ['fails with another error', pulls.fail(new Error('mine') as never), /an error of this library/],
      [
        'fails with what has a way of its own',
        pulls.fail(new PullDeadlineError(redis, 'deadlineMs', 1, [])),
        /comes of pulls\.exceedDeadline\(\)/,
      ],
      ['brings too little', pulls.succeed({ bytes: { total: 100, fetched: 99 } }), /must bring all 100 bytes/],
      ['brings less than nothing', pulls.succeed({ bytes: { fetched: -1 } }), /bytes\.fetched.*got -1/],
      [
        'is served otherwise',
        pulls.succeed({ bytes: { total: 100 }, served: [{ registry: quay, objects: 1, bytes: 99 }] }),
        /must add up to the 100 bytes fetched, got 99/,
      ],
      [
        'wastes more than it brings',
        pulls.succeed({ bytes: { total: 100 }, served: [{ bytes: 100, wastedBytes: 101 }] }),
        /served\[0\]\.wastedBytes.*at most 100, got 101/,
      ],
      [
        'brings bytes of nothing',
        pulls.succeed({ bytes: { total: 100 }, served: [{ objects: 0, bytes: 100, hedges: { won: 1 } }] }),
        /served\[0\]\.bytes.*at most 0, got 100/,
      ],
      [
        'names a registry that did nothing',
        pulls.succeed({ bytes: { total: 100 }, served: [{ bytes: 100 }, { objects: 0 }] }),
        /served\[1\] must have objects or hedges/,
      ],
      [
        'counts hedges in another way',
        pulls.succeed({ bytes: { total: 100 }, served: [{ bytes: 100, hedges: { drawn: 1 } as never }] }),
        /served\[0\]\.hedges.*drawn/,
      ],
      ['has no digest', pulls.succeed({ digest: 'sha256:12' as never }), /must be a digest/],
    ];
    for (const [what, script, says] of wrong) {
      it(`because it ${what}`, () => {
        begin();
        let error: unknown;
        try {
          puller.script(redis, script as PullScript | PullStep);
        } catch (thrown) {
          error = thrown;
        }
        if (!isInvalidOptionError(error)) throw new Error(`not refused: ${String(error)}`);
        expect(error.message).to.match(says);
      });
    }

    it('because the image has another digest, cannot be pulled, or is none', () => {
      begin({ registries, unlisted: 'refuse' });
      const named = digestOf(Buffer.from('named'));
      const other = digestOf(Buffer.from('other'));
      expect(() => puller.script(`quay.io/team/redis@${named}`, pulls.succeed({ digest: other }))).to.throw(
        'must be the one',
      );
      const thrownBy = (script: () => void): unknown => {
        try {
          script();
        } catch (error) {
          return error;
        }
        return null;
      };
      expect(isImageRefusedError(thrownBy(() => puller.script('redis', pulls.succeed())))).to.equal(true);
      expect(isInvalidReferenceError(thrownBy(() => puller.script('Redis', pulls.succeed())))).to.equal(true);
      expect(isInvalidOptionError(thrownBy(() => puller.script(redis, pulls.succeed(), { times: 0 })))).to.equal(true);
    });

    it('under the options of its pull: parking, the cache and never have their conditions', async () => {
      begin();
      const refused: readonly (readonly [PullScript, Parameters<PullerDouble['pullWithFailover']>[1]])[] = [
        [pulls.parked(), {}],
        [pulls.cached(), {}],
        [[pulls.succeedFromCache()], {}],
        [pulls.outage(), { pullPolicy: 'never' }],
      ];
      for (const [script, options] of refused) {
        puller.script(redis, script);
        const error = await failureOf(puller.pullWithFailover(redis, options));
        expect(isInvalidOptionError(error), JSON.stringify(script)).to.equal(true);
      }
    });
  });

  it('refuses wrong options as a real puller does', () => {
    begin();
    expect(() => createPullerDouble({ registries: [] })).to.throw('registries');
    expect(() => createPullerDouble({ retries: 3 } as never)).to.throw('retries is unknown');
  });
});
