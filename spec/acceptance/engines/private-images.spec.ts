import { readdirSync, readFileSync } from 'node:fs';
import { expect } from 'chai';
import {
  layers,
  type RegistryDouble,
  seededImage,
  startRegistryDouble,
  type TestImage,
} from '../../../lib/testing/index.js';
import { requireDockerd, startDockerd } from '../../support/docker-engine.js';
import type { RealEngine } from '../../support/real-engine.js';
import { type HeardSocket, listenIn } from '../support/heard-socket.js';
import { type HostAnswer, type HostChild, type HostClosed, startHostChild } from '../support/host-child.js';
import { expectInDaemon, expectNoRelayNames } from '../support/image-in-daemon.js';

/** Part of every secret that a registry is asked with. */
const marker = 'sk3cr3t';
const users = {
  basic: { name: 'ann', password: `${marker}-of-ann` },
  bearer: { name: 'bob', password: `${marker}-of-bob` },
  pull: { name: 'eve', password: `${marker}-of-one-pull` },
} as const;

/** Every form in which they travel. */
const secrets: readonly string[] = [
  marker,
  ...Object.values(users).flatMap(({ name, password }) =>
    [`${name}:${password}`, password].map((text) => Buffer.from(text).toString('base64').replace(/=*$/, '')),
  ),
];

