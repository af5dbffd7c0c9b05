import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import fc from 'fast-check';
import type { BlobSink } from '../../../lib/engine/blob-sink.js';
import { ociLayout, type OciLayout } from '../../../lib/engine/layout/oci-layout.js';
import { seededBlob } from './support/content.js';
import { expectValidLayout, partialNames } from './support/layout-tree.js';

const blobs = [1, 2, 3].map((seed) => seededBlob(seed, [1, 70_000, 1_200_000][seed - 1]!));
const context = { signal: new AbortController().signal, pullId: 'pull-1' };

/** One step of one of the writers; two layouts on one directory stand for two hosts' copies of it in one process. */
type Step =
  | { readonly do: 'open'; readonly layout: 0 | 1; readonly blob: number }
  | { readonly do: 'write'; readonly sink: number; readonly part: number }
  | { readonly do: 'restart' | 'commit' | 'release' | 'read'; readonly sink: number }
  | { readonly do: 'name'; readonly layout: 0 | 1; readonly blob: number; readonly name: number }
  | { readonly do: 'reopen'; readonly layout: 0 | 1 };

const layoutNumber = fc.constantFrom<0 | 1>(0, 1);
const blobNumber = fc.nat(blobs.length - 1);
const sinkNumber = fc.nat(5);
const steps = fc.array(
  fc.oneof<fc.Arbitrary<Step>[]>(
    fc.record({ do: fc.constant('open' as const), layout: layoutNumber, blob: blobNumber }),
    fc.record({
      do: fc.constant('write' as const),
      sink: sinkNumber,
      part: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
    fc.record({ do: fc.constantFrom('restart' as const, 'commit', 'release', 'read'), sink: sinkNumber }),
    fc.record({ do: fc.constant('name' as const), layout: layoutNumber, blob: blobNumber, name: fc.nat(3) }),
    fc.record({ do: fc.constant('reopen' as const), layout: layoutNumber }),
  ),
  { maxLength: 40 },
);

interface Writer {
  readonly layout: 0 | 1;
  readonly blob: number;
  readonly sink: BlobSink;
  written: number;
}

/** Walks through the steps, checking after each that the directory is a valid layout; returns what must be there. */
class Walk {
  readonly #directory: string;
  #layouts: [OciLayout, OciLayout];
  #writers: Writer[] = [];
  #opening: { readonly layout: 0 | 1; readonly done: Promise<void> }[] = [];
  readonly stored: Set<number> = new Set();
  readonly named: Map<string, number> = new Map();

  constructor(directory: string) {
    this.#directory = directory;
    this.#layouts = [ociLayout(directory), ociLayout(directory)];
  }

  async take(step: Step): Promise<void> {
    switch (step.do) {
      case 'open':
        return this.#open(step.layout, step.blob);
      case 'write':
      case 'restart':
      case 'commit':
      case 'release':
      case 'read': {
        const writer = this.#writers[step.sink];
        if (writer !== undefined) await this.#use(writer, step);
        return;
      }
      case 'name': {
        const { digest, size, mediaType } = blobs[step.blob]!;
        const name = `quay.io/team/app:${step.name}`;
        await this.#layouts[step.layout].nameImage(name, { digest, size, mediaType });
        this.named.set(name, step.blob);
        return;
      }
      case 'reopen':
        await this.#layouts[step.layout].close();
        this.#writers = this.#writers.filter(({ layout }) => layout !== step.layout);
        await Promise.all(this.#opening.filter(({ layout }) => layout === step.layout).map(({ done }) => done));
        this.#layouts[step.layout] = ociLayout(this.#directory);
    }
  }

  async #open(layout: 0 | 1, blob: number): Promise<void> {
    const held = this.#writers.some((writer) => writer.layout === layout && writer.blob === blob);
    const done = this.#layouts[layout].openBlob(blobs[blob]!, context).then(
      (sink) => {
        if (sink === null) expect(this.stored).to.include(blob);
        else this.#writers.push({ layout, blob, sink, written: sink.kept });
      },
      // Only a layout that was closed meanwhile refuses.
      (error: unknown) => expect(String(error)).to.include('the layout is closed'),
    );
    // Who waits for another sink of the same layout gets its turn when that one is finished.
    if (held) this.#opening.push({ layout, done: done.then(() => {}) });
    else await done;
  }

  async #use(writer: Writer, step: Step): Promise<void> {
    const { sink, blob } = writer;
    const { bytes, size } = blobs[blob]!;
    switch (step.do) {
      case 'write': {
        const end = writer.written + Math.round((size - writer.written) * step.part);
        await sink.write(bytes.subarray(writer.written, end));
        writer.written = end;
        return;
      }
      case 'read': {
        let at = 0;
        for await (const chunk of sink.readKept()) {
          expect(Buffer.compare(chunk, bytes.subarray(at, at + chunk.length))).to.equal(0);
          at += chunk.length;
        }
        expect(at).to.equal(sink.kept);
        return;
      }
      case 'restart':
        writer.written = 0;
        return sink.restart();
      case 'commit':
        await sink.write(bytes.subarray(writer.written));
        await sink.commit();
        this.stored.add(blob);
        break;
      default:
        await sink.release();
    }
    this.#writers = this.#writers.filter((other) => other !== writer);
    await new Promise((resolve) => setImmediate(resolve));
  }

  async end(): Promise<void> {
    while (this.#writers.length > 0 || this.#opening.length > 0) {
      await Promise.all(this.#writers.splice(0).map(({ sink }) => sink.release()));
      const opening = this.#opening;
      this.#opening = [];
      await Promise.race([
        Promise.all(opening.map(({ done }) => done)),
        new Promise((resolve) => setImmediate(resolve)),
      ]);
      this.#opening.push(...(await pending(opening)));
    }
    await Promise.all(this.#layouts.map((layout) => layout.close()));
  }
}

async function pending<T extends { readonly done: Promise<void> }>(all: readonly T[]): Promise<T[]> {
  const none = Symbol('pending');
  const states = await Promise.all(all.map(({ done }) => Promise.race([done, Promise.resolve(none)])));
  return all.filter((_, at) => states[at] === none);
}

describe('A layout, whatever its writers do', function () {
  this.timeout(120_000);

  it('stays valid, has what was committed and named, and leaves only bytes that can be gone on with', async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (walkedSteps) => {
        const directory = await mkdtemp(join(tmpdir(), 'pull-failover-walk-'));
        try {
          const walk = new Walk(directory);
          for (const step of walkedSteps) await walk.take(step);
          await walk.end();

          const layout = ociLayout(directory);
          if (walkedSteps.some((step) => step.do === 'open' || step.do === 'name')) await expectValidLayout(directory);
          const found = new Map((await layout.listImages()).map(({ name, descriptor }) => [name, descriptor.digest]));
          expect(found).to.deep.equal(new Map([...walk.named].map(([name, blob]) => [name, blobs[blob]!.digest])));
          for (const [number, blob] of blobs.entries()) {
            expect(await layout.hasBlob(blob)).to.equal(walk.stored.has(number));
            const sink = await layout.openBlob(blob, context);
            if (sink === null) continue;
            await sink.write(blob.bytes.subarray(sink.kept));
            await sink.commit();
          }
          await layout.close();
          await expectValidLayout(directory);
          expect(await partialNames(directory)).to.deep.equal([]);
        } finally {
          await rm(directory, { recursive: true });
        }
      }),
      { numRuns: 60 },
    );
  });
});
