import { expect } from 'chai';
import { getEventListeners } from 'node:events';
import type { ServerResponse } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { setImmediate as turn } from 'node:timers/promises';
import type { DaemonPull } from '../../../lib/engine/docker/docker-daemon.js';
import type { DockerLike } from '../../../lib/engine/docker/docker-like.js';
import type { EngineFailure } from '../../../lib/engine/docker/engine-failure.js';
import { openDockerDaemon, type OpenDockerDaemon } from '../../../lib/engine/docker/open-docker-daemon.js';
import type { EngineProgress } from '../../../lib/engine/docker/progress-stream.js';
import { failureOf } from '../../support/failure-of.js';
import { until } from '../../support/until.js';
import {
  being,
  dockerVersion,
  type EngineAnswer,
  type EngineRequest,
  podmanVersion,
  type ScriptedEngine,
  sendJson,
  startScriptedEngine,
} from './support/scripted-engine.js';

const pull: DaemonPull = {
  name: '127.0.0.1:5001/aptible/redis',
  object: '3.0',
  platform: 'linux/amd64',
  credentials: null,
};
const never = new AbortController().signal;
const done = '{"status":"Status: Downloaded newer image for x"}\r\n';

async function drain(lines: AsyncIterable<EngineProgress>): Promise<readonly string[]> {
  const statuses: string[] = [];
  for await (const { status } of lines) statuses.push(status);
  return statuses;
}

const failing = async (work: Promise<unknown>): Promise<EngineFailure> => (await failureOf(work)) as EngineFailure;

