import { expect } from 'chai';
import type { DockerEngineOptions } from '../../../lib/index.js';
import {
  layers,
  type RegistryDouble,
  seededImage,
  startRegistryDouble,
  type TestImage,
} from '../../../lib/testing/index.js';
import { requireDockerd, startDockerd } from '../../support/docker-engine.js';
import type { RealEngine } from '../../support/real-engine.js';
import { startServer } from '../../support/servers.js';
import { type HostChild, startHostChild } from '../support/host-child.js';
import { expectInDaemon, expectNoRelayNames } from '../support/image-in-daemon.js';
import { freePort, type PublishedPort, publishPort } from '../support/published-port.js';

/** What runs in it takes itself for a container: nothing but its mounts tells it otherwise. */
const inContainer: readonly string[] = [
  ...['unshare', '--mount', 'sh', '-c'],
  ...['mount -t tmpfs tmpfs /run && touch /run/.containerenv && exec "$@"', 'sh'],
];

/** On the daemon's side, where nobody else listens on anything. */
const publishedPort = 5055;

describe('A host in a container, with the socket of the daemon outside', function () {
  this.timeout(60_000);
  requireDockerd();
  let real: RealEngine;
  let first: RegistryDouble;
  let second: RegistryDouble;
  let images = 0;
  const hosts: HostChild[] = [];
  const ports: PublishedPort[] = [];

  before(async () => {
    [real, first, second] = await Promise.all([
      // The other way round: the daemon has a network of its own, and this process is in the container.
      startDockerd({ networkNamespace: true }),
      // Each layer stops, so that every pull goes on from the second.
      startRegistryDouble({ faults: [layers.stall({ afterShare: 0.3 })] }),
      startRegistryDouble(),
    ]);
  });

  afterEach(async () => {
    await Promise.all(hosts.splice(0).map((host) => host.kill()));
    await Promise.all(ports.splice(0).map((port) => port.close()));
    await expectNoRelayNames(real);
  });

  after(async () => {
    await Promise.all([first?.close(), second?.close()]);
    await real?.close();
  });

  function startHost(engine: DockerEngineOptions = {}): HostChild {
    const host = startHostChild(
      {
        socketPath: real.socketPath,
        engine,
        puller: {
          registries: [`${first.host}/team`, `${second.host}/team`],
          timeouts: { layers: { stallMs: 500, firstByteMs: 2_000 } },
        },
      },
      { within: inContainer },
    );
    hosts.push(host);
    return host;
  }

  function newImage(): { readonly name: string; readonly image: TestImage } {
    images += 1;
    const image = seededImage({ bytes: [400_000, 200_000], seed: `in a container ${images}` });
    for (const registry of [first, second]) registry.putImage(`team/app-${images}:1`, image);
    return { name: `${first.host}/team/app-${images}:1`, image };
  }

  it('pulls by archives where no port is published, and says once what to publish', async () => {
    const host = startHost();
    for (const { name, image } of [newImage(), newImage()]) {
      const report = await host.pull(name);
      expect(report.route).to.equal('load');
      expect(report.routeReason).to.match(/^the daemon does not reach the relay of this process at /);
      expect(report.routeReason).to.include('--publish 127.0.0.1:5055:5055');
      expect(report.routeReason).to.include("relay: { listen: '0.0.0.0:5055', advertise: '127.0.0.1:5055' }");
      await expectInDaemon(real, report.reference, image);
      const planned = host.events.find((event) => event.type === 'pull:planned' && event.image === name);
      expect(planned).to.include({ route: 'load', routeReason: report.routeReason });
    }
    expect(host.events.filter(({ type }) => type === 'pull:route-changed')).to.deep.equal([]);
    expect(host.warnings).to.have.length(1);
    expect(host.warnings[0]).to.match(/^PullFailoverWarning: .*--publish 127\.0\.0\.1:5055:5055/);
    await host.close();
  });

  it('pulls by the relay where its port is published', async () => {
    const listen = await freePort();
    const published = await publishPort(real, publishedPort, listen);
    ports.push(published);
    const host = startHost({ relay: { listen: `0.0.0.0:${listen}`, advertise: `127.0.0.1:${publishedPort}` } });
    const { name, image } = newImage();
    const report = await host.pull(name);
    expect(report.route).to.equal('relay');
    expect(report.routeReason).to.include(`127.0.0.1:${publishedPort}`);
    expect(published.connections).to.be.above(0);
    await expectInDaemon(real, report.reference, image);
    expect(host.warnings).to.deep.equal([]);
    await host.close();
  });

  it('pulls by archives where the port that it advertises is not published, and says that', async () => {
    const host = startHost({ relay: { listen: 0, advertise: `127.0.0.1:${publishedPort}` } });
    const { name, image } = newImage();
    const report = await host.pull(name);
    expect(report.route).to.equal('load');
    expect(host.warnings).to.have.length(1);
    expect(host.warnings[0]).to.include(`127.0.0.1:${publishedPort} (relay.advertise): publish the port`);
    await expectInDaemon(real, report.reference, image);
    await host.close();
  });

  it('tells its secret to nobody else who listens where the daemon looks for it', async () => {
    const stranger = await startServer((_, response) => {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="a stranger"' }).end('{}');
    });
    try {
      ports.push(await publishPort(real, publishedPort, stranger.port));
      const host = startHost({ relay: { listen: 0, advertise: `127.0.0.1:${publishedPort}` } });
      const { name, image } = newImage();
      const report = await host.pull(name);
      expect(report.route).to.equal('load');
      await expectInDaemon(real, report.reference, image);
      expect(stranger.seen.length).to.be.above(0);
      expect(stranger.seen.map(({ headers }) => headers.authorization)).to.deep.equal(
        stranger.seen.map(() => undefined),
      );
      await host.close();
    } finally {
      await stranger.close();
    }
  });

  it('is refused the relay, when it asked for nothing else, with what to do', async () => {
    const host = startHost({ route: 'relay' });
    const answer = await host.start(newImage().name);
    expect(answer).to.include({ kind: 'failed', name: 'EngineError', code: 'ERR_ENGINE_FAILED' });
    if (answer.kind === 'failed') expect(answer.explained).to.include('--publish 127.0.0.1:5055:5055');
    const { health } = await host.close();
    expect(health.filter(({ state }) => state !== 'closed')).to.deep.equal([]);
  });
});
