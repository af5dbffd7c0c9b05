import { expect } from 'chai';
import {
  createPuller,
  dockerEngine,
  type PullEvent,
  type PullOptions,
  type PullReport,
  type Route,
} from '../../lib/index.js';
import {
  type Fault,
  layers,
  metadata,
  seededImage,
  type TestImage,
  type TestManifest,
} from '../../lib/testing/index.js';
import { type ProxiedRegistry, startProxiedRegistry, team } from '../acceptance/support/proxied-registry.js';
import type { RealEngine } from '../support/real-engine.js';

/** What one engine is, and which routes lead into it. */
export interface EngineUnderContract {
  readonly start: () => Promise<RealEngine>;
  /** Routes that leave out layers which the engine has from another image. */
  readonly sharingRoutes: readonly Exclude<Route, 'layout'>[];
  readonly routes: readonly Exclude<Route, 'layout'>[];
}

const stallMs = 1_000;
const timeouts = {
  metadata: { requestMs: 700, totalMs: 1_500 },
  layers: { firstByteMs: stallMs, stallMs },
  lastCandidate: { firstByteMs: 10_000, stallMs: 10_000 },
} as const;

/** What the first registry does, and who brings the bytes then. */
const outages: readonly (readonly [title: string, faults: readonly Fault[]])[] = [
  ['on a healthy day', []],
  ['while manifests of the first never come', [metadata.noHeaders()]],
  ['while layers of the first stop at 30 %', [layers.stall({ afterShare: 0.3 })]],
];

interface Case {
  readonly title: string;
  readonly image: (seed: string) => TestImage;
  /** What follows the repository. */
  readonly ask: (image: TestImage) => string;
  readonly platform?: string;
  /** One of the few that every route is tried with. */
  readonly isTypical: boolean;
}

const single = (seed: string): TestImage => seededImage({ layers: 3, bytes: 400_000, seed, compression: 'gzip' });
const multi = (seed: string): TestImage =>
  seededImage({ bytes: [300_000, 200_000], seed, platforms: ['linux/arm64', 'linux/amd64'] });

const cases: readonly Case[] = [
  { title: 'an image by tag', image: single, ask: () => ':1.0', isTypical: true },
  { title: 'an image by digest', image: single, ask: ({ digest }) => `@${digest}`, isTypical: false },
  { title: 'an image by tag and digest', image: single, ask: ({ digest }) => `:1.0@${digest}`, isTypical: false },
  {
    title: 'one platform of an index by tag',
    image: multi,
    ask: () => ':1.0',
    platform: 'linux/amd64',
    isTypical: false,
  },
  {
    title: 'one platform of an index by digest',
    image: multi,
    ask: ({ digest }) => `@${digest}`,
    platform: 'linux/amd64',
    isTypical: true,
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
      startProxiedRegistry({ auth: 'htpasswd' }),
      startProxiedRegistry(),
    ]);
  });

  after(async () => {
    await Promise.all([real?.close(), first?.close(), second?.close()]);
  });

  interface Wanted extends Case {
    readonly route: Exclude<Route, 'layout'>;
    readonly faults: readonly Fault[];
    readonly options?: PullOptions;
  }

  interface Pulled {
    readonly report: PullReport;
    readonly events: readonly PullEvent[];
  }

  /** Puts a new image into both registries, and pulls it. */
  async function pullNew(wanted: Wanted): Promise<Pulled & { readonly image: TestImage; readonly name: string }> {
    images += 1;
    const repository = `app-${images}`;
    const image = wanted.image(`engine contract ${real.store} ${images}`);
    await Promise.all([first, second].map((registry) => registry.push(`${repository}:1.0`, image)));
    const name = `${first.host}/${team}/${repository}${wanted.ask(image)}`;
    return { ...(await pull(name, image, wanted)), image, name };
  }

  async function pull(name: string, image: TestImage, wanted: Omit<Wanted, 'image' | 'ask'>): Promise<Pulled> {
    const { route, faults, platform, options = {} } = wanted;
    await Promise.all([first.setFaults(faults), second.setFaults([])]);
    await using target = dockerEngine(real.docker, { route });
    await using puller = createPuller({ engine: target, registries: [first.option, second.option], timeouts });
    const events: PullEvent[] = [];
    puller.events.on('*', (event) => events.push(event));
    const report = await puller.pullWithFailover(name, { ...options, ...(platform === undefined ? {} : { platform }) });
    await expectThere(name, image, report, platform);
    expect(report.route).to.equal(route);
    expect(events.filter(({ type }) => type === 'pull:route-changed')).to.deep.equal([]);
    return { report, events };
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
    describe(`by the route ${route}`, () => {
      // How an image is asked for is the relay's affair; the other routes are given the same names by the same code.
      for (const wanted of route === 'relay' ? cases : cases.filter(({ isTypical }) => isTypical)) {
        for (const [day, faults] of outages) {
          it(`${wanted.title}, ${day}`, async function () {
            this.timeout(60_000);
            const { report } = await pullNew({ ...wanted, route, faults });
            const served = report.served.map(({ registry }) => registry);
            if (faults.length === 0) {
              expect(served).to.deep.equal(route === 'direct' ? served : [first.option.prefix]);
              expect((await second.traffic()).requests, 'requests to the second').to.deep.equal([]);
              expect(report.failovers).to.deep.equal([]);
            } else {
              expect(report.failovers.map(({ from, to }) => [from, to])).to.deep.include([
                first.option.prefix,
                second.option.prefix,
              ]);
            }
          });
        }
      }

      it('an image that the engine has costs no layer', async function () {
        this.timeout(60_000);
        const { image, name } = await pullNew({
          title: 'warm',
          isTypical: false,
          image: single,
          ask: () => ':1.0',
          route,
          faults: [],
        });
        const { report } = await pull(name, image, {
          title: 'warm',
          isTypical: false,
          route,
          faults: [layers.noHeaders()],
        });
        expect(
          (await first.traffic()).requests.filter(({ kind, method }) => kind === 'blob' && method === 'GET'),
        ).to.have.lengthOf.at.most(route === 'load' || real.store === 'podman' ? 4 : 0);
        expect(report.source).to.equal('registry');
      });

      if (!engine.sharingRoutes.includes(route)) return;
      it('layers that the engine has from another image are not fetched again', async function () {
        this.timeout(60_000);
        const base = { layers: 2, bytes: 400_000, seed: `base ${real.store} ${route}` } as const;
        await pullNew({
          title: 'base',
          isTypical: false,
          image: () => seededImage(base),
          ask: () => ':1.0',
          route,
          faults: [],
        });
        const { image, report } = await pullNew({
          title: 'on top of it',
          isTypical: false,
          image: () => seededImage({ ...base, layers: 3 }),
          ask: () => ':1.0',
          route,
          faults: [],
        });
        const [below] = image.layers;
        expect(image.layers).to.have.length(3);
        expect(report.bytes.local, 'bytes that were there').to.be.at.least(below?.sizeBytes ?? Infinity);
        const asked = (await first.traffic()).requests.filter(
          ({ kind, method }) => kind === 'blob' && method === 'GET',
        );
        expect(asked.map(({ object }) => object)).to.not.include(below?.digest);
      });
    });
  }
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
