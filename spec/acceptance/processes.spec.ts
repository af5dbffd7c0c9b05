import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { type LoggedRequest, seededImage } from '../../lib/testing/index.js';
import { requireDockerRegistry } from '../support/docker-registry.js';
import { bytesOf, expectImage, expectTidy, imageNames, partialFiles } from './support/layout-on-disk.js';
import { type ProxiedRegistry, startProxiedRegistry, team } from './support/proxied-registry.js';
import { isEvent, isLine, type PullChild, startPullChild } from './support/pull-child.js';
import { useWorkingDirectory } from './support/working-directory.js';

/** A pull takes long enough to be ended in the middle. */
const bandwidth = { totalBytesPerSecond: 16e6 };
const large = seededImage({ bytes: [12e6, 5e6], seed: 'killed' });
const other = seededImage({ bytes: [12e6, 3e6], seed: 'killed', config: { author: 'another build' } });

/** What a killed process had received and not yet given to the disk: its sockets' buffers, and two batches per blob. */
const lostBytes = 6e6;

describe('Processes that share a layout', function () {
  this.timeout(60_000);
  requireDockerRegistry();
  const working = useWorkingDirectory();
  let registry: ProxiedRegistry;
  const children: PullChild[] = [];

  before(async () => {
    registry = await startProxiedRegistry({ bandwidth });
    await registry.push('large:1.0', large);
    await registry.push('other:1.0', other);
  });

  beforeEach(() => registry.setFaults([]));

  afterEach(async () => {
    await Promise.all(children.splice(0).map((child) => child.kill()));
  });

  after(() => registry?.close());

  const nameOf = (name: string): string => `${registry.host}/${team}/${name}:1.0`;
  const directoryOf = (): string => join(working.path, 'images');

  function start(name: string): PullChild {
    const child = startPullChild({
      puller: { registries: [registry.option] },
      pulls: [{ image: nameOf(name), directory: directoryOf() }],
    });
    children.push(child);
    return child;
  }

  /** `kill -9` once so many bytes have arrived. */
  async function killAfter(bytes: number): Promise<void> {
    const child = start('large');
    await child.until(
      isEvent('pull:progressed', (event) => event.type === 'pull:progressed' && event.bytes.fetched >= bytes),
    );
    await child.kill();
    expect(child.lines.filter(isLine('report')), 'it was over before').to.deep.equal([]);
  }

  it('go on at the byte that a killed one had kept', async () => {
    await killAfter(6e6);
    const kept = await Promise.all((await partialFiles(directoryOf())).map(async (path) => (await stat(path)).size));
    const keptBytes = kept.reduce((sum, size) => sum + size, 0);
    expect(keptBytes, 'bytes kept').to.be.above(0);
    const sentBefore = (await registry.traffic()).bytes;

    await registry.setFaults([]);
    const { report } = await start('large').until(isLine('report'));
    const { requests, bytes } = await registry.traffic();
    expect(report.bytes.kept).to.equal(keptBytes);
    const starts = requests.filter(isBlobRead).map(({ range }) => range?.start ?? 0);
    for (const size of kept) expect(starts, 'where blobs are asked for').to.include(size);
    expect(report.bytes.kept + report.bytes.fetched + report.bytes.local).to.be.at.least(bytesOf(large));
    expect(sentBefore + bytes, 'bytes sent in all').to.be.at.most(bytesOf(large) + lostBytes);
    await expectImage(directoryOf(), nameOf('large'), large);
    await expectTidy(directoryOf());
  });

  it('end up with a whole image, however often they are killed', async () => {
    for (const bytes of [1e5, 3e6]) await killAfter(bytes);
    const last = start('large');
    const { report } = await last.until(isLine('report'));
    await last.ended();
    expect(report.bytes.kept).to.be.above(0);
    await expectImage(directoryOf(), nameOf('large'), large);
    await expectTidy(directoryOf());
  });

  it('can pull the same image at once', async () => {
    const both = [start('large'), start('large')];
    for (const child of both) {
      const { report } = await child.until(isLine('report'));
      expect(report.digest).to.equal(large.digest);
      await child.ended();
    }
    expect(await imageNames(directoryOf())).to.deep.equal([nameOf('large')]);
    await expectImage(directoryOf(), nameOf('large'), large);
    await expectTidy(directoryOf());
  });

  it('can pull different images with a layer in common at once', async () => {
    const both = [start('large'), start('other')];
    for (const child of both) {
      await child.until(isLine('report'));
      await child.ended();
    }
    expect(await imageNames(directoryOf())).to.have.members([nameOf('large'), nameOf('other')]);
    await expectImage(directoryOf(), nameOf('large'), large);
    await expectImage(directoryOf(), nameOf('other'), other);
    await expectTidy(directoryOf());
  });
});

function isBlobRead({ kind, method }: LoggedRequest): boolean {
  return kind === 'blob' && method === 'GET';
}