describe('Credentials of registries', function () {
  this.timeout(60_000);
  requireDockerd();
  let real: RealEngine;
  let heard: HeardSocket;
  let basic: RegistryDouble;
  let bearer: RegistryDouble;
  let open: RegistryDouble;
  let host: HostChild;
  let closed: HostClosed;
  let answers: readonly HostAnswer[];
  let dockerEvents = '';
  const processes: string[] = [];
  const image: TestImage = seededImage({ bytes: [300_000, 200_000], seed: 'private' });
  const others: readonly TestImage[] = [1, 2].map((at) => seededImage({ bytes: 100_000, seed: `private ${at}` }));

  before(async () => {
    real = await startDockerd({ registryConfig: { debug: true } });
    heard = await listenIn(real.socketPath);
    const images = { 'team/app:1': image, 'team/other:1': others[0] ?? image, 'team/missing:1': others[1] ?? image };
    [basic, bearer, open] = await Promise.all([
      startRegistryDouble({
        images,
        auth: {
          kind: 'basic',
          users: { [users.basic.name]: users.basic.password, [users.pull.name]: users.pull.password },
        },
        // Manifests need the credentials, and its layers never come.
        faults: [layers.stall({ afterShare: 0.3 })],
      }),
      startRegistryDouble({
        images: { 'team/app:1': image, 'team/other:1': others[0] ?? image },
        auth: { kind: 'bearer', users: { [users.bearer.name]: users.bearer.password } },
        redirects: true,
      }),
      startRegistryDouble({ images: { 'team/open:1': image } }),
    ]);
    const stream = (await real.docker.getEvents()) as NodeJS.ReadableStream & { destroy(): void };
    stream.on('data', (chunk: Buffer) => (dockerEvents += chunk.toString('utf8')));
    stream.on('error', () => undefined);

    const credentialsOf = ({ name, password }: { readonly name: string; readonly password: string }) => ({
      username: name,
      password,
    });
    host = startHostChild(
      {
        socketPath: heard.path,
        puller: {
          registries: [
            { prefix: `${basic.host}/team`, credentials: credentialsOf(users.basic) },
            { prefix: `${bearer.host}/team`, credentials: credentialsOf(users.bearer) },
          ],
          timeouts: { layers: { stallMs: 300, firstByteMs: 3_000 } },
        },
      },
      { env: { DEBUG: '*', DEBUG_DEPTH: '10', NO_COLOR: '1' } },
    );
    const watching = setInterval(() => processes.push(...commandLines()), 100);
    try {
      answers = [
        await host.start(`${basic.host}/team/app:1`),
        await host.start(`${basic.host}/team/other:1`, { credentials: credentialsOf(users.pull) }),
        await host.start(`${basic.host}/team/missing:1`, {
          credentials: { username: users.pull.name, password: `${marker}-that-is-wrong` },
        }),
        await host.start(`${open.host}/team/open:1`),
      ];
    } finally {
      clearInterval(watching);
    }
    closed = await host.close();
    stream.destroy();
  });

  after(async () => {
    await host?.kill();
    await heard?.close();
    await Promise.all([basic, bearer, open].map((registry) => registry?.close()));
    await real?.close();
  });

  /** What the daemon was given to show to the relay. */
  function shown(): readonly {
    readonly username: string;
    readonly password: string;
    readonly serveraddress: string;
  }[] {
    return [...heard.text.matchAll(/^x-registry-auth: *(\S+)\r$/gim)].map(([, value = '']) =>
      JSON.parse(Buffer.from(value, 'base64url').toString('utf8')),
    );
  }

  it('open private images, also through the outage and with those of one pull', async () => {
    const [app, other, missing, anonymous] = answers;
    for (const answer of [app, other, anonymous]) {
      expect(answer?.kind, JSON.stringify(answer)).to.equal('report');
      if (answer?.kind === 'report') expect(answer.report.route).to.equal('relay');
    }
    expect(missing?.kind).to.equal('failed');
    await expectInDaemon(real, `${basic.host}/team/app:1`, image);
    await expectNoRelayNames(real);
    expect(basic.requests.some(({ authorization }) => authorization === 'basic')).to.equal(true);
    expect(bearer.requests.some(({ authorization }) => authorization === 'bearer')).to.equal(true);
    // One that lets everybody in is asked as nobody.
    expect(open.requests.map(({ authorization }) => authorization)).to.not.include.members(['basic', 'bearer']);
    expect(open.requests.every(({ authorization }) => authorization === 'none')).to.equal(true);
    for (const registry of [basic, bearer, open]) expect(registry.violations).to.deep.equal([]);
  });

  it('never reach the daemon: it is given nothing but the secret of the relay, for the relay', () => {
    const given = shown().filter(({ username }) => username !== undefined && username !== '');
    expect(given.length).to.be.above(0);
    expect(new Set(given.map(({ password }) => password)).size, 'secrets of one relay').to.equal(1);
    const names = [...heard.text.matchAll(/fromImage=([^&\s]+)/g)].map(([, name = '']) => decodeURIComponent(name));
    const addresses = new Set(names.map((name) => name.split('/')[0]));
    expect(addresses.size, [...addresses].join()).to.equal(1);
    for (const { serveraddress } of given) expect([...addresses]).to.deep.equal([serveraddress]);
    for (const registry of [basic, bearer, open]) expect([...addresses]).to.not.include(registry.host);
    expectNoSecretIn('what was sent to the daemon', heard.text);
    for (const each of shown()) expectNoSecretIn('what the daemon was given', JSON.stringify(each));
  });

  it('and the secret of the relay are in no log, event, report, error or process title', () => {
    const own = shown().flatMap(({ username, password }) =>
      password === undefined || password === ''
        ? []
        : [password, Buffer.from(`${username}:${password}`).toString('base64').replace(/=*$/, '')],
    );
    expect(own.length).to.be.above(0);
    expect(real.log(), 'it logs what it is asked').to.match(/level=debug .*images\/create/);
    expect(dockerEvents).to.match(/"pull"|"tag"/);
    expect(host.output).to.match(/pull-failover:auth/);
    expect(host.output).to.match(/pull-failover:registry/);
    expect(processes.some((line) => line.includes('host-process'))).to.equal(true);
    for (const [where, text] of Object.entries({
      'the log of the daemon': real.log(),
      'the events of the daemon': dockerEvents,
      'what the host wrote, events and debug output': host.output,
      'inspect of puller and engine': closed.inspected,
      'titles of processes': [...processes, closed.title].join('\n'),
    })) {
      expectNoSecretIn(where, text, own);
    }
  });
});

function expectNoSecretIn(where: string, text: string, more: readonly string[] = []): void {
  const telling = text.split('\n').filter((line) => [...secrets, ...more].some((secret) => line.includes(secret)));
  expect(
    telling.slice(0, 3).map((line) => line.slice(0, 500)),
    where,
  ).to.deep.equal([]);
}

/** Of every process on this machine, as anybody can read them. */
function commandLines(): readonly string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
      } catch {
        // It has ended meanwhile.
        return '';
      }
    });
}
