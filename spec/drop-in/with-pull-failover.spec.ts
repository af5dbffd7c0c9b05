import { getEventListeners } from 'node:events';
import { expect } from 'chai';
import Dockerode from 'dockerode';
import { expectTypeOf } from 'expect-type';
import { withPullFailover } from '../../lib/drop-in/with-pull-failover.js';
import { isInvalidOptionError } from '../../lib/errors/invalid-option-error.js';
import { isPullExhaustedError } from '../../lib/errors/pull-exhausted-error.js';
import { isPullFailoverError } from '../../lib/errors/pull-failover-error.js';
import type { Puller } from '../../lib/puller/puller.js';
import { createPullerDouble, type PullerDouble } from '../../lib/testing/puller-double.js';
import { pulls } from '../../lib/testing/pull-script.js';
import type { PullerOptions } from '../../lib/puller/options.js';
import { failureOf } from '../support/failure-of.js';
import { until } from '../support/until.js';

/** A dockerode that has no daemon; it notes what it is asked itself. */
class NotingDocker extends Dockerode {
  readonly asked: (readonly unknown[])[] = [];

  constructor(options: Dockerode.DockerOptions) {
    super(options);
    this.createImage = ((...args: readonly unknown[]) => {
      this.asked.push(args);
      return Promise.resolve('the stream of dockerode');
    }) as never;
  }
}

const digest = `sha256:${'c0'.repeat(32)}`;
const hub = 'docker.io/library';

interface Line {
  readonly status?: string;
  readonly id?: string;
  readonly error?: string;
  readonly errorDetail?: { readonly message: string };
}

function open(options: PullerOptions = {}) {
  const docker = new NotingDocker({ socketPath: '/nowhere/docker.sock' });
  const double: PullerDouble = createPullerDouble({ registries: ['quay.io/team', 'docker.io/team'], ...options });
  return { docker, double, wrapped: withPullFailover(docker, { puller: double, engine: { id: 'host-1' } }) };
}

/** As most callers do it. */
function follow(docker: Dockerode, stream: NodeJS.ReadableStream) {
  const progress: Line[] = [];
  return new Promise<{ readonly error: Error | null; readonly output: readonly Line[]; readonly progress: Line[] }>(
    (resolve) => {
      docker.modem.followProgress(
        stream,
        (error: Error | null, output: Line[]) => resolve({ error, output, progress }),
        (line: Line) => progress.push(line),
      );
    },
  );
}

/** As JavaScript calls it: with whatever. */
const callAny = (method: unknown, that: unknown, args: readonly unknown[]): unknown =>
  Reflect.apply(method as (...given: unknown[]) => unknown, that, args);

const lastStatus = (output: readonly Line[]): string | undefined => output.at(-1)?.status;

