import { expect } from 'chai';
import {
  createPuller,
  dockerEngine,
  type PullEvent,
  type PullReport,
  type RegistryPhase,
  type Route,
} from '../../lib/index.js';
import {
  type Fault,
  layers,
  metadata,
  seededImage,
  type TestBlob,
  type TestImage,
  type TestManifest,
} from '../../lib/testing/index.js';
import { type ProxiedRegistry, startProxiedRegistry, team } from '../acceptance/support/proxied-registry.js';
import type { RealEngine } from '../support/real-engine.js';

/** What one engine is, and which routes lead into it. */
export interface EngineUnderContract {
  readonly start: () => Promise<RealEngine>;
  /** Routes that leave out layers which the engine has from another image. */
  readonly sharingRoutes: readonly EngineRoute[];
  readonly routes: readonly EngineRoute[];
}

const stallMs = 1_000;
const timeouts = {
  metadata: { requestMs: 700, totalMs: 1_500 },
  layers: { firstByteMs: stallMs, stallMs },
  lastCandidate: { firstByteMs: 10_000, stallMs: 10_000 },
} as const;

type EngineRoute = Exclude<Route, 'layout'>;

/** What the first registry does. */
interface Outage {
  readonly title: string;
  readonly phase: RegistryPhase;
  readonly faults: readonly Fault[];
}

const outages: readonly Outage[] = [
  { title: 'while manifests of the first never come', phase: 'metadata', faults: [metadata.noHeaders()] },
  { title: 'while layers of the first stop at 30 %', phase: 'layers', faults: [layers.stall({ afterShare: 0.3 })] },
];

interface Case {
  readonly title: string;
  readonly image: (seed: string) => TestImage;
  /** What follows the repository. */
  readonly ask: (image: TestImage) => string;
  readonly platform?: string;
  /** The routes that it is tried with. How an image is asked for is read by code that all of them share. */
  readonly routes: readonly EngineRoute[];
  /** The routes that it is tried with in the outages, too: what an archive is made of is found out for the relay as well. */
  readonly outageRoutes: readonly EngineRoute[];
}

const single = (seed: string): TestImage => seededImage({ layers: 3, bytes: 400_000, seed, compression: 'gzip' });
const multi = (seed: string): TestImage =>
  seededImage({ bytes: [300_000, 200_000], seed, platforms: ['linux/arm64', 'linux/amd64'] });

const cases: readonly Case[] = [
  {
    title: 'an image by tag',
    image: single,
    ask: () => ':1.0',
    routes: ['relay', 'load', 'direct'],
    outageRoutes: ['relay', 'load', 'direct'],
  },
  {
    title: 'an image by digest',
    image: single,
    ask: ({ digest }) => `@${digest}`,
    routes: ['relay'],
    outageRoutes: [],
  },
  {
    title: 'an image by tag and digest',
    image: single,
    ask: ({ digest }) => `:1.0@${digest}`,
    routes: ['relay'],
    outageRoutes: [],
  },
  {
    title: 'one platform of an index by tag',
    image: multi,
    ask: () => ':1.0',
    platform: 'linux/amd64',
    routes: ['relay'],
    outageRoutes: [],
  },
  {
    title: 'one platform of an index by digest',
    image: multi,
    ask: ({ digest }) => `@${digest}`,
    platform: 'linux/amd64',
    routes: ['relay', 'load', 'direct'],
    outageRoutes: ['relay', 'direct'],
  },
];

