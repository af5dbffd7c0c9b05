import { expect } from 'chai';
import Dockerode from 'dockerode';
import { dockerEngine, dockerParts, type DockerEngine } from '../../lib/engine/docker/docker-engine.js';
import { isEngineError } from '../../lib/errors/engine-error.js';
import { isHostFaultError } from '../../lib/errors/host-fault-error.js';
import type { Relay } from '../../lib/relay/relay.js';
import { startRelay } from '../../lib/relay/start-relay.js';
import { reachesRelay } from '../../lib/routes/relay/relay-handshake.js';
import { requireDockerd, startDockerd } from '../support/docker-engine.js';
import { failureOf } from '../support/failure-of.js';
import { requirePodman, startPodman } from '../support/podman-engine.js';
import type { RealEngine } from '../support/real-engine.js';
import { startServer } from '../support/servers.js';
import { engineKinds } from './load/support/load-rig.js';
import { chooseFor } from './support/choose-for.js';

const never = new AbortController().signal;

/** A relay, and how often it was to listen for a handshake. */
interface CountedRelay extends AsyncDisposable {
  readonly of: () => Promise<Relay>;
  readonly handshakes: number;
}

function relayFor(engine: DockerEngine): CountedRelay {
  let started: Promise<Relay> | null = null;
  let handshakes = 0;
  const start = async (): Promise<Relay> => {
    const relay = await startRelay(dockerParts(engine).relay);
    return {
      ...relay,
      heardOf: (...asked) => {
        handshakes += 1;
        return relay.heardOf(...asked);
      },
    };
  };
  return {
    of: () => (started ??= start()),
    get handshakes() {
      return handshakes;
    },
    [Symbol.asyncDispose]: async () => (await started)?.close(),
  };
}

/** As a relay that nobody talks to. */
function notHeard(_word: string, _withinMs: number, signal: AbortSignal): Promise<boolean> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}

async function imagesOf({ docker }: RealEngine): Promise<readonly unknown[]> {
  return docker.listImages({ all: true });
}

for (const kind of Object.values(engineKinds)) {
  describe(`the choice of a route into ${kind.title}`, function () {
    this.timeout(60_000);
    kind.require();
    let real: RealEngine;
    before(async () => {
      real = await kind.start();
    });
    after(() => real?.close());

    it('is the relay where the daemon is heard there, and leaves nothing in the daemon', async () => {
      await using engine = dockerEngine(real.docker);
      await using relay = relayFor(engine);
      const { address } = await relay.of();
      expect(await chooseFor(engine, relay.of, never)).to.deep.equal({
        route: 'relay',
        why: `the daemon reaches the relay of this process at ${address}`,
        advice: null,
      });
      expect(await imagesOf(real)).to.deep.equal([]);
    });

    it('asks once, however many want to know, at the same time or later', async () => {
      await using engine = dockerEngine(real.docker);
      await using relay = relayFor(engine);
      const chosen = await Promise.all(Array.from({ length: 20 }, () => chooseFor(engine, relay.of, never)));
      expect(new Set(chosen.map(({ route }) => route))).to.deep.equal(new Set(['relay']));
      await chooseFor(engine, relay.of, never);
      expect(relay.handshakes).to.equal(1);
    });

    it('asks as nobody: whatever answers there learns no secret', async () => {
      await using engine = dockerEngine(real.docker);
      const server = await startServer((_, response) => {
        response.writeHead(401, { 'www-authenticate': 'Basic realm="relay"' }).end('{}');
      });
      try {
        const startedAtMs = performance.now();
        const stranger = { address: server.authority, heardOf: notHeard };
        const limits = { begunMs: 30_000, totalMs: 30_000 };
        expect(await reachesRelay(dockerParts(engine).daemon, stranger, never, limits)).to.equal(false);
        // The daemon has had its answer: nobody waits for a limit.
        expect(performance.now() - startedAtMs).to.be.lessThan(20_000);
        expect(server.seen.length).to.be.greaterThan(0);
        const shown = server.seen.flatMap(({ headers }) => headers.authorization ?? []);
        // An empty user and password, base64: Podman's way to be nobody.
        expect(shown.filter((header) => header !== 'Basic Og==')).to.deep.equal([]);
      } finally {
        await server.close();
      }
    });

    it('is what the options say, without a handshake where that is not the relay', async () => {
      for (const route of ['load', 'direct'] as const) {
        await using engine = dockerEngine(real.docker, { route });
        await using relay = relayFor(engine);
        const chosen = await chooseFor(engine, relay.of, never);
        expect(chosen).to.deep.include({ route, advice: null });
        expect(relay.handshakes).to.equal(0);
      }
      await using engine = dockerEngine(real.docker, { route: 'relay' });
      await using relay = relayFor(engine);
      expect(await chooseFor(engine, relay.of, never)).to.deep.include({ route: 'relay', advice: null });
    });
  });
}

