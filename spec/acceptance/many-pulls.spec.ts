import { join } from 'node:path';
import { expect } from 'chai';
import { createPuller, ociLayout, type OciLayout, type PullEvent, type PullReport } from '../../lib/index.js';
import { layers, type LoggedRequest, seededImage, type TestImage } from '../../lib/testing/index.js';
import { requireDockerRegistry } from '../support/docker-registry.js';
import { bytesOf, expectImage, expectTidy, imageNames } from './support/layout-on-disk.js';
import { type ProxiedRegistry, startProxiedRegistry, team } from './support/proxied-registry.js';
import { useWorkingDirectory } from './support/working-directory.js';

const pulls = 50;
const layersEach = 10;
const layouts = 5;

const images: readonly TestImage[] = Array.from({ length: pulls }, (_, at) =>
  seededImage({ layers: layersEach, bytes: 30_000, seed: `many ${at}` }),
);

describe(`${pulls} pulls of ${layersEach} layers at once`, function () {
  this.timeout(120_000);
  requireDockerRegistry();
  const working = useWorkingDirectory();
  let first: ProxiedRegistry;
  let second: ProxiedRegistry;

  before(async () => {
    [first, second] = await Promise.all([startProxiedRegistry(), startProxiedRegistry()]);
    const queue = images.entries();
    const pushAll = async (): Promise<void> => {
      for (const [at, image] of queue) await first.push(`app-${at}:1.0`, image);
    };
    await Promise.all(Array.from({ length: 8 }, pushAll));
  });

  beforeEach(async () => {
    await Promise.all([first.setFaults([]), second.setFaults([])]);
  });

  after(async () => {
    await Promise.all([first?.close(), second?.close()]);
  });

  interface Wanted {
    readonly image: TestImage;
    readonly name: string;
    readonly engine: OciLayout;
  }

  /** Pulls everything at once, and proves that nothing was said against anybody. */
  async function pullAll(wanted: readonly Wanted[]): Promise<readonly PullReport[]> {
    const puller = createPuller({ registries: [first.option, second.option] });
    const events: PullEvent[] = [];
    puller.events.on('*', (event) => events.push(event));
    const reports = await Promise.all(wanted.map(({ name, engine }) => puller.pullWithFailover(name, { engine })));
    expect(puller.health().filter(({ state }) => state !== 'closed')).to.deep.equal([]);
    await puller.close();
    expect(events.filter(({ type }) => type.startsWith('circuit:'))).to.deep.equal([]);
    // So many at once may make a blob late on this machine; then the second one is asked for it too, and has nothing.
    const attempts = reports.flatMap((report) => report.attempts);
    expect(attempts.filter(({ registry }) => registry === first.option.prefix)).to.deep.equal([]);
    expect(attempts.filter(({ verdict }) => verdict !== 'next')).to.deep.equal([]);
    for (const { name, image, engine } of wanted) await expectImage(engine.directory, name, image);
    for (const engine of new Set(wanted.map((each) => each.engine))) {
      await engine.close();
      await expectTidy(engine.directory);
    }
    return reports;
  }

  function nameOf(at: number): string {
    return `${first.host}/${team}/app-${at}:1.0`;
  }

  it('all arrive whole in one layout, and no healthy registry is blamed', async () => {
    const engine = ociLayout(join(working.path, 'images'));
    const reports = await pullAll(images.map((image, at) => ({ image, name: nameOf(at), engine })));
    expect((await imageNames(engine.directory)).toSorted()).to.deep.equal(images.map((_, at) => nameOf(at)).toSorted());
    for (const [at, report] of reports.entries()) {
      const image = images[at];
      expect(report.bytes.total).to.equal(image === undefined ? null : bytesOf(image));
    }
  });

  it(`all arrive whole in ${layouts} layouts, and no blob is fetched twice at the same time`, async () => {
    await first.setFaults([layers.delay({ ms: 100 })]);
    const engines = Array.from({ length: layouts }, (_, at) => ociLayout(join(working.path, `images-${at}`)));
    const some = images.slice(0, pulls / layouts);
    const wanted = engines.flatMap((engine) => some.map((image, at) => ({ image, name: nameOf(at), engine })));
    await pullAll(wanted);
    const { requests } = await first.traffic();
    const fetches = new Map<string | null, LoggedRequest[]>();
    for (const request of requests) {
      if (request.kind !== 'blob' || request.method !== 'GET') continue;
      fetches.set(request.object, [...(fetches.get(request.object) ?? []), request]);
    }
    expect(fetches.size).to.equal(some.length * (layersEach + 1));
    // A layout that wants a blob when another has just got it fetches it again, but never beside another.
    for (const [blob, ofBlob] of fetches) {
      for (const [at, { startedAtMs }] of ofBlob.entries()) {
        expect(startedAtMs, blob ?? '').to.be.at.least(ofBlob[at - 1]?.endedAtMs ?? 0);
      }
    }
  });
});