describe('a dockerode with failover', () => {
  describe('pulls in every form of dockerode', () => {
    const image = 'quay.io/team/app:1';
    const done = `Status: Downloaded newer image for ${image}`;

    it('with a promise', async () => {
      const { wrapped, double } = open();
      const { error, output, progress } = await follow(wrapped, await wrapped.pull(image));
      expect(error).to.equal(null);
      expect(output).to.deep.equal(progress);
      expect(output[0]).to.deep.equal({ status: 'Pulling from team/app', id: '1' });
      expect(lastStatus(output)).to.equal(done);
      expect(double.calls).to.have.length(1);
    });

    it('with options and a callback, and with a callback alone', async () => {
      const { wrapped } = open();
      const options = { fromImage: 'quay.io/team/app', tag: '1' };
      const forms: readonly ((callback: unknown) => unknown)[] = [
        (callback) => callAny(wrapped.pull, wrapped, [image, {}, callback]),
        (callback) => callAny(wrapped.pull, wrapped, [image, undefined, callback]),
        (callback) => callAny(wrapped.pull, wrapped, [image, callback]),
        (callback) => callAny(wrapped.createImage, wrapped, [options, callback]),
        (callback) => callAny(wrapped.createImage, wrapped, [{}, options, callback]),
      ];
      for (const call of forms) {
        const stream = await new Promise<NodeJS.ReadableStream>((resolve, reject) => {
          call((error: unknown, found?: NodeJS.ReadableStream) =>
            found === undefined ? reject(error) : resolve(found),
          );
        });
        const { output } = await follow(wrapped, stream);
        expect(lastStatus(output)).to.equal(done);
      }
    });

    it('through createImage, as CapRover reads it: chunk by chunk, as text', async () => {
      const { wrapped } = open();
      const stream = await wrapped.createImage({ fromImage: 'quay.io/team/app', tag: '1', authconfig: undefined });
      const chunks: Line[] = [];
      await new Promise<void>((resolve, reject) => {
        stream.setEncoding('utf8');
        stream.on('data', (chunk: string) => chunks.push(JSON.parse(chunk) as Line));
        stream.on('end', resolve);
        stream.on('error', reject);
      });
      expect(lastStatus(chunks)).to.equal(done);
    });

    it('as testcontainers reads it: to the end, whatever is in it', async () => {
      const { wrapped, double } = open();
      double.script(image, pulls.exhausted());
      const stream = await wrapped.pull(image, { authconfig: undefined, platform: undefined });
      let text = '';
      await new Promise<void>((resolve) => {
        stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
        stream.on('end', resolve);
      });
      expect(text).to.include('"errorDetail"');
    });

    it('with the promises that the dockerode was told to return', async () => {
      class OwnPromise<T> extends Promise<T> {}
      const docker = new Dockerode({ socketPath: '/nowhere/docker.sock', Promise: OwnPromise });
      const wrapped = withPullFailover(docker, { puller: createPullerDouble() });
      const pulled = wrapped.pull('redis:7');
      expect(pulled).to.be.instanceOf(OwnPromise);
      (await pulled).resume();
    });
  });

  it('gives the pull what the caller said, and nothing else', async () => {
    const { wrapped, double } = open();
    const authconfig = { username: 'ann', password: 's3cret', serveraddress: 'https://quay.io' };
    const options = { authconfig, platform: 'linux/arm64' };
    (await wrapped.pull('quay.io/team/app:1', options)).resume();
    (await wrapped.pull('quay.io/team/app:2', { authconfig: { ...authconfig, serveraddress: 'docker.io' } })).resume();
    const [own, other] = double.calls;
    expect(own?.image).to.equal('quay.io/team/app:1');
    expect(own?.options).to.deep.include({
      platform: 'linux/arm64',
      credentials: { username: 'ann', password: 's3cret' },
    });
    expect(own?.options.engine?.id).to.equal('host-1');
    expect(Object.keys(other?.options ?? {})).to.have.members(['engine', 'signal']);
    expect(options).to.deep.equal({ authconfig, platform: 'linux/arm64' });
  });

  it('lets callers of one image share its pull, each with a stream of its own', async () => {
    const { wrapped, double } = open();
    const hold = pulls.hold();
    double.script('quay.io/team/app:1', [hold, pulls.failOver(), pulls.succeed()]);
    const streams = [wrapped.pull('quay.io/team/app:1'), wrapped.pull('quay.io/team/app:1')];
    await hold.reached;
    streams.push(wrapped.pull('quay.io/team/app:1'));
    hold.open();
    const outputs = await Promise.all(streams.map(async (stream) => (await follow(wrapped, await stream)).output));
    for (const output of outputs) {
      expect(output[0]?.status).to.equal('Pulling from team/app');
      expect(output.filter(({ status }) => status?.startsWith('Failed over'))).to.have.length(1);
      expect(lastStatus(output)).to.match(/^Status: Downloaded/);
    }
    expect(new Set(await Promise.all(streams)).size).to.equal(3);
  });

  it('goes on for the others when one of them has had enough', async () => {
    const { wrapped, double } = open();
    const hold = pulls.hold();
    double.script('quay.io/team/app:1', [pulls.failOver(), hold, pulls.succeed()]);
    const [first, second] = [await wrapped.pull('quay.io/team/app:1'), await wrapped.pull('quay.io/team/app:1')];
    (first as unknown as { destroy(): void }).destroy();
    await until(() => double.calls[0]?.outcome === 'aborted');
    hold.open();
    expect(lastStatus((await follow(wrapped, second)).output)).to.match(/^Status: Downloaded/);
  });

  it('pulls also when it is asked from within a listener of its puller', async () => {
    const { wrapped } = open();
    let nested: Promise<NodeJS.ReadableStream> | null = null;
    wrapped.puller.events.once('pull:started', () => {
      nested = wrapped.pull('quay.io/team/other:1');
    });
    await follow(wrapped, await wrapped.pull('quay.io/team/app:1'));
    const { output } = await follow(wrapped, await (nested as unknown as Promise<NodeJS.ReadableStream>));
    expect(output[0]).to.deep.equal({ status: 'Pulling from team/other', id: '1' });
    expect(lastStatus(output)).to.match(/^Status: Downloaded newer image for quay\.io\/team\/other:1$/);
  });

  it('tells a failover between the lines', async () => {
    const { wrapped, double } = open();
    double.script('quay.io/team/app:1', pulls.outage());
    const { output } = await follow(wrapped, await wrapped.pull('quay.io/team/app:1'));
    expect(output.map(({ status }) => status).join('\n')).to.match(
      /Failed over from quay\.io\/team to docker\.io\/team \(layers\): /,
    );
  });

  describe('when the image cannot be had', () => {
    const statuses = [
      ['missing', 404],
      ['denied', 404],
      ['limited', 429],
      ['unavailable', 500],
      ['refused', 500],
    ] as const;
    for (const [because, statusCode] of statuses) {
      it(`rejects with ${statusCode} when its registries are asked and it is ${because}, as a daemon answers`, async () => {
        const { wrapped, double } = open();
        double.script('quay.io/team/app:1', pulls.exhausted({ phase: 'metadata', because }));
        const failure = await failureOf(wrapped.pull('quay.io/team/app:1'));
        expect(isPullExhaustedError(failure)).to.equal(true);
        expect(failure).to.include({ statusCode, json: null });
      });
    }

    it('says so to a callback, without a stream', async () => {
      const { wrapped, double } = open();
      double.script('quay.io/team/app:1', pulls.exhausted({ phase: 'metadata' }));
      const told = await new Promise<readonly unknown[]>((resolve) => {
        void wrapped.pull('quay.io/team/app:1', {}, (...args: unknown[]) => resolve(args));
      });
      expect(told).to.have.length(1);
      expect(isPullFailoverError(told[0])).to.equal(true);
    });

    it('says so in the last line when the image was known, and ends the stream well', async () => {
      const { wrapped, double } = open();
      double.script('quay.io/team/app:1', pulls.exhausted({ phase: 'layers' }));
      const { error, output } = await follow(wrapped, await wrapped.pull('quay.io/team/app:1'));
      expect(error).to.equal(null);
      const last = output.at(-1);
      expect(last?.error).to.match(/^No registry could serve quay\.io\/team\/app:1/);
      expect(last?.errorDetail?.message).to.equal(last?.error);
    });

    it('rejects with 400 for what is no image, no platform and no reference', async () => {
      const { wrapped, double } = open();
      for (const call of [
        wrapped.pull('UPPER case'),
        wrapped.pull('redis', { platform: 'nonsense///' }),
        wrapped.createImage({ fromImage: '/x', tag: '1' }),
      ]) {
        expect(await failureOf(call)).to.include({ statusCode: 400 });
      }
      expect(double.calls.every(({ outcome }) => outcome === 'failed')).to.equal(true);
    });

    it('rejects with 503 once its puller is closed; all the rest goes on', async () => {
      const { wrapped, docker } = open();
      await wrapped.puller.close();
      expect(await failureOf(wrapped.pull('redis:7'))).to.include({ statusCode: 503, code: 'ERR_PULLER_CLOSED' });
      expect(wrapped.getContainer('x').id).to.equal(docker.getContainer('x').id);
    });
  });

  describe('when the caller has had enough', () => {
    it('ends the pull when the stream is destroyed', async () => {
      const { wrapped, double } = open();
      const hold = pulls.hold();
      double.script('quay.io/team/app:1', [pulls.failOver(), hold, pulls.succeed()]);
      const stream = await wrapped.pull('quay.io/team/app:1');
      await hold.reached;
      const ended = new Promise((resolve) => stream.once('close', resolve));
      (stream as unknown as { destroy(): void }).destroy();
      await ended;
      await until(() => double.calls[0]?.outcome === 'aborted');
    });

    it('ends it when a reader stops iterating', async () => {
      const { wrapped, double } = open();
      const hold = pulls.hold();
      double.script('quay.io/team/app:1', [pulls.failOver(), hold, pulls.succeed()]);
      for await (const chunk of await wrapped.pull('quay.io/team/app:1')) {
        expect(String(chunk)).to.include('Pulling from');
        break;
      }
      await until(() => double.calls[0]?.outcome === 'aborted');
    });

    it('rejects as Node’s own requests do when abortSignal comes first, and leaves no listener on it', async () => {
      const { wrapped, double } = open();
      double.script('quay.io/team/app:1', pulls.aborted());
      const controller = new AbortController();
      const reason = new Error('enough');
      const pulled = wrapped.pull('quay.io/team/app:1', { abortSignal: controller.signal });
      await until(() => double.calls.length === 1);
      controller.abort(reason);
      const failure = (await failureOf(pulled)) as Error;
      expect(getEventListeners(controller.signal, 'abort')).to.deep.equal([]);
      expect(failure).to.include({ name: 'AbortError', code: 'ABORT_ERR' });
      expect(failure.cause).to.equal(reason);
      expect(await failureOf(wrapped.pull('redis', { abortSignal: controller.signal }))).to.include({
        name: 'AbortError',
      });
      expect(double.calls).to.have.length(1);
    });

    it('gives the stream that error when it comes later', async () => {
      const { wrapped, double } = open();
      const hold = pulls.hold();
      double.script('quay.io/team/app:1', [pulls.failOver(), hold, pulls.succeed()]);
      const controller = new AbortController();
      const stream = await wrapped.pull('quay.io/team/app:1', { abortSignal: controller.signal });
      const followed = follow(wrapped, stream);
      await hold.reached;
      controller.abort();
      expect((await followed).error).to.include({ name: 'AbortError', code: 'ABORT_ERR' });
    });

    it('goes on while nobody reads', async () => {
      const { wrapped, double } = open();
      await wrapped.pull('quay.io/team/app:1');
      await until(() => double.calls[0]?.outcome === 'succeeded');
    });

    it('lets what a callback throws be the uncaught exception that it was', async () => {
      const { wrapped } = open();
      const thrown = new Error('of the callback');
      const listeners = process.listeners('uncaughtException');
      process.removeAllListeners('uncaughtException');
      try {
        const caught = new Promise((resolve) => process.once('uncaughtException', resolve));
        void wrapped.pull('redis:7', {}, () => {
          throw thrown;
        });
        expect(await caught).to.equal(thrown);
      } finally {
        for (const listener of listeners) process.on('uncaughtException', listener);
      }
    });
  });

  describe('leaves to dockerode', () => {
    it('every tag of a repository, and archives', async () => {
      const { wrapped, docker, double } = open();
      expect(await wrapped.createImage({ fromImage: 'quay.io/team/app' })).to.equal('the stream of dockerode');
      expect(await wrapped.createImage({ fromSrc: '-', repo: 'mine', tag: '1' })).to.equal('the stream of dockerode');
      await new Promise<void>((resolve) => {
        wrapped.createImage({ username: 'ann' }, { fromImage: 'quay.io/team/app' }, () => resolve());
      });
      expect(docker.asked).to.deep.equal([
        [{ fromImage: 'quay.io/team/app' }],
        [{ fromSrc: '-', repo: 'mine', tag: '1' }],
        [{ username: 'ann' }, { fromImage: 'quay.io/team/app' }],
      ]);
      expect(double.calls).to.deep.equal([]);
    });

    it('but not what the options refuse: all tags are no way around them', async () => {
      for (const options of [{ allowHost: (host: string) => host === 'quay.io' }, { unlisted: 'refuse' as const }]) {
        const { wrapped, docker } = open(options);
        const failure = await failureOf(wrapped.createImage({ fromImage: 'evil.example/app' }));
        expect(failure).to.include({ statusCode: 403, code: 'ERR_IMAGE_REFUSED' });
        expect(docker.asked).to.deep.equal([]);
      }
    });

    it('everything else, which is the same object', () => {
      const { wrapped, docker } = open();
      expect(wrapped).to.be.instanceOf(NotingDocker);
      expect(wrapped.modem).to.equal(docker.modem);
      expect(wrapped.asked).to.equal(docker.asked);
      expect(wrapped.listContainers).to.equal(docker.listContainers);
      expect(Object.keys(wrapped)).to.deep.equal(Object.keys(docker));
      expect('puller' in wrapped).to.equal(true);
      expect('puller' in docker).to.equal(false);
      Object.assign(wrapped, { mark: 1 });
      expect(docker).to.include({ mark: 1 });
    });

    it('its own pull: the object given is what it was', async () => {
      const { docker, double } = open();
      await docker.pull('redis:7');
      expect(docker.asked[0]?.[0]).to.include({ fromImage: 'redis', tag: '7' });
      expect(double.calls).to.deep.equal([]);
    });

    it('a pull that a host’s own test put in its place', async () => {
      const { wrapped, docker } = open();
      wrapped.pull = (() => Promise.resolve('stubbed')) as never;
      expect(await wrapped.pull('redis')).to.equal('stubbed');
      expect(Object.hasOwn(docker, 'pull')).to.equal(false);
    });
  });

  describe('has a puller', () => {
    it('of its own, made of the options, which ends with its engine', async () => {
      const docker = new NotingDocker({ socketPath: '/nowhere/docker.sock' });
      const wrapped = withPullFailover(docker, { registries: ['quay.io/team'], engine: { id: 'mine' } });
      const plan = await wrapped.puller.explain('quay.io/team/app');
      expect(plan.candidates.map(({ registry }) => registry)).to.deep.equal(['quay.io/team']);
      await wrapped.puller.close();
      expect(await failureOf(wrapped.puller.pullWithFailover('redis'))).to.include({ code: 'ERR_PULLER_CLOSED' });
    });

    it('that several engines may share', async () => {
      const double = createPullerDouble();
      const hosts = ['host-1', 'host-2'].map((id) =>
        withPullFailover(new NotingDocker({ socketPath: `/nowhere/${id}.sock` }), { puller: double, engine: { id } }),
      );
      await Promise.all(hosts.map(async (host) => follow(host, await host.pull('redis:7'))));
      expect(double.calls.map(({ options }) => options.engine?.id)).to.deep.equal(['host-1', 'host-2']);
      expect(hosts.map(({ puller }) => puller)).to.deep.equal([double, double]);
    });

    for (const [what, options, option] of [
      ['an unknown option', { registers: [] }, 'registers'],
      ['an unknown option of the engine', { engine: { rout: 'relay' } }, 'rout'],
      ['a puller beside what makes one', { puller: createPullerDouble(), registries: ['quay.io'] }, 'registries'],
      ['what is no puller', { puller: {} }, 'puller'],
    ] as const) {
      it(`and refuses ${what}`, () => {
        const docker = new NotingDocker({ socketPath: '/nowhere/docker.sock' });
        try {
          withPullFailover(docker, options as object);
          expect.fail('it was taken');
        } catch (error) {
          expect(isInvalidOptionError(error) && error.option).to.equal(option);
        }
      });
    }

    it('and refuses what is no dockerode', () => {
      expect(() => withPullFailover({} as Dockerode)).to.throw(/dockerode/);
    });
  });

  it('has the type of what it was given, and a puller', () => {
    expectTypeOf(withPullFailover<NotingDocker>).returns.toExtend<NotingDocker & { readonly puller: Puller }>();
  });

  it('calls an image of Docker Hub as Docker does', async () => {
    const { wrapped, double } = open();
    const { output } = await follow(wrapped, await wrapped.pull(`redis@${digest}`));
    expect(double.calls[0]?.image).to.equal(`${hub}/redis@${digest}`);
    expect(output[0]).to.deep.equal({ status: 'Pulling from library/redis', id: `redis@${digest}` });
    expect(output.slice(-2).map(({ status }) => status)).to.deep.equal([
      `Status: Downloaded newer image for redis@${digest}`,
      `WARNING: this engine does not know it as ${hub}/redis@${digest}: create containers from ${hub}/redis@${digest}`,
    ]);
  });
});
