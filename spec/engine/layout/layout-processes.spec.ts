import { spawnSync } from 'node:child_process';
import { stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { ociLayout, type OciLayout } from '../../../lib/engine/layout/oci-layout.js';
import { requireReal } from '../../support/real-parts.js';
import { seededBlob } from './support/content.js';
import { startLayoutChild, type LayoutChild } from './support/layout-child.js';
import { expectValidLayout, partialNames } from './support/layout-tree.js';
import { useTemporaryDirectory } from '../../support/temporary-directory.js';

const seed = 7;
const size = 3_000_000;
const blob = seededBlob(seed, size);
const context = { signal: new AbortController().signal, pullId: 'pull-1' };

describe('A layout that several processes write', function () {
  this.timeout(60_000);
  const temporary = useTemporaryDirectory();
  const children: LayoutChild[] = [];
  const opened: OciLayout[] = [];

  function directory(): string {
    return join(temporary.path, 'images');
  }

  function start(...through: string[]): LayoutChild {
    const child = startLayoutChild(directory(), through);
    children.push(child);
    return child;
  }

  function open(): OciLayout {
    const layout = ociLayout(directory());
    opened.push(layout);
    return layout;
  }

  afterEach(async () => {
    await Promise.all(children.splice(0).map((child) => child.kill()));
    await Promise.all(opened.splice(0).map((layout) => layout.close()));
  });

  it('has every name of every process in its index', async () => {
    const workers = [start(), start(), start()];
    const each = 12;
    await Promise.all(
      workers.map(async (child, worker) => {
        for (let at = 0; at < each; at += 1) {
          const order = {
            do: 'name',
            seed: worker * 100 + at,
            size: 200,
            name: `quay.io/team/app-${worker}:${at}`,
          } as const;
          await child.tell(order);
        }
      }),
    );
    const names = (await open().listImages()).map(({ name }) => name);
    expect(names).to.have.length(workers.length * each);
    expect(new Set(names).size).to.equal(names.length);
    await expectValidLayout(directory());
  });

  it('never shows a torn index to those who read meanwhile', async () => {
    const child = start();
    await child.tell({ do: 'name', seed: 0, size: 200, name: 'quay.io/team/app:0' });
    const layout = open();
    let writing = true;
    const done = (async () => {
      for (let at = 1; at < 25; at += 1)
        await child.tell({ do: 'name', seed: at, size: 200, name: `quay.io/team/app:${at}` });
      writing = false;
    })();
    let seen = 1;
    while (writing) {
      const count = (await layout.listImages()).length;
      expect(count).to.be.at.least(seen);
      seen = count;
    }
    await done;
    expect(await layout.listImages()).to.have.length(25);
  });

  for (const offset of [1, 1_500_000, size - 1, size]) {
    it(`goes on at once with what a killed process left, at byte ${offset} of ${size}`, async () => {
      const child = start();
      expect(await child.tell({ do: 'open', seed, size })).to.deep.equal({ kept: 0 });
      await child.tell({ do: 'write', seed, size, to: offset });
      // A second order goes through the loop after the write was handed to the disk.
      while ((await bytesOnDisk()) < offset) await child.tell({ do: 'write', seed, size, to: offset });
      await child.kill();

      const layout = open();
      const sink = await layout.openBlob(blob, context);
      expect(sink?.kept).to.equal(offset);
      const kept: Uint8Array[] = [];
      for await (const chunk of sink?.readKept() ?? []) kept.push(chunk);
      expect(Buffer.compare(Buffer.concat(kept), blob.bytes.subarray(0, offset))).to.equal(0);
      await sink?.write(blob.bytes.subarray(offset));
      await sink?.commit();
      await expectValidLayout(directory());
      expect(await partialNames(directory())).to.deep.equal([]);
    });
  }

  async function bytesOnDisk(): Promise<number> {
    const [name] = await partialNames(directory());
    return name === undefined ? 0 : (await stat(join(directory(), '.pull-failover', 'partial', name))).size;
  }

  it('lets two live processes fetch the same blob each for itself, and keeps the first', async () => {
    const child = start();
    await child.tell({ do: 'open', seed, size });
    await child.tell({ do: 'write', seed, size, to: 2_000_000 });
    const layout = open();
    const sink = await layout.openBlob(blob, context);
    expect(sink?.kept).to.equal(0);
    await sink?.write(blob.bytes);
    expect(await partialNames(directory())).to.have.length(2);
    await sink?.commit();
    expect(await layout.hasBlob(blob)).to.equal(true);
    await child.tell({ do: 'write', seed, size, to: size });
    await child.tell({ do: 'commit', seed, size });
    await expectValidLayout(directory());
    expect(await partialNames(directory())).to.deep.equal([]);
    expect(await child.tell({ do: 'open', seed, size })).to.deep.equal({ kept: null });
  });

  it('survives processes that are killed at any moment of their work', async () => {
    const layout = open();
    for (let round = 0; round < 6; round += 1) {
      const child = start();
      await child.tell({ do: 'open', seed: 0, size: 1 });
      const work = (async () => {
        for (let at = 0; at < 1000; at += 1) {
          await child.tell({ do: 'name', seed: at, size: 5000, name: `quay.io/team/app-${round}:${at}` });
        }
      })().catch(() => 'killed');
      await layout.nameImage(`quay.io/team/own:${round}`, blob);
      for (let turns = 0; turns < round * 7; turns += 1) await layout.listImages();
      await child.kill();
      await work;
    }
    await layout.nameImage('quay.io/team/last:1', blob);
    const names = (await layout.listImages()).map(({ name }) => name);
    expect(names).to.include.members([
      'quay.io/team/last:1',
      ...[0, 1, 2, 3, 4, 5].map((n) => `quay.io/team/own:${n}`),
    ]);
    await expectValidLayout(directory());
  });

  it('loses no name when a process is suspended at any moment and wakes up later', async () => {
    const layout = open();
    const child = start();
    const named: string[] = [];
    await child.tell({ do: 'open', seed: 0, size: 1 });
    for (let round = 0; round < 3; round += 1) {
      let stopped = false;
      const work = (async () => {
        for (let at = 0; !stopped; at += 1) {
          const name = `quay.io/team/app-${round}:${at}`;
          await child.tell({ do: 'name', seed: at, size: 500, name });
          named.push(name);
        }
      })();
      for (let turns = 0; turns <= round * 5; turns += 1) await layout.listImages();
      child.signal('SIGSTOP');
      stopped = true;
      await layout.nameImage(`quay.io/team/own:${round}`, blob);
      named.push(`quay.io/team/own:${round}`);
      child.signal('SIGCONT');
      await work;
    }
    expect((await layout.listImages()).map(({ name }) => name)).to.have.members(named);
    await expectValidLayout(directory());
  });

  describe('one of them in a container of its own', () => {
    const container = ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc'];
    requireReal('unshare', 'run the specs with the right to make a pid namespace', () => {
      const [command = '', ...args] = container;
      return spawnSync(command, [...args, 'true']).status === 0;
    });

    it('leaves its partial blob alone while it may be writing, and goes on with it when it was silent', async () => {
      const child = start(...container);
      await child.tell({ do: 'open', seed, size });
      while ((await bytesOnDisk()) < 1_000_000) await child.tell({ do: 'write', seed, size, to: 1_000_000 });
      const [theirs = ''] = await partialNames(directory());
      const path = join(directory(), '.pull-failover', 'partial', theirs);
      const layout = open();
      const first = await layout.openBlob(blob, context);
      expect(first?.kept).to.equal(0);
      await first?.release();
      await child.kill();
      const longAgo = new Date(Date.now() - 3_600_000);
      await utimes(path, longAgo, longAgo);
      const second = await layout.openBlob(blob, context);
      expect(second?.kept).to.equal(1_000_000);
      await second?.write(blob.bytes.subarray(1_000_000));
      await second?.commit();
      await expectValidLayout(directory());
      expect(await partialNames(directory())).to.deep.equal([]);
    });
  });

  it('lets a process end by itself, also with a sink left open', async () => {
    const child = start();
    await child.tell({ do: 'name', seed, size, name: 'quay.io/team/app:1' });
    await child.tell({ do: 'open', seed: 8, size });
    await child.tell({ do: 'write', seed: 8, size, to: 100 });
    void child.tell({ do: 'close', seed, size }).catch(() => {});
    expect(await child.ended()).to.equal(0);
    const sink = await open().openBlob(seededBlob(8, size), context);
    expect(sink?.kept).to.equal(100);
    await sink?.release();
  });
});