describe('a daemon that does not reach the relay', function () {
  this.timeout(60_000);
  for (const [name, needs, start] of [
    ['Docker', requireDockerd, () => startDockerd({ networkNamespace: true })],
    ['Podman', requirePodman, () => startPodman({ networkNamespace: true })],
  ] as const) {
    describe(name, () => {
      needs();
      let real: RealEngine;
      before(async () => {
        real = await start();
      });
      after(() => real?.close());

      it('is sent archives, and its host is told how to change that', async () => {
        await using engine = dockerEngine(real.docker);
        await using relay = relayFor(engine);
        const { address } = await relay.of();
        const startedAtMs = performance.now();
        const { route, why, advice } = await chooseFor(engine, relay.of, never);
        expect(performance.now() - startedAtMs).to.be.lessThan(15_000);
        expect(route).to.equal('load');
        expect(why).to.equal(`the daemon does not reach the relay of this process at ${address}`);
        expect(advice).to.match(/another loopback|in a container/);
        await chooseFor(engine, relay.of, never);
        expect(relay.handshakes, 'asked again').to.equal(1);
      });

      it('is an error where the relay was asked for, which says how to mend it', async () => {
        await using engine = dockerEngine(real.docker, { route: 'relay' });
        await using relay = relayFor(engine);
        const failure = await failureOf(chooseFor(engine, relay.of, never));
        if (!isEngineError(failure)) throw failure;
        expect(failure.message)
          .to.match(/does not reach the relay/)
          .and.to.match(/route: 'auto'/);
      });
    });
  }
});

describe('the choice of a route', function () {
  this.timeout(60_000);
  requireDockerd();
  let real: RealEngine;
  before(async () => {
    real = await startDockerd({
      registryConfig: { 'insecure-registries': ['10.20.0.0/16', 'relay.example:5055', '192.0.2.1'] },
    });
  });
  after(() => real?.close());

  it('sends archives where the daemon would not take plain HTTP from the address advertised, without trying', async () => {
    for (const advertise of ['10.21.0.1:5055', 'relay.example:5056', '192.0.2.1:5055']) {
      await using engine = dockerEngine(real.docker, { relay: { advertise } });
      await using relay = relayFor(engine);
      const { route, why, advice } = await chooseFor(engine, relay.of, never);
      expect(route).to.equal('load');
      expect(why).to.include(advertise);
      expect(advice).to.include('insecure-registries');
      expect(relay.handshakes).to.equal(0);
    }
  });

  it('sends archives where the relay cannot listen, and says so', async () => {
    await using taken = await startRelay({ listen: { host: '127.0.0.1', port: 0 }, advertise: null });
    const port = Number(taken.address.split(':')[1]);
    await using engine = dockerEngine(real.docker, { relay: { listen: port } });
    const { route, why, advice } = await chooseFor(engine, relayFor(engine).of, never);
    expect(route).to.equal('load');
    expect(why).to.include(`127.0.0.1:${port}`).and.to.include('EADDRINUSE');
    expect(advice).to.include('relay.listen');
  });

  it('is not waited for when a daemon hangs in the middle of the handshake', async () => {
    await using engine = dockerEngine(real.docker);
    const { daemon } = dockerParts(engine);
    await daemon.traits({});
    await using relay = relayFor(engine);
    await real.suspend();
    try {
      const limits = { begunMs: 200, totalMs: 700 };
      const startedAtMs = performance.now();
      expect(await reachesRelay(daemon, await relay.of(), never, limits)).to.equal(false);
      expect(performance.now() - startedAtMs).to.be.within(650, 5_000);
    } finally {
      await real.resume();
    }
  });

  it('rethrows the reason of an abort', async () => {
    await using engine = dockerEngine(real.docker);
    await using relay = relayFor(engine);
    const caller = new AbortController();
    const reason = new Error('enough');
    const chosen = failureOf(chooseFor(engine, relay.of, caller.signal));
    caller.abort(reason);
    expect(await chosen).to.equal(reason);
    expect(await failureOf(chooseFor(engine, relay.of, caller.signal))).to.equal(reason);
    expect(await chooseFor(engine, relay.of, never)).to.include({ route: 'relay' });
  });

  it('is a fault of the host where there is no daemon', async () => {
    for (const route of ['auto', 'relay', 'load', 'direct'] as const) {
      await using engine = dockerEngine(new Dockerode({ socketPath: '/nonexistent/docker.sock' }), { route });
      await using relay = relayFor(engine);
      const failure = await failureOf(chooseFor(engine, relay.of, never));
      if (!isHostFaultError(failure)) throw failure;
      expect(failure.reason.cause).to.equal('engine');
    }
  });
});

describe('the choice of a route into an old Podman', () => {
  const start = (version: string, insecure: Readonly<Record<string, unknown>>) =>
    startServer(({ url, method }, response) => {
      if (url.endsWith('/version')) {
        response.end(JSON.stringify({ Version: version, Components: [{ Name: 'Podman Engine', Version: version }] }));
      } else if (url.endsWith('/info')) {
        const RegistryConfig = { IndexConfigs: insecure };
        response.end(JSON.stringify({ Name: 'old', OSType: 'linux', Architecture: 'amd64', RegistryConfig }));
      } else if (method === 'GET') {
        response.end('[]');
      } else {
        response.writeHead(500).end('{"message":"connection refused"}');
      }
    });

  for (const [title, version, insecure, pulls] of [
    ['sends archives, and tells what to update', '3.4.4', {}, false],
    ['tries where its configuration trusts the relay', '3.4.4', { x: { Name: '127.0.0.1', Secure: false } }, true],
    ['tries from version 4 on, which can be told by a pull', '4.0.0', {}, true],
  ] as const) {
    it(title, async () => {
      const server = await start(version, insecure);
      try {
        await using engine = dockerEngine(new Dockerode({ host: server.host, port: server.port }));
        await using relay = relayFor(engine);
        const { route, why, advice } = await chooseFor(engine, relay.of, never);
        expect(route).to.equal('load');
        expect(relay.handshakes).to.equal(pulls ? 1 : 0);
        expect(server.seen.some(({ method }) => method === 'POST')).to.equal(pulls);
        if (!pulls) expect(`${why} ${advice}`).to.match(/Podman 3\.4\.4 .*update it to Podman 4/);
      } finally {
        await server.close();
      }
    });
  }
});
