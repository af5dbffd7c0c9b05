import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import type { PullerOptions } from '../../lib/index.js';
import { expectTidy, namedDigest } from './support/layout-on-disk.js';
import { type DoubleChild, startDoubleChild } from './support/double-child.js';
import { isLine, type PullChild, type PullLine, type PullOrder, startPullChild } from './support/pull-child.js';
import { useWorkingDirectory } from './support/working-directory.js';

const mebibyte: number = 2 ** 20;
/** The promise is about 8 GiB; every day a part of it tells as much, for the memory does not depend on it. */
const hugeBytes: number = process.env['REQUIRE_REAL'] === '1' ? 8 * 2 ** 30 : 512 * mebibyte;
/** What an image of any size may add to the memory that a pull of next to nothing takes. */
const boundBytes: number = 100 * mebibyte;
const atOnce = 20;
/** The same for so many at once; a little more, for what the engine has not collected yet is counted too. */
const boundAtOnceBytes: number = 128 * mebibyte;

type Closed = Extract<PullLine, { readonly kind: 'closed' }>;

describe('The memory of a process that pulls', function () {
  this.timeout(240_000);
  const working = useWorkingDirectory();
  let registry: DoubleChild;
  let smallPeakBytes = 0;
  const children: PullChild[] = [];

  before(async () => {
    registry = await startDoubleChild({
      'team/small:1.0': { bytes: 1_000, seed: 'small' },
      'team/huge:1.0': { bytes: hugeBytes, seed: 'huge' },
      'team/large:1.0': { bytes: 128 * mebibyte, seed: 'large' },
      'team/medium:1.0': { layers: 2, bytes: 3 * mebibyte, seed: 'medium' },
      ...Object.fromEntries(
        Array.from({ length: atOnce }, (_, at) => [
          `team/app-${at}:1.0`,
          { layers: 4, bytes: 3 * mebibyte, seed: `at once ${at}` },
        ]),
      ),
    });
    const directory = await mkdtemp(join(tmpdir(), 'pull-failover-memory-'));
    // The larger of two: how much is left uncollected differs from run to run.
    const peaks = [await pull(['small'], join(directory, '1')), await pull(['small'], join(directory, '2'))];
    smallPeakBytes = Math.max(...peaks.map(({ peakBytes }) => peakBytes));
    await rm(directory, { recursive: true });
  });

  afterEach(async () => {
    await Promise.all(children.splice(0).map((child) => child.kill()));
  });

  after(() => registry?.close());

  /** Pulls images at once, in a process of their own, and proves that nobody was blamed for anything. */
  async function pull(
    names: readonly string[],
    directory: string,
    more: Pick<PullOrder, 'writesTakeMs'> & { readonly timeouts?: PullerOptions['timeouts'] } = {},
  ): Promise<Closed> {
    const { timeouts, ...order } = more;
    const child = startPullChild({
      puller: { registries: [`${registry.host}/team`], ...(timeouts === undefined ? {} : { timeouts }) },
      pulls: names.map((name) => ({ image: `${registry.host}/team/${name}:1.0`, directory })),
      ...order,
    });
    children.push(child);
    const closed = await child.until(isLine('closed'));
    await child.ended();
    expect(child.events.filter(({ type }) => /^circuit:|failed/.test(type))).to.deep.equal([]);
    for (const name of names) {
      const digest = registry.digests[`team/${name}:1.0`];
      expect(await namedDigest(directory, `${registry.host}/team/${name}:1.0`)).to.equal(digest);
    }
    await expectTidy(directory);
    for (const line of child.lines.filter(isLine('report'))) {
      const { total, fetched } = line.report.bytes;
      expect(fetched).to.equal(total);
    }
    return closed;
  }

  it(`does not grow by more than ${boundBytes / mebibyte} MiB for a layer of ${hugeBytes / mebibyte} MiB`, async () => {
    const { peakBytes } = await pull(['huge'], join(working.path, 'images'));
    expect(peakBytes - smallPeakBytes).to.be.at.most(boundBytes);
  });

  it(`nor by more than ${boundAtOnceBytes / mebibyte} MiB for ${atOnce} pulls at once`, async () => {
    const { peakBytes } = await pull(
      Array.from({ length: atOnce }, (_, at) => `app-${at}`),
      join(working.path, 'images'),
    );
    expect(peakBytes - smallPeakBytes).to.be.at.most(boundAtOnceBytes);
  });

  it('nor when the disk is much slower than the registry', async () => {
    const { peakBytes, delayedWrites } = await pull(['large'], join(working.path, 'images'), { writesTakeMs: 25 });
    expect(delayedWrites, 'writes that were slow').to.be.at.least(64);
    expect(peakBytes - smallPeakBytes).to.be.at.most(boundBytes);
  });

  it('and a disk that takes longer than the stall limit is no stall of the registry', async () => {
    const stallMs = 300;
    const { delayedWrites } = await pull(['medium'], join(working.path, 'images'), {
      writesTakeMs: 3 * stallMs,
      timeouts: { layers: { stallMs, firstByteMs: 2_000 } },
    });
    expect(delayedWrites, 'writes that were slow').to.be.at.least(6);
  });
});
