import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import Dockerode from 'dockerode';
import { findDatabaseHost, type DatabaseHost } from '../../lib/drill/database-host.js';
import { makeServerImage, serverPlatform } from '../../lib/drill/server-image.js';
import { findServerProgram } from '../../lib/drill/server-program.js';
import { createPuller } from '../../lib/puller/create-puller.js';
import { startRegistryDouble } from '../../lib/testing/registry-double.js';
import { engineKinds } from '../routes/load/support/load-rig.js';
import { failureOf } from '../support/failure-of.js';
import type { RealEngine } from '../support/real-engine.js';
import { requireReal } from '../support/real-parts.js';

const never = new AbortController().signal;

async function found(docker: Dockerode): Promise<DatabaseHost> {
  const host = await findDatabaseHost(docker, never);
  if ('missing' in host) throw new Error(host.missing);
  return host;
}

/** Brings a host's image into its engine. @returns what to create a container from */
async function pulled(host: DatabaseHost): Promise<string> {
  await using double = await startRegistryDouble({ images: { [host.imageName]: host.image } });
  await using puller = createPuller({ registries: [{ prefix: double.host, credentials: 'none' }] });
  const image = `${double.host}/${host.imageName}`;
  const { reference } = await puller.pullWithFailover(image, { engine: host.engine, platform: serverPlatform });
  return reference;
}

async function contentOf({ docker }: RealEngine): Promise<readonly string[]> {
  const containers = await docker.listContainers({ all: true });
  const images = await docker.listImages({ all: true });
  return [...containers.map(({ Id: id }) => id), ...images.map(({ Id: id }) => id)];
}

/** Lets this process find no server. */
async function withoutServers<T>(work: () => Promise<T>): Promise<T> {
  const { PATH } = process.env;
  const folder = await mkdtemp(join(tmpdir(), 'pull-failover-path-'));
  try {
    await symlink('/usr/bin/ldd', join(folder, 'ldd'));
    process.env['PATH'] = folder;
    return await work();
  } finally {
    process.env['PATH'] = PATH;
    await rm(folder, { recursive: true });
  }
}

describe('the server that a drill starts', () => {
  requireReal('redis-server', 'apt-get install redis-server');

  it('is Redis where that is installed, with all that it needs', async () => {
    const { name, files, start, ping, remark } = await findServerProgram();
    expect({ name, remark }).to.deep.equal({ name: 'Redis', remark: null });
    expect(files).to.include(start[0]).and.include(ping[0]);
    expect(files.some((path) => /\/ld-linux/.test(path))).to.equal(true);
    expect(files.some((path) => /\/libc\.so/.test(path))).to.equal(true);
    for (const path of files) expect(path).to.match(/^\//);
  });

  it('is a small one on Node.js where there is none, and it says how to get Redis', async () => {
    const { name, start, remark } = await withoutServers(findServerProgram);
    expect(name).to.equal('Node.js');
    expect(start[0]).to.equal(process.execPath);
    expect(remark).to.match(/apt-get install redis-server$/);
  });
});

describe('an engine that is not there', () => {
  it('is missed in words, with how to get it', async () => {
    const host = await findDatabaseHost(new Dockerode({ socketPath: '/nowhere/docker.sock' }), never);
    expect('missing' in host && host.missing).to.match(
      /^no engine can be used at unix:\/\/\/nowhere\/docker\.sock \(.*\): start Docker or Podman there, or set DOCKER_HOST$/,
    );
  });

  it('is not waited for by whoever has had enough', async () => {
    const reason = new Error('enough');
    const docker = new Dockerode({ socketPath: '/nowhere/docker.sock' });
    expect(await failureOf(findDatabaseHost(docker, AbortSignal.abort(reason)))).to.equal(reason);
  });
});

for (const kind of Object.values(engineKinds)) {
  describe(`a database in ${kind.title}`, function () {
    this.timeout(60_000);
    kind.require();
    let real: RealEngine;
    before(async () => {
      real = await kind.start();
    });
    after(async () => {
      await real?.close();
    });
    let opened: DatabaseHost | null = null;
    async function open(): Promise<DatabaseHost> {
      opened = await found(real.docker);
      return opened;
    }
    afterEach(async () => {
      await opened?.close();
      expect(await contentOf(real)).to.deep.equal([]);
    });

    it('answers a PING, and is gone afterwards', async () => {
      const host = await open();
      expect(host.description).to.include(real.socketPath);
      const reference = await pulled(host);
      expect(await host.ask(reference, never)).to.match(/^\+?PONG$/);
      expect(await host.remove()).to.deep.equal([]);
      expect(await contentOf(real)).to.deep.equal([]);
      expect(await host.remove()).to.deep.equal([]);
    });

    it('answers also where there is no Redis', async () => {
      const host = await withoutServers(open);
      expect(host.server.name).to.equal('Node.js');
      expect(await host.ask(await pulled(host), never)).to.equal('+PONG');
    });

    it('that does not serve is told with what it has written', async () => {
      const host = await withoutServers(open);
      const node = process.execPath;
      const start = [node, '-e', "console.log('no memory left'); process.exitCode = 7"];
      const image = await makeServerImage({ ...host.server, start }, { 'spec.of': host.imageName });
      const failing: DatabaseHost = Object.assign(host, { image });
      const reference = await pulled(failing);
      expect(String(await failureOf(failing.ask(reference, never)))).to.match(
        /Node\.js ended with 7; it said: .*no memory left/s,
      );
    });

    it('is removed with its container when it is interrupted', async () => {
      const host = await open();
      const reference = await pulled(host);
      const controller = new AbortController();
      const asking = host.ask(reference, controller.signal);
      setImmediate(() => controller.abort(new Error('enough')));
      await asking.catch(() => undefined);
    });

    it('leaves what others have there alone', async () => {
      const [mine, other] = [await found(real.docker), await found(real.docker)];
      const [reference, others] = [await pulled(mine), await pulled(other)];
      expect(await mine.ask(reference, never)).to.match(/PONG$/);
      expect(await mine.remove()).to.deep.equal([]);
      expect(await other.ask(others, never)).to.match(/PONG$/);
      expect(await other.remove()).to.deep.equal([]);
      await Promise.all([mine.close(), other.close()]);
    });
  });
}