/** What holds for every engine and every route into it. */
export function describeEngineContract(engine: EngineUnderContract): void {
  let real: RealEngine;
  let first: ProxiedRegistry;
  let second: ProxiedRegistry;
  let images = 0;

  before(async function () {
    this.timeout(60_000);
    [real, first, second] = await Promise.all([
      engine.start(),
      // Each would refuse the credentials of the other one.
      startProxiedRegistry({ auth: 'htpasswd', userName: 'user-of-the-first' }),
      startProxiedRegistry({ auth: 'htpasswd', userName: 'user-of-the-second' }),
    ]);
  });

  after(async () => {
    await Promise.all([real?.close(), first?.close(), second?.close()]);
  });

  interface Wanted {
    readonly route: EngineRoute;
    /** Of the first registry. */
    readonly faults: readonly Fault[];
    readonly platform?: string | undefined;
  }

  interface Stored {
    readonly image: TestImage;
    readonly name: string;
  }

  /** Puts a new image into both registries. */
  async function store(makeImage: Case['image'], ask: Case['ask'] = () => ':1.0'): Promise<Stored> {
    images += 1;
    const repository = `app-${images}`;
    const image = makeImage(`engine contract ${real.store} ${images}`);
    await Promise.all([first, second].map((registry) => registry.push(`${repository}:1.0`, image)));
    return { image, name: `${first.host}/${team}/${repository}${ask(image)}` };
  }

  async function pull({ name, image }: Stored, { route, faults, platform }: Wanted): Promise<PullReport> {
    await Promise.all([first.setFaults(faults), second.setFaults([])]);
    await using target = dockerEngine(real.docker, { route });
    await using puller = createPuller({ engine: target, registries: [first.option, second.option], timeouts });
    const events: PullEvent[] = [];
    puller.events.on('*', (event) => events.push(event));
    const report = await puller.pullWithFailover(name, platform === undefined ? {} : { platform });
    await expectThere(name, image, report, platform);
    expect(report.route).to.equal(route);
    expect(report.source).to.equal('registry');
    expect(events.filter(({ type }) => type === 'pull:route-changed')).to.deep.equal([]);
    return report;
  }

  /** What one of the two has been asked for since the last pull began. */
  async function blobsAskedOf(registry: ProxiedRegistry): Promise<readonly (string | null)[]> {
    const { requests } = await registry.traffic();
    return requests.filter(({ kind, method }) => kind === 'blob' && method === 'GET').map(({ object }) => object);
  }

  /** No registry was asked for any of these layers. */
  async function expectNotAsked(wanted: readonly TestBlob[]): Promise<void> {
    const asked = [...(await blobsAskedOf(first)), ...(await blobsAskedOf(second))];
    expect(wanted.map(({ digest }) => digest).filter((digest) => asked.includes(digest))).to.deep.equal([]);
  }

  /** The engine has the very image, under its name and no other, and a container can be made of it. */
  async function expectThere(
    name: string,
    image: TestImage,
    report: PullReport,
    platform: string | undefined,
  ): Promise<void> {
    const manifest = manifestOf(image, platform);
    const inspected = await real.docker.getImage(report.reference).inspect();
    expect(inspected.RootFS.Layers, 'unpacked layers').to.deep.equal(diffIdsOf(manifest));
    expect(stripped(inspected.Id)).to.equal(stripped(report.imageId));
    expect(report.digest).to.equal(image.digest);
    expect(report.manifestDigest).to.equal(manifest.digest);
    expect(report.image).to.equal(name);
    expect(await namesOf(real), 'names of a relay').to.not.match(/pull-failover/);
    const container = await real.docker.createContainer({ Image: report.reference, Cmd: ['/none'] });
    await container.remove({ force: true });
  }

  for (const route of engine.routes) {
    describe(`by the route ${route}`, function () {
      this.timeout(60_000);

      for (const { title, image, ask, platform } of cases.filter(({ routes }) => routes.includes(route))) {
        it(`${title}, on a healthy day`, async () => {
          const stored = await store(image, ask);
          const report = await pull(stored, { route, platform, faults: [] });
          expect(report.served.map(({ registry }) => registry)).to.deep.equal([first.option.prefix]);
          expect(report.failovers).to.deep.equal([]);
          // Podman says nothing of bytes when it pulls by itself.
          const isTold = real.store !== 'podman' || route !== 'direct';
          const layerBytes = sizeOf(manifestOf(stored.image, platform).layers);
          if (isTold) expect(report.bytes.fetched, 'bytes fetched').to.be.at.least(layerBytes);
          expect((await second.traffic()).requests, 'requests to the second').to.deep.equal([]);
        });
      }

      for (const { phase, faults, ...outage } of outages) {
        for (const wanted of cases.filter(({ outageRoutes }) => outageRoutes.includes(route))) {
          const { title, image, ask, platform } = wanted;
          it(`${title}, ${outage.title}, from a second that wants credentials of its own`, async () => {
            const report = await pull(await store(image, ask), { route, platform, faults });
            expect(report.failovers.map(({ from, to }) => [from, to])).to.deep.include([
              first.option.prefix,
              second.option.prefix,
            ]);
            expect(report.failovers.map((failover) => failover.phase)).to.include(phase);
            expect(report.served.map(({ registry }) => registry)).to.include(second.option.prefix);
            const letIn = (await second.traffic()).requests.filter(({ status }) => status === 200 || status === 206);
            expect(new Set(letIn.map(({ authorization }) => authorization))).to.deep.equal(new Set(['basic']));
          });
        }
      }

      describe('with an image that the engine has', () => {
        const bytes = [400_000, 400_000];
        let there: Stored;
        let seed: string;
        before(async () => {
          seed = `base ${real.store} ${route}`;
          there = await store(() => seededImage({ bytes, seed }));
          await pull(there, { route, faults: [] });
        });

        for (const [index, { title, faults }] of outages.entries()) {
          it(`fetches no layer of it again, ${title}`, async () => {
            await pull(there, { route, faults });
            await expectNotAsked(there.image.layers);
          });

          if (!engine.sharingRoutes.includes(route)) continue;
          it(`fetches of another one on top of it only what is new, ${title}`, async () => {
            const onTop = await store(() => seededImage({ bytes: [...bytes, 300_000 + index], seed }));
            const report = await pull(onTop, { route, faults });
            await expectNotAsked(there.image.layers);
            expect(report.bytes.local, 'bytes that were there').to.be.at.least(sizeOf(there.image.layers));
            const [, , fresh] = onTop.image.layers;
            expect([...(await blobsAskedOf(first)), ...(await blobsAskedOf(second))]).to.include(fresh?.digest);
          });
        }
      });
    });
  }
}

function sizeOf(blobs: readonly TestBlob[]): number {
  return blobs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}

function manifestOf(image: TestImage, platform: string | undefined): TestManifest {
  const found = image.manifests.find((manifest) => platform === undefined || manifest.platform === platform);
  if (found === undefined) throw new Error(`the image has no ${platform ?? 'manifest'}`);
  return found;
}

/** What the config says its layers unpack to. */
export function diffIdsOf({ config }: TestManifest): readonly string[] {
  const { rootfs } = JSON.parse(Buffer.concat([...config.read()]).toString('utf8')) as {
    readonly rootfs: { readonly diff_ids: readonly string[] };
  };
  return rootfs.diff_ids;
}

/** Every name that an engine has for anything, one a line. */
export async function namesOf({ docker }: Pick<RealEngine, 'docker'>): Promise<string> {
  const listed = await docker.listImages({ all: true });
  return listed.flatMap(({ RepoTags, RepoDigests }) => [...(RepoTags ?? []), ...(RepoDigests ?? [])]).join('\n');
}

/** Podman writes its identifiers without the algorithm. */
function stripped(id: string): string {
  return id.replace(/^sha256:/, '');
}
