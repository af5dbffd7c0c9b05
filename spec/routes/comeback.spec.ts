import { expect } from 'chai';
import type { DockerDaemon } from '../../lib/engine/docker/docker-daemon.js';
import { dockerEngine, dockerParts } from '../../lib/engine/docker/docker-engine.js';
import { EngineFailure, engineFailure } from '../../lib/engine/docker/engine-failure.js';
import { Comeback } from '../../lib/routes/comeback.js';
import {
  being,
  dockerVersion,
  type EngineAnswer,
  type ScriptedEngine,
  sendJson,
  startScriptedEngine,
} from '../engine/docker/support/scripted-engine.js';
import { failureOf } from '../support/failure-of.js';

describe('a daemon that goes away in the middle of a pull', () => {
  const { signal } = new AbortController();
  const imageThere: EngineAnswer = being(dockerVersion, (_request, response) =>
    sendJson(response, { Id: 'sha256:aa', Os: 'linux', Architecture: 'amd64' }),
  );

  interface Opened extends AsyncDisposable {
    readonly scripted: ScriptedEngine;
    readonly daemon: DockerDaemon;
    /** Does it with the daemon, and counts how often. */
    readonly tries: number;
    inspect(comeback: Comeback, by?: AbortSignal): Promise<unknown>;
  }

  async function open(): Promise<Opened> {
    const scripted = await startScriptedEngine(imageThere);
    const engine = dockerEngine(scripted.docker());
    const { daemon } = dockerParts(engine);
    let tries = 0;
    return {
      scripted,
      daemon,
      get tries() {
        return tries;
      },
      inspect: (comeback, by = signal) =>
        comeback.evenIfAway(by, () => {
          tries += 1;
          return daemon.inspect('app', by);
        }),
      [Symbol.asyncDispose]: async () => {
        await engine.close();
        await scripted[Symbol.asyncDispose]();
      },
    };
  }

  const soon = (work: () => Promise<void>): void => void setTimeout(() => void work(), 150);

  it('is waited for, and asked once more, where it has answered in this pull', async () => {
    await using opened = await open();
    const comeback = new Comeback(opened.daemon, 'pull-1');
    await opened.daemon.traits({});
    await opened.scripted.die();
    soon(opened.scripted.revive);
    expect(await opened.inspect(comeback)).to.include({ id: 'sha256:aa' });
    expect(opened.tries).to.equal(2);
  });

  it('is waited for where it has answered in part', async () => {
    await using opened = await open();
    const { scripted, daemon } = opened;
    scripted.answer = (request, response) => {
      if (request.path !== '/info') return imageThere(request, response);
      scripted.answer = imageThere;
      soon(scripted.revive);
      return scripted.die();
    };
    const comeback = new Comeback(daemon, 'pull-1');
    const { version } = await comeback.evenIfAway(signal, () => daemon.traits({}));
    expect(version).to.equal('20.10.24');
  });

  it('is not waited for where it has never answered, nor where it did so before the pull began alone', async () => {
    await using opened = await open();
    await opened.scripted.die();
    expect(await failureOf(opened.inspect(new Comeback(opened.daemon, 'pull-1')))).to.include({ fault: 'unreachable' });
    await opened.scripted.revive();
    await opened.daemon.traits({});
    await opened.scripted.die();
    const startedAtMs = performance.now();
    expect(await failureOf(opened.inspect(new Comeback(opened.daemon, 'pull-2')))).to.include({ fault: 'unreachable' });
    expect(performance.now() - startedAtMs).to.be.below(1_000);
    expect(opened.tries).to.equal(2);
  });

  it('is waited for once in all', async () => {
    await using opened = await open();
    const comeback = new Comeback(opened.daemon, 'pull-1');
    await opened.daemon.traits({});
    for (const outcome of ['well', 'unreachable'] as const) {
      await opened.scripted.die();
      if (outcome === 'well') soon(opened.scripted.revive);
      const ended = opened.inspect(comeback).then(
        () => 'well',
        (error: unknown) => error,
      );
      if (outcome === 'well') expect(await ended).to.equal('well');
      else expect(await ended).to.include({ fault: 'unreachable' });
    }
    expect(opened.tries).to.equal(3);
  });

  it('is waited for only as long as the caller wants', async () => {
    await using opened = await open();
    const comeback = new Comeback(opened.daemon, 'pull-1');
    await opened.daemon.traits({});
    await opened.scripted.die();
    const leaving = new AbortController();
    setTimeout(() => leaving.abort('enough'), 150);
    expect(await failureOf(opened.inspect(comeback, leaving.signal))).to.equal('enough');
  });

  it('is told as it was seen first, where it does not come back within 30 s', async () => {
    const waited: number[] = [];
    const gone = {
      lastAnswerAtMs: Infinity,
      whenBack: async (withinMs: number) => {
        waited.push(withinMs);
        throw engineFailure({ text: 'nobody there', code: 'ECONNREFUSED' });
      },
    } as unknown as DockerDaemon;
    const first = engineFailure({ text: 'socket hang up', lost: true });
    expect(await failureOf(new Comeback(gone, 'pull-1').wait(first, signal))).to.equal(first);
    expect(waited).to.deep.equal([30_000]);
  });

  it('is not waited for when something else failed, or there is no daemon', async () => {
    await using opened = await open();
    const comeback = new Comeback(opened.daemon, 'pull-1');
    await opened.daemon.traits({});
    const lost = engineFailure({ text: 'socket hang up', lost: true });
    const others = [
      new Error('other'),
      new EngineFailure('disk', { text: 'no space left on device' }),
      engineFailure({ text: 'connect EACCES', code: 'EACCES' }),
    ];
    for (const failure of others) {
      expect(await failureOf(comeback.wait(failure, signal))).to.equal(failure);
    }
    expect(await failureOf(new Comeback(null, 'pull-1').wait(lost, signal))).to.equal(lost);
    expect(opened.scripted.seen.filter(({ path }) => path === '/_ping')).to.deep.equal([]);
  });
});
