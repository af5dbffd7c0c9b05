import { expect } from 'chai';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findDockerHost } from '../../../lib/engine/docker/docker-host.js';
import type { EngineFailure } from '../../../lib/engine/docker/engine-failure.js';
import { lazyDocker } from '../../../lib/engine/docker/lazy-docker.js';
import { openDockerDaemon, type OpenDockerDaemon } from '../../../lib/engine/docker/open-docker-daemon.js';
import { failureOf } from '../../support/failure-of.js';
import { startServer, type TestServer } from '../../support/servers.js';
import { useTemporaryDirectory } from '../../support/temporary-directory.js';
import { requireReal } from '../../support/real-parts.js';
import { createAuthority, type TestAuthority, type TestCertificate } from '../../support/tls.js';

describe('A daemon behind TLS', () => {
  const home = useTemporaryDirectory();
  requireReal('openssl', 'apt-get install openssl');
  let authority: TestAuthority;
  let stranger: TestAuthority;
  let client: TestCertificate;
  let server: TestServer | undefined;

  before(async () => {
    authority = createAuthority();
    stranger = createAuthority('a stranger');
    const own = authority.issue(['127.0.0.1']);
    client = authority.issue(['client.internal']);
    server = await startServer((_request, response) => response.end('[]'), {
      tls: { ...own, ca: authority.ca, requestCert: true },
    });
  });

  after(() => server?.close());

  function write(files: Readonly<Record<string, string>>): string {
    const directory = join(home.path, 'certificates');
    mkdirSync(directory, { recursive: true });
    for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, `${name}.pem`), text);
    return directory;
  }

  /** As the environment of a host would lead there. */
  function daemonOf(env: NodeJS.ProcessEnv, host = `tcp://127.0.0.1:${server?.port}`): OpenDockerDaemon {
    const { options, address } = findDockerHost({ env: { DOCKER_HOST: host, ...env }, homeDirectory: home.path });
    return openDockerDaemon(lazyDocker(options), address);
  }

  const failing = async (daemon: OpenDockerDaemon): Promise<EngineFailure> =>
    (await failureOf(daemon.list())) as EngineFailure;

  it('is reached with the certificates of the environment', async () => {
    const directory = write({ ca: authority.ca, cert: client.cert, key: client.key });
    await using daemon = daemonOf({ DOCKER_TLS_VERIFY: '1', DOCKER_CERT_PATH: directory });
    expect(daemon.address).to.equal(`tcp://127.0.0.1:${server?.port}`);
    expect(await daemon.list()).to.deep.equal([]);
  });

  it('is not reached when another authority vouches for it, unless nobody is to verify it', async () => {
    const directory = write({ ca: stranger.ca, cert: client.cert, key: client.key });
    await using strict = daemonOf({ DOCKER_TLS_VERIFY: '1', DOCKER_CERT_PATH: directory });
    const failure = await failing(strict);
    // Not `tls`: that is what registries do.
    expect(failure).to.include({ fault: 'unreachable', isLost: false });
    expect(failure.message).to.match(/certificate/);
    await using lax = daemonOf({ DOCKER_TLS: '1', DOCKER_CERT_PATH: directory });
    expect(await lax.list()).to.deep.equal([]);
  });

  it('is not reached without a certificate of ours, nor without TLS', async () => {
    const directory = write({ ca: authority.ca });
    await using nameless = daemonOf({ DOCKER_TLS_VERIFY: '1', DOCKER_CERT_PATH: directory });
    expect((await failing(nameless)).fault).to.be.oneOf(['unreachable', 'daemon']);
    await using plain = daemonOf({});
    expect((await failing(plain)).fault).to.be.oneOf(['unreachable', 'daemon']);
  });

  it('fails, and shows no key, when its certificates are nonsense', async () => {
    const directory = write({ ca: authority.ca, cert: client.cert, key: 'hunter2' });
    await using daemon = daemonOf({ DOCKER_TLS_VERIFY: '1', DOCKER_CERT_PATH: directory });
    const failure = await failing(daemon);
    expect(failure).to.include({ fault: 'unreachable' });
    expect(failure.message).not.to.include('hunter2');
  });

  it('is not there when nobody listens', async () => {
    const closed = await startServer(() => undefined);
    await closed.close();
    await using daemon = daemonOf({}, `tcp://127.0.0.1:${closed.port}`);
    expect(await failing(daemon)).to.include({ fault: 'unreachable', isLost: false });
    await using nameless = daemonOf({}, 'tcp://daemon.invalid:2375');
    expect(await failing(nameless)).to.include({ fault: 'unreachable', isLost: false });
  });
});
