import { expect } from 'chai';
import { expectTypeOf } from 'expect-type';
import { inspect } from 'node:util';
import Dockerode from 'dockerode';
import {
  type DockerEngine,
  dockerEngine,
  dockerParts,
  isDockerEngine,
} from '../../../lib/engine/docker/docker-engine.js';
import type { DockerLike } from '../../../lib/engine/docker/docker-like.js';
import type { Engine } from '../../../lib/engine/engine.js';
import { ociLayout } from '../../../lib/engine/layout/oci-layout.js';
import { isInvalidOptionError } from '../../../lib/errors/invalid-option-error.js';
import { startScriptedEngine } from './support/scripted-engine.js';

const docker = new Dockerode({ socketPath: '/nowhere/docker.sock' });

function refusal(make: () => unknown): string {
  try {
    make();
  } catch (error) {
    if (isInvalidOptionError(error)) return error.message;
    throw error;
  }
  throw new Error('expected a refusal');
}

describe('A daemon as an engine', () => {
  it('is named by its address and asks nothing', () => {
    const engine = dockerEngine(docker);
    expect(engine).to.include({
      id: 'docker:unix:///nowhere/docker.sock',
      kind: 'docker',
      address: 'unix:///nowhere/docker.sock',
    });
    expect(isDockerEngine(engine)).to.equal(true);
    expect(dockerParts(engine)).to.deep.include({
      route: 'auto',
      relay: { listen: { host: '127.0.0.1', port: 0 }, advertise: null },
      maxLoadBytesPerSecond: Infinity,
    });
    expect(dockerParts(engine).daemon.address).to.equal(engine.address);
  });

  it('is what its options say', () => {
    const options = {
      id: 'host-17',
      route: 'relay',
      relay: { listen: '0.0.0.0:5055', advertise: '127.0.0.1:5055' },
      load: { maxBytesPerSecond: 1_000_000 },
    } as const;
    const engine = dockerEngine(docker, options);
    expect(engine.id).to.equal('host-17');
    expect(dockerParts(engine)).to.deep.include({
      route: 'relay',
      relay: { listen: { host: '0.0.0.0', port: 5055 }, advertise: '127.0.0.1:5055' },
      maxLoadBytesPerSecond: 1_000_000,
    });
  });

  it('has a relay that listens where it is told', () => {
    const places: readonly (readonly [string | number, { host: string; port: number }])[] = [
      [5055, { host: '127.0.0.1', port: 5055 }],
      [0, { host: '127.0.0.1', port: 0 }],
      ['5055', { host: '127.0.0.1', port: 5055 }],
      ['[::]:5055', { host: '::', port: 5055 }],
      ['relay.internal:0', { host: 'relay.internal', port: 0 }],
    ];
    for (const [listen, place] of places) {
      expect(dockerParts(dockerEngine(docker, { relay: { listen } })).relay.listen, String(listen)).to.deep.equal(
        place,
      );
    }
  });

  it('is refused with options that make no sense, by their names', () => {
    const wrong: readonly (readonly [unknown, RegExp])[] = [
      [{ route: 'layout' }, /^Option route must be one of/],
      [{ rout: 'auto' }, /^Option rout is unknown/],
      [{ id: '' }, /^Option id /],
      [{ relay: { listen: 65_536 } }, /^Option relay\.listen /],
      [{ relay: { listen: -1 } }, /^Option relay\.listen /],
      [{ relay: { listen: '1.2.3.4' } }, /^Option relay\.listen must be a port or host:port, got "1.2.3.4"/],
      [{ relay: { listen: 'host:65536' } }, /^Option relay\.listen /],
      [{ relay: { listen: 'http://host:1' } }, /^Option relay\.listen /],
      [{ relay: { advertise: '5055' } }, /^Option relay\.advertise must be host:port/],
      [{ relay: { advertise: '127.0.0.1' } }, /^Option relay\.advertise /],
      [{ relay: { advertise: '127.0.0.1:0' } }, /^Option relay\.advertise /],
      [{ relay: { port: 1 } }, /^Option relay\.port is unknown/],
      [{ load: { maxBytesPerSecond: 0 } }, /^Option load\.maxBytesPerSecond /],
    ];
    for (const [options, message] of wrong) {
      expect(
        refusal(() => dockerEngine(docker, options as never)),
        JSON.stringify(options),
      ).to.match(message);
    }
    for (const value of [{}, { modem: {} }, null, 'unix:///x', { modem: { dial: 'x' } }]) {
      expect(
        refusal(() => dockerEngine(value as never)),
        inspect(value),
      ).to.match(/^Option docker must be a dockerode/);
    }
  });

  it('is the daemon of the environment when no dockerode is given', async () => {
    await using daemon = await startScriptedEngine((_request, response) => response.end('[]'));
    const { DOCKER_HOST: before } = process.env;
    process.env['DOCKER_HOST'] = `unix://${daemon.socketPath}`;
    try {
      await using engine = dockerEngine(undefined, { route: 'load' });
      expect(engine.address).to.equal(`unix://${daemon.socketPath}`);
      expect(await dockerParts(engine).daemon.list()).to.deep.equal([]);
    } finally {
      if (before === undefined) delete process.env['DOCKER_HOST'];
      else process.env['DOCKER_HOST'] = before;
    }
  });

  it("shows neither the host's dockerode nor its keys when it is looked at", () => {
    const secret = new Dockerode({ host: 'build', port: 2376, ca: 'c', cert: 'c', key: 'hunter2' });
    const engine = dockerEngine(secret);
    expect(inspect(engine, { depth: 9 })).not.to.match(/hunter2|modem/);
    expect(JSON.parse(JSON.stringify(engine))).to.deep.equal({
      id: 'docker:tcp://build:2376',
      kind: 'docker',
      address: 'tcp://build:2376',
    });
  });

  it('is told from everything else', () => {
    for (const value of [null, undefined, {}, { kind: 'docker' }, docker, ociLayout('/nowhere'), 'docker']) {
      expect(isDockerEngine(value)).to.equal(false);
    }
  });

  it('takes a dockerode as its types declare it', () => {
    expectTypeOf<Dockerode>().toExtend<DockerLike>();
    expectTypeOf<DockerEngine>().toExtend<Engine>();
    expectTypeOf(dockerEngine).toBeCallableWith(docker, { route: 'direct' });
    expectTypeOf(dockerEngine).toBeCallableWith();
  });
});
