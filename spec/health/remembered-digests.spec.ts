import { expect } from 'chai';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openRememberedDigests, type RememberedDigests } from '../../lib/health/remembered-digests.js';
import { openStateStore, type StateStore } from '../../lib/health/state-store.js';
import { digestOf } from '../../lib/image/digest.js';
import type { Digest } from '../../lib/vocabulary/digest.js';
import { startFakeTime, type FakeTime } from '../support/fake-time.js';

const redis = 'quay.io/aptible/redis:3.0';
const quay = 'quay.io/aptible';
const digest = (text: string): Digest => digestOf(Buffer.from(text));
const found = (text: string): { digest: Digest; configs: Record<string, Digest>; registry: string } => ({
  digest: digest(text),
  configs: { 'linux/amd64': digest(`${text} config`) },
  registry: quay,
});

describe('remembered digests', () => {
  let directory: string;
  let time: FakeTime | null = null;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'digests-'));
  });

  afterEach(async () => {
    time?.restore();
    time = null;
    for (const digests of opened.splice(0)) await digests.flush();
    await rm(directory, { recursive: true, force: true });
  });

  const opened: RememberedDigests[] = [];

  function open(maxImages?: number): RememberedDigests {
    const digests = openRememberedDigests(openStateStore(directory), maxImages === undefined ? {} : { maxImages });
    // The disk follows in the background: nothing may be written into a folder that is being removed.
    opened.push(digests);
    return digests;
  }

  /** A store in memory that counts its writes, or fails them. */
  function countingStore(fails = false): { readonly store: StateStore; readonly writes: () => number } {
    const inner = openStateStore(null);
    let writes = 0;
    const store: StateStore = {
      document: (kind) => {
        const document = inner.document(kind);
        return {
          read: document.read,
          update: async (change) => {
            writes += 1;
            return fails ? null : document.update(change);
          },
        };
      },
    };
    return { store, writes: () => writes };
  }

  it('know nothing of an image that was never pulled', async () => {
    expect(await open().recall(redis)).to.equal(null);
  });

  it('hold at once, and survive the process', async () => {
    const digests = open();
    await digests.remember(redis, found('3.0'));
    expect(await digests.recall(redis)).to.deep.include(found('3.0'));
    await digests.flush();
    expect(await open().recall(redis)).to.deep.include(found('3.0'));
  });

  it('hold in memory where there is no stateDir', async () => {
    const digests = openRememberedDigests(openStateStore(null));
    await digests.remember(redis, found('3.0'));
    await digests.flush();
    expect(await digests.recall(redis)).to.deep.include(found('3.0'));
    expect(await readdir(directory)).to.deep.equal([]);
  });

  it('hold in this process although the disk fails', async () => {
    const { store, writes } = countingStore(true);
    const digests = openRememberedDigests(store);
    await digests.remember(redis, found('3.0'));
    await digests.flush();
    expect(writes()).to.be.within(1, 2);
    expect(await digests.recall(redis)).to.deep.include(found('3.0'));
  });

  it('reach the disk once it is well again', async () => {
    await rm(directory, { recursive: true });
    await writeFile(directory, '');
    const digests = open();
    await digests.remember(redis, found('3.0'));
    await digests.flush();
    await rm(directory);
    await digests.flush();
    expect(await open().recall(redis)).to.deep.include(found('3.0'));
  });

  it('change with the tag', async () => {
    const digests = open();
    await digests.remember(redis, found('3.0'));
    await digests.remember(redis, found('3.0.1'));
    expect(await digests.recall(redis)).to.deep.include(found('3.0.1'));
    await digests.flush();
    expect(await open().recall(redis)).to.deep.include(found('3.0.1'));
  });

  it('are merged by the newest of each image when two stores share the directory', async () => {
    time = startFakeTime();
    const one = open();
    const other = open();
    await one.remember(redis, found('old'));
    await one.remember('a/only-one:1', found('one'));
    await time.passMs(1_000);
    await other.remember(redis, found('new'));
    await other.remember('a/only-other:1', found('other'));
    time.restore();
    await Promise.all([one.flush(), other.flush()]);
    for (const digests of [one, other, open()]) {
      expect(await digests.recall(redis)).to.deep.include(found('new'));
      expect(await digests.recall('a/only-one:1')).to.deep.include(found('one'));
      expect(await digests.recall('a/only-other:1')).to.deep.include(found('other'));
    }
  });

  it('keep the configs of all platforms of one digest, and forget them with another digest', async () => {
    const digests = open();
    await digests.remember(redis, found('3.0'));
    await digests.remember(redis, { ...found('3.0'), configs: { 'linux/arm64': digest('arm') } });
    expect((await digests.recall(redis))?.configs).to.deep.equal({
      'linux/amd64': digest('3.0 config'),
      'linux/arm64': digest('arm'),
    });
    await digests.remember(redis, { ...found('3.1'), configs: {} });
    expect((await digests.recall(redis))?.configs).to.deep.equal({});
  });

  it('are bounded, and forget what was not pulled for longest', async () => {
    time = startFakeTime();
    const digests = openRememberedDigests(openStateStore(null), { maxImages: 3 });
    for (const name of ['a', 'b', 'c']) {
      await digests.remember(name, found(name));
      await time.passMs(600_000);
    }
    await digests.remember('a', found('a'));
    await time.passMs(1);
    await digests.remember('d', found('d'));
    await digests.flush();
    const kept = await Promise.all(['a', 'b', 'c', 'd'].map((name) => digests.recall(name)));
    expect(kept.map((entry) => entry !== null)).to.deep.equal([true, false, true, true]);
  });

  it('are bounded also while the disk fails', async () => {
    time = startFakeTime();
    const digests = openRememberedDigests(countingStore(true).store, { maxImages: 3 });
    for (let index = 0; index < 10; index += 1) {
      await digests.remember(`image-${index}`, found('x'));
      await time.passMs(1);
    }
    expect(await digests.recall('image-6')).to.equal(null);
    expect(await digests.recall('image-7')).not.to.equal(null);
  });

  it('write once for a thousand pulls of one tag, and again when it is long ago', async () => {
    time = startFakeTime();
    const { store, writes } = countingStore();
    const digests = openRememberedDigests(store);
    await digests.remember(redis, found('3.0'));
    await Promise.all(Array.from({ length: 1_000 }, () => digests.remember(redis, found('3.0'))));
    await digests.flush();
    expect(writes()).to.equal(1);
    await time.passMs(600_000);
    await digests.remember(redis, found('3.0'));
    await digests.flush();
    expect(writes()).to.equal(2);
  });

  it('need few writes for a thousand images at once', async () => {
    const { store, writes } = countingStore();
    const digests = openRememberedDigests(store);
    await Promise.all(Array.from({ length: 1_000 }, (_, index) => digests.remember(`image-${index}`, found('x'))));
    await digests.flush();
    expect(writes()).to.be.at.most(5);
    expect(await digests.recall('image-999')).not.to.equal(null);
  });

  it('let nothing win for ever that was written under a clock that was ahead', async () => {
    time = startFakeTime(Date.UTC(2037, 0, 1));
    const digests = open();
    await digests.remember(redis, found('of 2037'));
    time.restore();
    await digests.flush();
    const today = open();
    expect((await today.recall(redis))?.atMs).to.be.at.most(Date.now());
    await today.remember(redis, found('of today'));
    await today.flush();
    expect(await open().recall(redis)).to.deep.include(found('of today'));
  });

  for (const [what, entry] of [
    ['a malformed digest', { image: redis, digest: 'sha256:00', configs: {}, registry: quay, atMs: 1 }],
    ['a malformed config', { image: redis, digest: digest('x'), configs: { a: 1 }, registry: quay, atMs: 1 }],
    ['no image', { digest: digest('x'), configs: {}, registry: quay, atMs: 1 }],
    ['no time', { image: redis, digest: digest('x'), configs: {}, registry: quay, atMs: null }],
    ['nothing', null],
  ] as const) {
    it(`set a file aside in which an entry has ${what}`, async () => {
      await writeFile(join(directory, 'digests.json'), JSON.stringify({ version: 1, images: [entry] }));
      const digests = open();
      expect(await digests.recall(redis)).to.equal(null);
      await digests.remember(redis, found('3.0'));
      await digests.flush();
      expect((await readdir(directory)).toSorted()).to.deep.equal(['digests.json', 'digests.json.broken']);
    });
  }

  it('set a file of another version aside', async () => {
    await writeFile(join(directory, 'digests.json'), JSON.stringify({ version: 2, images: [] }));
    const digests = open();
    await digests.remember(redis, found('3.0'));
    await digests.flush();
    expect(await readdir(directory)).to.include('digests.json.broken');
  });

  it('treat no image name as special', async () => {
    const digests = open();
    for (const name of ['__proto__', 'constructor', 'toString']) {
      expect(await digests.recall(name)).to.equal(null);
      await digests.remember(name, found(name));
    }
    await digests.flush();
    expect(await open().recall('__proto__')).to.deep.include(found('__proto__'));
  });

  describe('of several processes', () => {
    const children: ChildProcess[] = [];

    afterEach(() => {
      for (const child of children.splice(0)) child.kill('SIGKILL');
    });

    function start(name: string, count: number): ChildProcess {
      const script = fileURLToPath(new URL('./support/remembering-process.ts', import.meta.url));
      const child = spawn(process.execPath, ['--import', 'tsx', script, directory, name, String(count)], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      children.push(child);
      return child;
    }

    it('are all kept when the processes remember at once', async () => {
      const exits = ['one', 'two'].map((name) => {
        const child = start(name, 15);
        child.stdout?.resume();
        return once(child, 'exit');
      });
      expect((await Promise.all(exits)).map(([code]: unknown[]) => code)).to.deep.equal([0, 0]);
      const digests = open();
      for (const name of ['one', 'two']) {
        for (let index = 0; index < 15; index += 1) {
          expect(await digests.recall(`${name}-${index}`), `${name}-${index}`).to.include({ registry: name });
        }
      }
    });

    it('are kept when the process is killed while it writes, and the next one goes on', async () => {
      const child = start('killed', 1_000);
      const exited = once(child, 'exit');
      let last = -1;
      let pending = '';
      child.stdout?.on('data', (chunk: Buffer) => {
        pending += chunk.toString();
        const lines = pending.split('\n');
        pending = lines.pop() ?? '';
        last = Number(lines.at(-1) ?? last);
        if (last >= 5) child.kill('SIGKILL');
      });
      await exited;
      expect(last).to.be.at.least(5);
      const digests = open();
      for (let index = 0; index <= last; index += 1) {
        expect(await digests.recall(`killed-${index}`), `killed-${index}`).to.include({ registry: 'killed' });
      }
      await digests.remember(redis, found('3.0'));
      await digests.flush();
      expect((await readFile(join(directory, 'digests.json'), 'utf8')).includes(redis)).to.equal(true);
      expect((await readdir(directory)).filter((name) => name.endsWith('.tmp'))).to.deep.equal([]);
    });
  });
});