describe('The API of a daemon', () => {
  let engine: ScriptedEngine;
  let daemon: OpenDockerDaemon;

  beforeEach(async () => {
    engine = await startScriptedEngine();
    daemon = openDockerDaemon(engine.docker(), `unix://${engine.socketPath}`);
  });

  afterEach(async () => {
    // Whatever happened, nothing of ours is left open.
    await until(() => engine.connections === 0, 'no connection is left');
    await daemon.close();
    await engine[Symbol.asyncDispose]();
  });

  const answering = (answer: EngineAnswer, version: unknown = dockerVersion, info?: unknown): void => {
    engine.answer = info === undefined ? being(version, answer) : being(version, answer, info);
  };
  const streaming = (...parts: readonly string[]): EngineAnswer => {
    return (_request, response) => {
      response.writeHead(200);
      for (const part of parts) response.write(part);
      response.end();
    };
  };
  const asked = (path: string): EngineRequest => {
    const found = engine.seen.find((request) => request.path === path);
    if (found === undefined) throw new Error(`nobody asked for ${path}`);
    return found;
  };

  describe('as it pulls', () => {
    it('asks for exactly this image, as nobody', async () => {
      answering(streaming('{"status":"Pulling from aptible/redis","id":"3.0"}\r\n', done));
      expect(await drain(daemon.pull(pull, never))).to.deep.equal([
        'Pulling from aptible/redis',
        'Status: Downloaded newer image for x',
      ]);
      const { method, query, headers } = asked('/images/create');
      expect(method).to.equal('POST');
      expect(Object.fromEntries(query)).to.deep.equal({
        fromImage: '127.0.0.1:5001/aptible/redis',
        tag: '3.0',
        platform: 'linux/amd64',
      });
      expect(headers).not.to.have.property('x-registry-auth');
      expect(headers['content-length']).to.equal('0');
    });

    it('says who asks in base64 of URLs with its padding, which is all that Docker reads', async () => {
      answering(streaming(done));
      // Chosen for a `-`, a `_` and a `=`.
      const credentials = { username: 'tëst>>>', password: '???ÿÿÿ~~~', serveraddress: '127.0.0.1:5001' };
      await drain(daemon.pull({ ...pull, credentials, userAgent: 'pull-failover-handshake/abc' }, never));
      const { headers } = asked('/images/create');
      const sent = headers['x-registry-auth'] as string;
      expect(sent)
        .to.match(/^[\w-]+=*$/)
        .and.match(/[-_]/);
      expect(sent.length % 4).to.equal(0);
      expect(JSON.parse(Buffer.from(sent, 'base64url').toString('utf8'))).to.deep.equal(credentials);
      expect(headers['user-agent']).to.equal('pull-failover-handshake/abc');
    });

    it("sends what the host wants sent with everything, but never the host's own credentials for registries", async () => {
      answering(streaming(done));
      const headers = { 'X-Proxy-Token': 'abc', 'X-Registry-Auth': 'c2VjcmV0', 'x-registry-config': 'e30=' };
      const own = openDockerDaemon(engine.docker({ headers, version: 'v1.41' }), 'unix://');
      engine.answer = (request, response) => {
        const path = request.path.replace('/v1.41', '');
        return being(dockerVersion, streaming(done))({ ...request, path }, response);
      };
      await drain(own.pull(pull, never));
      const { headers: sent } = asked('/v1.41/images/create');
      expect(sent['x-proxy-token']).to.equal('abc');
      expect(sent).not.to.have.any.keys('x-registry-auth', 'x-registry-config');
    });

    it('fails with what the engine says, before and after its answer begins', async () => {
      answering((_request, response) => sendJson(response, { message: 'manifest for x not found' }, 404));
      expect(await failing(drain(daemon.pull(pull, never)))).to.include({ fault: 'missing', statusCode: 404 });

      answering(
        streaming('{"status":"Waiting"}\n', '{"errorDetail":{"message":"write /x: no space left on device"}}\n'),
      );
      expect(await failing(drain(daemon.pull(pull, never)))).to.include({ fault: 'disk', statusCode: null });
    });

    it('is lost when its answer ends without the word that the image is there', async () => {
      for (const parts of [
        [],
        ['{"status":"Pulling fs layer"}\n'],
        ['{"status":"Digest: sha256:abc"}\n'],
        ['<html>\n'],
      ]) {
        answering(streaming(...parts));
        const failure = await failing(drain(daemon.pull(pull, never)));
        expect(failure, JSON.stringify(parts)).to.include({ fault: 'daemon', isLost: true });
      }
    });

    it('is lost when the connection ends at any moment', async () => {
      const moments: readonly EngineAnswer[] = [
        ({ incoming }) => incoming.socket.destroy(),
        (_request, response) => {
          response.writeHead(200).flushHeaders();
          response.socket?.end();
        },
        (_request, response) => {
          response.writeHead(200);
          response.write(done.slice(0, 12), () => response.destroy());
        },
        (_request, response) => {
          response.writeHead(200);
          response.write(done, () => response.destroy());
        },
        (_request, response) => {
          response.writeHead(500, { 'content-length': '500' });
          response.write('{"message":', () => response.destroy());
        },
      ];
      for (const [at, answer] of moments.entries()) {
        answering(answer);
        const failure = await failing(drain(daemon.pull(pull, never)));
        expect(failure, `moment ${at}`).to.include({ fault: 'daemon', isLost: true });
      }
    });

    it('is unreachable when nobody is there, or somebody else answers', async () => {
      answering((_request, response) => response.writeHead(502).end('<html>Bad Gateway</html>'));
      expect(await failing(drain(daemon.pull(pull, never)))).to.include({ fault: 'unreachable', statusCode: 502 });
      await engine.die();
      const failure = await failing(drain(daemon.pull(pull, never)));
      expect(failure).to.include({ fault: 'unreachable', isLost: false });
      expect(failure.message).to.match(/ENOENT|ECONNREFUSED/);
    });

    it('ends the request and rejects with the very reason when it is aborted, before and after its answer begins', async () => {
      for (const answer of [
        () => undefined,
        (_request: EngineRequest, response: ServerResponse) => response.writeHead(200).flushHeaders(),
        (_request: EngineRequest, response: ServerResponse) => {
          response.writeHead(200);
          response.write('{"status":"Waiting"}\n{"status":"Downl');
        },
      ]) {
        answering(answer);
        const controller = new AbortController();
        const reason = { why: 'a reason of the caller' };
        const work = failureOf(drain(daemon.pull(pull, controller.signal)));
        await until(() => engine.seen.some(({ path }) => path === '/images/create'));
        await turn();
        controller.abort(reason);
        expect(await work).to.equal(reason);
        expect(getEventListeners(controller.signal, 'abort')).to.have.length(0);
        await until(() => engine.connections === 0);
      }
    });

    it('tells nothing after an abort, also of what had come before it', async () => {
      answering(streaming('{"status":"1"}\n{"status":"2"}\n{"status":"3"}\n', done));
      const controller = new AbortController();
      const told: string[] = [];
      const reading = (async () => {
        for await (const { status } of daemon.pull(pull, controller.signal)) {
          told.push(status);
          if (status === '2') controller.abort('enough');
        }
      })();
      expect(await failureOf(reading)).to.equal('enough');
      expect(told).to.deep.equal(['1', '2']);
    });

    it('asks nothing when it is aborted already', async () => {
      const reason = new Error('too late');
      const signal = AbortSignal.abort(reason);
      expect(await failureOf(drain(daemon.pull(pull, signal)))).to.equal(reason);
      expect(await failureOf(drain(daemon.load(archiveOf(1, 1).bytes, signal)))).to.equal(reason);
      expect(await failureOf(daemon.inspect('x', signal))).to.equal(reason);
      expect(await failureOf(daemon.traits({ signal }))).to.equal(reason);
      expect(engine.seen).to.have.length(0);
    });

    it('ends the request when nobody reads on', async () => {
      answering((_request, response) => {
        response.writeHead(200);
        response.write('{"status":"Waiting"}\n');
      });
      const controller = new AbortController();
      for await (const { status } of daemon.pull(pull, controller.signal)) {
        expect(status).to.equal('Waiting');
        break;
      }
      await until(() => engine.connections === 0);
      expect(getEventListeners(controller.signal, 'abort')).to.have.length(0);
    });

    it('leaves no listener behind when it ends well', async () => {
      answering(streaming(done));
      const controller = new AbortController();
      for (let count = 0; count < 20; count += 1) await drain(daemon.pull(pull, controller.signal));
      expect(getEventListeners(controller.signal, 'abort')).to.have.length(0);
    });

    it("is not ended by the host's limit for silence, which its short requests keep", async () => {
      const docker = engine.docker({ timeout: 100 });
      const own = openDockerDaemon(docker, 'unix://');
      answering((_request, response) => {
        response.writeHead(200).flushHeaders();
        setTimeout(() => response.end(done), 400);
      });
      expect(await drain(own.pull(pull, never))).to.have.length(1);
      expect(docker.modem).to.have.property('timeout', 100);
      answering(() => undefined);
      expect(await failing(own.inspect('x'))).to.include({ isLost: true });
    });

    it('is ended by an abort also through a dockerode that knows no signals', async () => {
      const docker = engine.docker();
      const { dial } = docker.modem;
      docker.modem.dial = function (this: unknown, { abortSignal, ...options }, callback) {
        expect(abortSignal).to.be.instanceOf(AbortSignal);
        dial.call(this as never, options, callback);
      };
      const own = openDockerDaemon(docker, 'unix://');
      answering(() => undefined);
      const controller = new AbortController();
      const work = failureOf(drain(own.pull(pull, controller.signal)));
      await until(() => engine.seen.some(({ path }) => path === '/images/create'));
      controller.abort('the reason');
      expect(await work).to.equal('the reason');
    });
  });

  describe('of Podman', () => {
    const id = 'ab'.repeat(32);
    const image = { Id: `sha256:${id}`, RepoTags: null, RepoDigests: null };

    it('is asked at its own endpoint when the registry speaks plain HTTP, whatever version the host has pinned', async () => {
      const own = openDockerDaemon(engine.docker({ version: 'v1.40' }), 'unix://');
      engine.answer = (request, response) => {
        const path = request.path.replace('/v1.40', '');
        const answer: EngineAnswer = (_request, to) => {
          if (path.endsWith('/json')) return sendJson(to, image);
          return streaming(
            '{"stream":"Trying to pull x\\n"}\n',
            `{"stream":"Copying blob sha256:${id}\\n"}\n`,
            `{"images":["${id}"],"id":"${id}"}\n`,
          )(request, to);
        };
        return being(podmanVersion, answer)({ ...request, path }, response);
      };
      const statuses = await drain(own.pull({ ...pull, platform: 'linux/arm/v7', plainHttp: true }, never));
      expect(statuses).to.deep.equal(['Trying to pull x', 'Copying blob', '']);
      expect(Object.fromEntries(asked('/v4.0.0/libpod/images/pull').query)).to.deep.equal({
        reference: '127.0.0.1:5001/aptible/redis:3.0',
        tlsVerify: 'false',
        policy: 'always',
        OS: 'linux',
        Arch: 'arm',
        Variant: 'v7',
      });
    });

    it('is asked as Docker is when the registry speaks TLS', async () => {
      answering(({ path }, response) => {
        if (path.endsWith('/json')) return sendJson(response, image);
        return response.end(`{"status":"Download complete","progressDetail":{},"id":"${id.slice(0, 12)}"}\n`);
      }, podmanVersion);
      const object = `sha256:${'cd'.repeat(32)}`;
      expect(await drain(daemon.pull({ ...pull, object }, never))).to.deep.equal(['Download complete']);
      expect(asked('/images/create').query.get('tag')).to.equal(object);
      expect(asked(`/images/127.0.0.1:5001/aptible/redis@${object}/json`).method).to.equal('GET');
    });

    it('is lost when the image is not the one that its last line named', async () => {
      const lines = [
        `{"status":"Download complete","id":"cdcdcdcdcdcd"}\n`,
        `{"status":"Download complete"}\n`,
        `{"stream":"Storing signatures\\n"}\n`,
        '',
      ];
      for (const line of lines) {
        answering(({ path }, response) => {
          if (path.endsWith('/json')) return sendJson(response, image);
          return response.end(line);
        }, podmanVersion);
        expect(await failing(drain(daemon.pull(pull, never))), line).to.include({ isLost: true });
      }
    });
  });

  describe('as it loads', () => {
    it('sends the archive whole, and tells what the engine says', async () => {
      let received = Buffer.alloc(0);
      answering(async ({ incoming }, response) => {
        received = await buffer(incoming);
        response.end('{"stream":"Loaded image: quay.io/aptible/redis:3.0\\n"}\n');
      });
      const archive = archiveOf(50, 10_000);
      expect(await drain(daemon.load(archive.bytes, never))).to.deep.equal(['Loaded image: quay.io/aptible/redis:3.0']);
      expect(received.equals(archive.whole)).to.equal(true);
      const { query, headers, method } = asked('/images/load');
      expect(method).to.equal('POST');
      expect(query.get('quiet')).to.equal('false');
      expect(headers['content-type']).to.match(/tar/);
      expect(headers['transfer-encoding']).to.equal('chunked');
    });

    it('takes no more of the archive than the engine takes', async () => {
      let read = (): void => undefined;
      const stalled = new Promise<void>((resolve) => {
        read = resolve;
      });
      let received = 0;
      answering(async ({ incoming }, response) => {
        incoming.pause();
        await stalled;
        for await (const chunk of incoming) received += (chunk as Buffer).length;
        response.end('{"stream":"Loaded image: x\\n"}\n');
      });
      const archive = archiveOf(400, 100_000);
      const work = drain(daemon.load(archive.bytes, never));
      await until(() => engine.seen.length > 0 && archive.given > 0);
      for (let before = -1; before !== archive.given;) {
        before = archive.given;
        for (let count = 0; count < 20; count += 1) await turn();
      }
      expect(archive.given, 'bytes ahead of an engine that reads nothing').to.be.below(8_000_000);
      read();
      await work;
      expect(received).to.equal(40_000_000);
    });

    it("rejects with the archive's own error, and ends the request", async () => {
      for (const [answer, moment] of [
        [() => undefined, 'before the answer'],
        [
          (_request: EngineRequest, response: ServerResponse) => {
            response.writeHead(200);
            response.write('{"status":"Loading layer"}\n');
          },
          'after its beginning',
        ],
      ] as const) {
        answering((request, response) => {
          request.incoming.resume();
          return answer(request, response);
        });
        const error = new Error('no registry has this blob');
        async function* broken(): AsyncGenerator<Uint8Array> {
          yield Buffer.alloc(1000);
          await until(() => engine.seen.some(({ path }) => path === '/images/load'));
          await turn();
          throw error;
        }
        expect(await failureOf(drain(daemon.load(broken(), never))), moment).to.equal(error);
        await until(() => engine.connections === 0);
      }
    });

    it('ends the archive when the engine refuses it early, at an abort, and when nobody reads on', async () => {
      const archive = endless();
      answering(({ incoming }, response) => {
        // Go's server lingers, so that whoever still sends gets to read its answer; Node's does with this.
        incoming.resume();
        response.shouldKeepAlive = true;
        sendJson(response, { message: 'no space left on device' }, 500);
      });
      expect(await failing(drain(daemon.load(archive.bytes, never)))).to.include({ fault: 'disk', statusCode: 500 });
      await until(() => archive.isEnded);

      const second = endless();
      const controller = new AbortController();
      answering(({ incoming }) => incoming.resume());
      const work = failureOf(drain(daemon.load(second.bytes, controller.signal)));
      await until(() => engine.connections === 1 && second.count > 10);
      controller.abort('enough');
      expect(await work).to.equal('enough');
      await until(() => second.isEnded);
      expect(getEventListeners(controller.signal, 'abort')).to.have.length(0);

      const third = endless();
      answering(({ incoming }, response) => {
        incoming.resume();
        response.write('{"status":"Loading layer"}\n');
      });
      for await (const { status } of daemon.load(third.bytes, never)) {
        expect(status).to.equal('Loading layer');
        break;
      }
      await until(() => third.isEnded);
    });

    it('fails with an error in its answer', async () => {
      answering(async ({ incoming }, response) => {
        await buffer(incoming);
        response.end('{"errorDetail":{"message":"invalid tar header"},"error":"invalid tar header"}\n');
      });
      expect(await failing(drain(daemon.load(archiveOf(2, 100).bytes, never)))).to.include({ fault: 'extract' });
    });
  });

  describe('about images', () => {
    it('reads an image as every engine describes it', async () => {
      const diffId = `sha256:${'11'.repeat(32)}`;
      answering((_request, response) =>
        sendJson(response, {
          Id: `sha256:${'ab'.repeat(32)}`,
          RepoTags: ['redis:3.0', '<none>:<none>'],
          RepoDigests: [`redis@sha256:${'cd'.repeat(32)}`, '<none>@<none>'],
          Os: 'linux',
          Architecture: 'arm64',
          Variant: 'v8',
          Size: 5995008,
          RootFS: { Type: 'layers', Layers: [diffId, 'nonsense'] },
          Metadata: { LastTagTime: '2026-11-23T12:56:46.992256581Z' },
        }),
      );
      expect(await daemon.inspect('redis:3.0')).to.deep.equal({
        id: `sha256:${'ab'.repeat(32)}`,
        tags: ['redis:3.0'],
        digests: [`redis@sha256:${'cd'.repeat(32)}`],
        platform: { os: 'linux', architecture: 'arm64' },
        sizeBytes: 5995008,
        diffIds: [diffId],
        taggedAtMs: Date.parse('2026-11-23T12:56:46.992Z'),
      });
      answering((_request, response) =>
        sendJson(response, { Id: 'ab'.repeat(32), Metadata: { LastTagTime: '0001-01-01T00:00:00Z' } }),
      );
      expect(await daemon.inspect('redis')).to.deep.equal({
        id: `sha256:${'ab'.repeat(32)}`,
        tags: [],
        digests: [],
        platform: { os: 'linux', architecture: '' },
        sizeBytes: 0,
        diffIds: [],
        taggedAtMs: null,
      });
    });

    it('knows that an image is not there, and that a name to take away is not', async () => {
      answering((_request, response) => sendJson(response, { message: 'No such image: x' }, 404));
      expect(await daemon.inspect('quay.io/aptible/redis:3.0')).to.equal(null);
      expect(asked('/images/quay.io/aptible/redis:3.0/json').method).to.equal('GET');
      await daemon.untag('quay.io/aptible/redis:3.0');
      expect(asked('/images/quay.io/aptible/redis:3.0').method).to.equal('DELETE');
    });

    it('fails where an engine does', async () => {
      answering((_request, response) => sendJson(response, { message: 'image is being used by x' }, 409));
      expect(await failing(daemon.untag('x'))).to.include({ statusCode: 409, text: 'image is being used by x' });
      expect(await failing(daemon.tag('x', { name: 'y', tag: '1' }))).to.include({ statusCode: 409 });
      expect(await failing(daemon.list())).to.include({ statusCode: 409 });
      expect(await failing(daemon.inspect('x'))).to.include({ statusCode: 409 });
    });

    it('gives a name and lists names', async () => {
      answering(({ path }, response) => {
        if (path.endsWith('/tag')) return response.writeHead(201).end();
        return sendJson(response, [
          { Id: 'sha256:a', RepoTags: ['x:1'], RepoDigests: null },
          { Id: 'sha256:b', RepoTags: ['<none>:<none>'], RepoDigests: ['<none>@<none>'] },
        ]);
      });
      await daemon.tag('127.0.0.1:5001/x@sha256:abc', { name: 'quay.io/aptible/redis', tag: '3.0' });
      const { method, query } = asked('/images/127.0.0.1:5001/x@sha256:abc/tag');
      expect(method).to.equal('POST');
      expect(Object.fromEntries(query)).to.deep.equal({ repo: 'quay.io/aptible/redis', tag: '3.0' });
      expect(await daemon.list()).to.deep.equal([
        { id: 'sha256:a', tags: ['x:1'], digests: [] },
        { id: 'sha256:b', tags: [], digests: [] },
      ]);
      answering((_request, response) => sendJson(response, null));
      expect(await daemon.list()).to.deep.equal([]);
    });

    it('takes no name away before one is given whose caller has gone', async () => {
      let give = (): void => {};
      answering(({ method }, response) => {
        const end = (): void => void response.writeHead(method === 'POST' ? 201 : 200).end('{}');
        if (method === 'POST') give = end;
        else end();
      });
      const caller = new AbortController();
      const reason = new Error('the caller has gone');
      const tagging = failureOf(daemon.tag('127.0.0.1:5001/app:1', { name: 'quay.io/app', tag: '1' }, caller.signal));
      await until(() => engine.seen.length === 1);
      caller.abort(reason);
      expect(await tagging).to.equal(reason);
      const untagging = daemon.untag('127.0.0.1:5001/app:1', never);
      await turn();
      expect(engine.seen.map(({ method }) => method)).to.deep.equal(['POST']);
      give();
      await untagging;
      expect(engine.seen.map(({ method }) => method)).to.deep.equal(['POST', 'DELETE']);
    });

    it('waits for such a name no longer than its own caller does, and ends it when it is closed', async () => {
      answering(() => undefined);
      const caller = new AbortController();
      const tagging = failureOf(daemon.tag('127.0.0.1:5001/app:1', { name: 'quay.io/app', tag: '1' }, caller.signal));
      await until(() => engine.seen.length === 1);
      caller.abort(new Error('the caller has gone'));
      await tagging;
      const waiting = new AbortController();
      const reason = new Error('nor does this one wait');
      const untagging = failureOf(daemon.untag('127.0.0.1:5001/app:1', waiting.signal));
      waiting.abort(reason);
      expect(await untagging).to.equal(reason);
      expect(engine.connections).to.equal(1);
      await daemon.close();
      await until(() => engine.connections === 0, 'its connection is closed');
    });

    it('does not let a name become another path', async () => {
      answering((_request, response) => sendJson(response, { message: 'no' }, 404));
      await daemon.inspect('a?b=c#d e%2F');
      expect(engine.seen[0]?.incoming.url).to.equal('/images/a%3Fb=c%23d%20e%252F/json');
    });

    it('refuses answers that are no description of an image, no JSON, or without end', async () => {
      const answers: readonly EngineAnswer[] = [
        (_request, response) => sendJson(response, {}),
        (_request, response) => sendJson(response, [5]),
        (_request, response) => sendJson(response, 'text'),
        (_request, response) => response.end('{"Id":'),
        (_request, response) => response.end(),
        (_request, response) => {
          const piece = Buffer.alloc(1 << 20, ' ');
          const write = (): void => {
            while (!response.destroyed && response.write(piece));
          };
          response.on('drain', write);
          write();
        },
      ];
      for (const [at, answer] of answers.entries()) {
        answering(answer);
        expect(await failing(daemon.list()), `answer ${at}`).to.include({ name: 'EngineFailure', isLost: false });
        await until(() => engine.connections === 0);
      }
    });

    it('asks once more where only a question was lost, and not where something may have been done', async () => {
      let lost = 1;
      answering((request, response) => {
        if (lost > 0) {
          lost -= 1;
          return request.incoming.socket.destroy();
        }
        return sendJson(response, []);
      });
      expect(await daemon.list()).to.deep.equal([]);
      lost = 1;
      expect(await failing(daemon.tag('x', { name: 'y', tag: '1' }))).to.include({ isLost: true });
      lost = 2;
      expect(await failing(daemon.list())).to.include({ isLost: true });
    });

    it('reads an error of any length and shows little of it', async () => {
      answering((_request, response) => response.writeHead(500).end('x'.repeat(1_000_000)));
      expect((await failing(daemon.list())).message.length).to.be.below(1_000);
      answering((_request, response) =>
        sendJson(response, { cause: 'c', message: 'Podman says so', response: 500 }, 500),
      );
      expect(await failing(daemon.list())).to.include({ text: 'Podman says so', statusCode: 500 });
      answering((_request, response) => response.writeHead(500).end());
      expect((await failing(daemon.list())).message).to.equal('it answered 500');
    });

    it('ends a request that is aborted while its answer comes', async () => {
      answering((_request, response) => response.writeHead(200).write('[{"Id":"sha'));
      const controller = new AbortController();
      const work = failureOf(daemon.list(controller.signal));
      await until(() => engine.seen.length === 1);
      await turn();
      controller.abort('enough');
      expect(await work).to.equal('enough');
      expect(getEventListeners(controller.signal, 'abort')).to.have.length(0);
    });
  });

  describe('about itself', () => {
    it('is asked once, and again when a fresh answer is wanted or the daemon was lost', async () => {
      answering((request) => request.incoming.socket.destroy());
      const count = (): number => engine.seen.filter(({ path }) => path === '/info').length;
      const [one, two] = await Promise.all([daemon.traits({}), daemon.traits({})]);
      expect(one).to.equal(two);
      expect(await daemon.traits({})).to.equal(one);
      expect(count()).to.equal(1);
      await daemon.traits({ fresh: true });
      expect(count()).to.equal(2);
      await failing(daemon.untag('x'));
      await daemon.traits({});
      expect(count()).to.equal(3);
      await failing(drain(daemon.pull(pull, never)));
      await daemon.traits({});
      expect(count()).to.equal(4);
    });

    it('answers others when one who asked has left', async () => {
      let go = (): void => undefined;
      const waiting = new Promise<void>((resolve) => {
        go = resolve;
      });
      engine.answer = async (request, response) => {
        await waiting;
        return being(dockerVersion, () => undefined)(request, response);
      };
      const controller = new AbortController();
      const leaving = failureOf(daemon.traits({ signal: controller.signal }));
      const staying = daemon.traits({});
      controller.abort('gone');
      expect(await leaving).to.equal('gone');
      go();
      expect((await staying).product).to.equal('docker');
      expect(getEventListeners(controller.signal, 'abort')).to.have.length(0);
    });

    it('can be asked after all who asked have left', async () => {
      engine.answer = () => undefined;
      const controller = new AbortController();
      const leaving = failureOf(daemon.traits({ signal: controller.signal }));
      await until(() => engine.seen.length === 1);
      controller.abort('gone');
      await leaving;
      answering(() => undefined);
      expect((await daemon.traits({})).store).to.equal('graph');
    });
  });

  describe('that comes back', () => {
    it('is waited for', async () => {
      answering((_request, response) => response.end('OK'));
      await engine.die();
      const back = daemon.whenBack(20_000, never);
      await turn();
      await engine.revive();
      await back;
      expect(asked('/_ping').method).to.equal('GET');
    });

    it('is given up after the time given, with the last failure', async () => {
      await engine.die();
      expect(await failing(daemon.whenBack(150, never))).to.include({ fault: 'unreachable' });
      await engine.revive();
      answering(() => undefined);
      const beganMs = performance.now();
      expect(await failing(daemon.whenBack(150, never))).to.include({ fault: 'unreachable' });
      expect(performance.now() - beganMs).to.be.below(4_000);
    });

    it('is not back before it answers well', async () => {
      let answers = 0;
      answering((_request, response) => {
        answers += 1;
        if (answers < 3) return sendJson(response, { message: 'starting' }, 503);
        return response.end('OK');
      });
      await daemon.whenBack(20_000, never);
      expect(answers).to.equal(3);
    });

    it('is no longer waited for at an abort', async () => {
      await engine.die();
      const controller = new AbortController();
      const work = failureOf(daemon.whenBack(60_000, controller.signal));
      await turn();
      controller.abort('enough');
      expect(await work).to.equal('enough');
      expect(getEventListeners(controller.signal, 'abort')).to.have.length(0);
    });
  });

  describe('that is closed', () => {
    it('ends what is open, refuses what comes, and says so again and again', async () => {
      answering(({ incoming }, response) => {
        incoming.resume();
        response.writeHead(200).flushHeaders();
      });
      const works = [
        failing(drain(daemon.pull(pull, never))),
        failing(daemon.list()),
        failing(drain(daemon.load(endless().bytes, never))),
        failing(daemon.whenBack(60_000, never)),
      ];
      await until(() => engine.connections >= 3);
      await daemon.close();
      for (const failure of await Promise.all(works)) expect(failure.message).to.match(/was closed$/);
      await until(() => engine.connections === 0);
      const before = engine.seen.length;
      await daemon.close();
      expect((await failing(daemon.inspect('x'))).message).to.match(/was closed$/);
      expect((await failing(daemon.traits({ fresh: true }))).message).to.match(/was closed$/);
      expect((await failing(drain(daemon.load(endless().bytes, never)))).message).to.match(/was closed$/);
      expect(engine.seen).to.have.length(before);
    });
  });

  describe('through what is no dockerode', () => {
    const calling = (answer: (callback: (error: unknown, found?: unknown) => void) => void): OpenDockerDaemon => {
      const docker: DockerLike = { modem: { dial: (_options, callback) => answer(callback) } };
      return openDockerDaemon(docker, 'docker-modem://test');
    };

    it('fails, and does not hang', async () => {
      const answers: readonly ((callback: (error: unknown, found?: unknown) => void) => void)[] = [
        (callback) => callback(null, undefined),
        (callback) => callback(null, { statusCode: 200 }),
        (callback) => callback(null, Buffer.from('[]')),
        (callback) => callback('a text'),
        (callback) => callback(Object.assign(new Error('All authentication methods failed'), { level: 'client' })),
        (callback) => callback(new AggregateError([new Error('connect ECONNREFUSED ::1:2375')], '')),
        () => {
          throw new TypeError('Invalid character in header');
        },
      ];
      for (const [at, answer] of answers.entries()) {
        const failure = await failing(calling(answer).list());
        expect(failure, `answer ${at}`).to.include({ name: 'EngineFailure', fault: 'unreachable', isLost: false });
        expect(failure.message).not.to.equal('');
      }
    });

    it('throws away an answer that comes after an abort', async () => {
      const late: ((error: unknown, found?: unknown) => void)[] = [];
      const controller = new AbortController();
      const work = failureOf(calling((callback) => late.push(callback)).list(controller.signal));
      await turn();
      controller.abort('enough');
      expect(await work).to.equal('enough');
      answering((_request, response) => response.writeHead(200).flushHeaders());
      const [callback] = late;
      engine
        .docker()
        .modem.dial({ path: '/x', method: 'GET', isStream: true, statusCodes: { 200: true } }, (_error, answer) =>
          callback?.(null, answer),
        );
      await until(() => engine.seen.length === 1);
    });
  });

  interface Archive {
    readonly bytes: AsyncIterable<Uint8Array>;
    readonly whole: Buffer;
    readonly given: number;
  }

  function archiveOf(count: number, bytes: number): Archive {
    const pieces = Array.from({ length: count }, (_piece, at) => Buffer.alloc(bytes, at));
    let given = 0;
    async function* read(): AsyncGenerator<Uint8Array> {
      for (const piece of pieces) {
        given += piece.length;
        yield piece;
      }
    }
    return {
      bytes: read(),
      whole: Buffer.concat(pieces),
      get given() {
        return given;
      },
    };
  }

  interface Endless {
    readonly bytes: AsyncIterable<Uint8Array>;
    readonly isEnded: boolean;
    readonly count: number;
  }

  function endless(): Endless {
    let isEnded = false;
    let count = 0;
    async function* read(): AsyncGenerator<Uint8Array> {
      try {
        for (;;) {
          count += 1;
          yield Buffer.alloc(10_000);
          await turn();
        }
      } finally {
        isEnded = true;
      }
    }
    return {
      bytes: read(),
      get isEnded() {
        return isEnded;
      },
      get count() {
        return count;
      },
    };
  }
});
