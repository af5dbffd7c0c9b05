import { expect } from 'chai';
import { monotonicMs } from '../../../lib/clock/time.js';
import { isHostFaultError } from '../../../lib/errors/host-fault-error.js';
import { isPullExhaustedError } from '../../../lib/errors/pull-exhausted-error.js';
import { SharedFetches } from '../../../lib/failover/shared/shared-fetch.js';
import { type Fault, layers, seededImage } from '../../../lib/testing/index.js';
import { closeHeartRigs, type HeartPull, type HeartRig, openHeartRig, untilQuiet } from '../support/heart-rig.js';
import { memorySink } from '../support/memory-sink.js';
import { type MemoryStore, memoryStore } from '../support/memory-store.js';
import { failureOf } from '../../support/failure-of.js';
import { until } from '../../support/until.js';

const image = seededImage({ bytes: 6_000_000, seed: 'shared' });
const [layer = image.config] = image.layers;
const blob = { digest: layer.digest, size: layer.sizeBytes, mediaType: layer.mediaType };
const size = layer.sizeBytes;
const right = Buffer.concat([...layer.read()]);

const pauseOf = (ms: number) => (): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function isWhole(store: MemoryStore): boolean {
  return store.blobs.get(blob.digest)?.equals(right) === true;
}

function requests(rig: HeartRig): number {
  return rig.double('A').requests.filter(({ kind }) => kind === 'blob').length;
}

describe('a blob that several pulls want', () => {
  afterEach(closeHeartRigs);

  /** A registry that takes about 600 ms for the blob. */
  const open = (faults: readonly Fault[] = []): Promise<HeartRig> =>
    openHeartRig({ image, registries: [{ faults, bandwidth: { totalBytesPerSecond: 10_000_000 } }] });
  const fetches =
    (shared: SharedFetches) =>
    (pull: HeartPull, store: MemoryStore, key = 'key') =>
      shared.fetch(pull.context, { blob, key, store });
  const bytesAt = (rig: HeartRig, bytes: number): Promise<void> =>
    until(() => rig.double('A').bytesSent >= bytes, `${bytes} bytes have been sent`);
  const nothingLeft = async (rig: HeartRig, ...stores: readonly MemoryStore[]): Promise<void> => {
    await untilQuiet(rig.doubles);
    await until(() => stores.every(({ openSinks }) => openSinks === 0), 'every sink is closed');
  };

  it('for several stores is fetched once', async () => {
    const rig = await open();
    const fetch = fetches(new SharedFetches());
    const stores = [memoryStore(), memoryStore(), memoryStore()];
    const pulls = stores.map(() => rig.openPull());
    await Promise.all(stores.map((store, index) => fetch(pulls[index] ?? rig.openPull(), store)));
    expect(stores.every(isWhole)).to.equal(true);
    expect(rig.double('A').bytesSent).to.equal(size);
    // Each sees it as its own.
    for (const pull of pulls) expect(pull.sources.served.map(({ bytes }) => bytes)).to.deep.equal([size]);
    await nothingLeft(rig, ...stores);
  });

  it('for one store is fetched once', async () => {
    const rig = await open();
    const fetch = fetches(new SharedFetches());
    const store = memoryStore();
    const pulls = [rig.openPull(), rig.openPull(), rig.openPull()];
    await Promise.all(pulls.map((pull) => fetch(pull, store)));
    expect(isWhole(store)).to.equal(true);
    expect(rig.double('A').bytesSent).to.equal(size);
    await nothingLeft(rig, store);
  });

  for (const { name, bytes, faults } of [
    { name: 'soon after the beginning', bytes: 300_000, faults: [] },
    { name: 'when the beginning is gone', bytes: 3_000_000, faults: [] },
    {
      name: 'near the end',
      bytes: 5_900_000,
      faults: [layers.drip({ afterBytes: 5_900_000, bytesPerSecond: 200_000 })],
    },
  ]) {
    for (const same of [true, false]) {
      it(`by one that comes ${name}, for ${same ? 'the same store' : 'another store'}, is fetched once`, async () => {
        const rig = await open(faults);
        const fetch = fetches(new SharedFetches());
        const first = memoryStore();
        const second = same ? first : memoryStore();
        const [one, other] = [rig.openPull(), rig.openPull()];
        const early = fetch(one, first);
        await bytesAt(rig, bytes);
        await Promise.all([early, fetch(other, second)]);
        expect([isWhole(first), isWhole(second)]).to.deep.equal([true, true]);
        expect(rig.double('A').bytesSent).to.equal(size);
        await nothingLeft(rig, first, second);
      });
    }
  }

  for (const same of [true, false]) {
    it(`is finished for ${same ? 'the same store' : 'another store'} when whoever began it aborts`, async () => {
      for (const bytes of [300_000, 3_000_000]) {
        const rig = await open();
        const fetch = fetches(new SharedFetches());
        const first = memoryStore();
        const second = same ? first : memoryStore();
        const [starter, other] = [rig.openPull(), rig.openPull()];
        const failure = failureOf(fetch(starter, first));
        await bytesAt(rig, bytes);
        const finished = fetch(other, second);
        await new Promise((resolve) => setTimeout(resolve, 20));
        const reason = new Error('the starter has had enough');
        const abortedAtMs = monotonicMs();
        starter.abort(reason);
        expect(await failure).to.equal(reason);
        expect(monotonicMs() - abortedAtMs).to.be.below(400);
        await finished;
        expect(isWhole(second)).to.equal(true);
        // Only another store that came too late for the beginning has to begin again.
        const isTooLate = bytes > 1_000_000 && !same;
        expect(rig.double('A').bytesSent).to.be.within(size, isTooLate ? size + bytes + 2_000_000 : size);
        await nothingLeft(rig, first, second);
        await closeHeartRigs();
      }
    });

    it(`is finished by whoever began it when one that joined for ${same ? 'the same store' : 'another store'} aborts`, async () => {
      const rig = await open();
      const fetch = fetches(new SharedFetches());
      const first = memoryStore();
      const second = same ? first : memoryStore();
      const [starter, other] = [rig.openPull(), rig.openPull()];
      const finished = fetch(starter, first);
      await bytesAt(rig, 300_000);
      const failure = failureOf(fetch(other, second));
      await bytesAt(rig, 1_000_000);
      const reason = { no: 'error' };
      other.abort(reason);
      expect(await failure).to.equal(reason);
      await finished;
      expect(isWhole(first)).to.equal(true);
      expect(rig.double('A').bytesSent).to.equal(size);
      await nothingLeft(rig, first, second);
    });
  }

  it('that everybody has left is not fetched any further', async () => {
    const rig = await open();
    const fetch = fetches(new SharedFetches());
    const stores = [memoryStore(), memoryStore()];
    const pulls = [rig.openPull(), rig.openPull()];
    const failures = stores.map((store, index) => failureOf(fetch(pulls[index] ?? rig.openPull(), store)));
    await bytesAt(rig, 1_000_000);
    for (const pull of pulls) pull.abort('enough');
    expect(await Promise.all(failures)).to.deep.equal(['enough', 'enough']);
    await nothingLeft(rig, ...stores);
    expect(rig.double('A').bytesSent).to.be.below(size);
    // What was fetched is there for the next one.
    expect(stores[0]?.partials.get(blob.digest)?.length).to.be.above(0);
    await fetch(rig.openPull(), stores[0] ?? memoryStore());
    expect(stores.map(isWhole)).to.deep.equal([true, false]);
  });

  it('is not shared where the key differs: other credentials, other limits, another plan', async () => {
    const rig = await open();
    const fetch = fetches(new SharedFetches());
    const stores = [memoryStore(), memoryStore()];
    await Promise.all(stores.map((store, index) => fetch(rig.openPull(), store, `key ${index}`)));
    expect(stores.every(isWhole)).to.equal(true);
    expect(requests(rig)).to.equal(2);
  });

  it('that fails is told to each as its own failure, with its attempts', async () => {
    const rig = await open([layers.status(500)]);
    const fetch = fetches(new SharedFetches());
    const stores = [memoryStore(), memoryStore()];
    const pulls = [rig.openPull(), rig.openPull()];
    const errors = await Promise.all(
      stores.map((store, index) => failureOf(fetch(pulls[index] ?? rig.openPull(), store))),
    );
    for (const [index, error] of errors.entries()) {
      if (!isPullExhaustedError(error)) throw error;
      expect(error.attempts).to.deep.equal(pulls[index]?.sources.attempts);
      expect(error.attempts).to.have.length(3);
    }
    // The registry is as ill as one pull found it, not as ill as two did.
    expect(pulls.flatMap(({ ill }) => ill)).to.deep.equal(['A layers']);
    expect(requests(rig)).to.equal(3);
    await nothingLeft(rig, ...stores);
  });

  describe('into a store that is slow', () => {
    it('alone is fetched at its pace, and no registry is blamed', async () => {
      const rig = await open();
      const store = memoryStore({ onWrite: pauseOf(10) });
      const pull = rig.openPull();
      await fetches(new SharedFetches())(pull, store);
      expect(isWhole(store)).to.equal(true);
      expect(pull.attempts).to.deep.equal([]);
      expect(rig.double('A').bytesSent).to.equal(size);
    });

    it('does not hold one that keeps up, and is finished all the same', async () => {
      const rig = await open();
      const fetch = fetches(new SharedFetches());
      const slow = memoryStore({ onWrite: (offset) => pauseOf(offset < 400_000 ? 600 : 1)() });
      const fast = memoryStore();
      const [slowPull, fastPull] = [rig.openPull(), rig.openPull()];
      const startedAtMs = monotonicMs();
      const slowly = fetch(slowPull, slow);
      await fetch(fastPull, fast);
      const tookMs = monotonicMs() - startedAtMs;
      expect(isWhole(fast)).to.equal(true);
      expect(isWhole(slow)).to.equal(false);
      expect(tookMs).to.be.below(2_500);
      await slowly;
      expect(isWhole(slow)).to.equal(true);
      expect([...slowPull.attempts, ...fastPull.attempts]).to.deep.equal([]);
      await nothingLeft(rig, slow, fast);
    });

    it('as all the others are keeps them together: it is fetched once', async () => {
      const rig = await open();
      const fetch = fetches(new SharedFetches());
      // So slow at the beginning that both lag as far as they may.
      const stores = [1, 2].map(() => memoryStore({ onWrite: (offset) => pauseOf(offset === 0 ? 1_500 : 1)() }));
      await Promise.all(stores.map((store) => fetch(rig.openPull(), store)));
      expect(stores.every(isWhole)).to.equal(true);
      expect(rig.double('A').bytesSent).to.equal(size);
    });

    it('a little at a time does not hold one that keeps up either', async () => {
      const rig = await open();
      const fetch = fetches(new SharedFetches());
      // Four times too slow for the network, and never for long at once.
      const slow = memoryStore({ onWrite: (_, bytes) => pauseOf(bytes / 2_500)() });
      const fast = memoryStore();
      const slowPull = rig.openPull();
      const slowly = failureOf(fetch(slowPull, slow));
      const startedAtMs = monotonicMs();
      await fetch(rig.openPull(), fast);
      expect(monotonicMs() - startedAtMs).to.be.below(1_900);
      slowPull.abort('enough');
      expect(await slowly).to.equal('enough');
      await nothingLeft(rig, slow, fast);
    });

    it('does not hold one that keeps up as the last bytes are written and committed', async () => {
      const small = seededImage({ bytes: 500_000, seed: 'shared small' });
      const [smallLayer = small.config] = small.layers;
      const rig = await openHeartRig({ image: small, registries: [[]] });
      const shared = new SharedFetches();
      const wanted = { digest: smallLayer.digest, size: smallLayer.sizeBytes, mediaType: smallLayer.mediaType };
      const slow = memoryStore({ onWrite: pauseOf(150), onCommit: pauseOf(500) });
      const fast = memoryStore();
      const startedAtMs = monotonicMs();
      const slowly = shared.fetch(rig.openPull().context, { blob: wanted, key: 'key', store: slow });
      await shared.fetch(rig.openPull().context, { blob: wanted, key: 'key', store: fast });
      expect(monotonicMs() - startedAtMs).to.be.below(1_000);
      expect(slow.blobs.size).to.equal(0);
      await slowly;
      expect([slow.blobs.size, fast.blobs.size]).to.deep.equal([1, 1]);
      expect(rig.double('A').bytesSent).to.equal(smallLayer.sizeBytes);
    });

    it('and takes nothing for now does not hold one that keeps up as wrong bytes let the blob begin again', async () => {
      const small = seededImage({ bytes: 1_500_000, seed: 'shared small and wrong' });
      const [smallLayer = small.config] = small.layers;
      const wanted = { digest: smallLayer.digest, size: smallLayer.sizeBytes, mediaType: smallLayer.mediaType };
      const rig = await openHeartRig({ image: small, registries: [[layers.wrongBytes({ atByte: 700_000 })], []] });
      const shared = new SharedFetches();
      let hear: () => void = () => {};
      const heard = new Promise<void>((resolve) => {
        hear = resolve;
      });
      const deaf = memoryStore({ onWrite: () => heard });
      const fast = memoryStore();
      const late = shared.fetch(rig.openPull().context, { blob: wanted, key: 'key', store: deaf });
      await shared.fetch(rig.openPull().context, { blob: wanted, key: 'key', store: fast });
      expect(deaf.blobs.size).to.equal(0);
      hear();
      await late;
      const bytes = Buffer.concat([...smallLayer.read()]);
      for (const store of [deaf, fast]) expect(store.blobs.get(wanted.digest)?.equals(bytes)).to.equal(true);
      expect(rig.doubles.map(({ bytesSent }) => bytesSent)).to.deep.equal([wanted.size, wanted.size]);
      await nothingLeft(rig, deaf, fast);
    });

    it('is not waited for by one that comes late', async () => {
      const rig = await open();
      const fetch = fetches(new SharedFetches());
      const slow = memoryStore({ onWrite: (offset) => pauseOf(offset > 2_000_000 ? 700 : 0)() });
      const slowPull = rig.openPull();
      const slowly = failureOf(fetch(slowPull, slow));
      await bytesAt(rig, 2_500_000);
      const late = memoryStore();
      const startedAtMs = monotonicMs();
      await fetch(rig.openPull(), late);
      expect(monotonicMs() - startedAtMs).to.be.below(4_000);
      expect(isWhole(late)).to.equal(true);
      slowPull.abort('enough');
      expect(await slowly).to.equal('enough');
      await nothingLeft(rig, slow, late);
    });
  });

  describe('into a store that fails', () => {
    const noSpace = (): never => {
      throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC', syscall: 'write' });
    };

    for (const { name, options } of [
      { name: 'in the middle', options: { onWrite: (offset: number) => (offset > 1_000_000 ? noSpace() : undefined) } },
      { name: 'at the end', options: { onCommit: noSpace } },
    ]) {
      for (const starts of [true, false]) {
        it(`${name}, ${starts ? 'which began it' : 'which joined'}, harms nobody else`, async () => {
          const rig = await open();
          const fetch = fetches(new SharedFetches());
          const [broken, well] = [memoryStore(options), memoryStore()];
          const [brokenPull, wellPull] = [rig.openPull(), rig.openPull()];
          const wellFirst = starts ? null : fetch(wellPull, well);
          const failure = failureOf(fetch(brokenPull, broken));
          await (wellFirst ?? fetch(wellPull, well));
          const error = await failure;
          if (!isHostFaultError(error)) throw error;
          expect(error.reason.code).to.equal('disk-full');
          expect(isWhole(well)).to.equal(true);
          expect([...brokenPull.attempts, ...wellPull.attempts]).to.deep.equal([]);
          expect(rig.double('A').bytesSent).to.equal(size);
          await nothingLeft(rig, broken, well);
        });
      }
    }

    it('before the beginning could be shared is not the failure of one that comes late', async () => {
      const rig = await open();
      const fetch = fetches(new SharedFetches());
      const [broken, well] = [
        memoryStore({ onWrite: (offset) => (offset > 4_000_000 ? noSpace() : undefined) }),
        memoryStore(),
      ];
      const failure = failureOf(fetch(rig.openPull(), broken));
      await bytesAt(rig, 2_500_000);
      await fetch(rig.openPull(), well);
      expect(isHostFaultError(await failure)).to.equal(true);
      expect(isWhole(well)).to.equal(true);
      await nothingLeft(rig, broken, well);
    });

    it('as its own kept bytes are read, is not the failure of one that waits for it', async () => {
      const rig = await open();
      const fetch = fetches(new SharedFetches());
      const sink = memorySink({ kept: right.subarray(0, 1_000_000) });
      const broken = Object.assign(memoryStore(), {
        openBlob: async () => ({
          ...sink,
          kept: sink.kept,
          readKept: async function* () {
            yield right.subarray(0, 500_000);
            await pauseOf(50)();
            noSpace();
          },
        }),
      });
      const well = memoryStore();
      const failure = failureOf(fetch(rig.openPull(), broken));
      await fetch(rig.openPull(), well);
      expect(isHostFaultError(await failure)).to.equal(true);
      expect(isWhole(well)).to.equal(true);
      expect(rig.double('A').bytesSent).to.equal(size);
      await nothingLeft(rig, well);
    });

    for (const { name, streamBlob } of [
      {
        name: 'cannot be read',
        // oxlint-disable-next-line require-yield
        streamBlob: async function* () {
          noSpace();
        },
      },
      {
        name: 'has become another one',
        streamBlob: async function* () {
          yield Buffer.alloc(size);
        },
      },
      {
        name: 'has become a longer one',
        streamBlob: async function* () {
          yield right;
          yield right;
        },
      },
      {
        name: 'has become a shorter one',
        streamBlob: async function* () {
          yield right.subarray(1);
        },
      },
    ]) {
      it(`afterwards, so that its blob ${name}, leaves one that came late to the registry`, async () => {
        const rig = await open();
        const fetch = fetches(new SharedFetches());
        const first = Object.assign(memoryStore(), { streamBlob });
        const late = memoryStore();
        const early = fetch(rig.openPull(), first);
        await bytesAt(rig, 2_000_000);
        const latePull = rig.openPull();
        await Promise.all([early, fetch(latePull, late)]);
        expect([isWhole(first), isWhole(late)]).to.deep.equal([true, true]);
        expect(rig.double('A').bytesSent).to.equal(2 * size);
        expect(latePull.attempts).to.deep.equal([]);
        await nothingLeft(rig, first, late);
      });
    }

    it('as it copies from another one, fails alone', async () => {
      const rig = await open();
      const fetch = fetches(new SharedFetches());
      const [first, late] = [memoryStore(), memoryStore({ onWrite: noSpace })];
      const early = fetch(rig.openPull(), first);
      await bytesAt(rig, 2_000_000);
      const latePull = rig.openPull();
      const error = await failureOf(fetch(latePull, late));
      await early;
      expect(isHostFaultError(error)).to.equal(true);
      expect(latePull.attempts).to.deep.equal([]);
      expect(isWhole(first)).to.equal(true);
    });

    it('once, while what it lagged behind with was written, never gets a blob with a hole', async () => {
      const rig = await open();
      const fetch = fetches(new SharedFetches());
      let failures = 0;
      const flaky = memoryStore({
        onWrite: async (offset) => {
          if (offset < 300_000) await pauseOf(400)();
          else if (failures === 0) {
            failures += 1;
            noSpace();
          }
        },
      });
      const fast = memoryStore();
      const failure = failureOf(fetch(rig.openPull(), flaky));
      await fetch(rig.openPull(), fast);
      expect(isHostFaultError(await failure)).to.equal(true);
      expect(flaky.blobs.size).to.equal(0);
    });
  });

  it('is not given up with the patience of another pull', async () => {
    const rig = await openHeartRig({ image, registries: [[layers.status(429, { retryAfter: 1, times: 1 })]] });
    const shared = new SharedFetches();
    const [hasty, patient] = [rig.openPull(), rig.openPull()];
    const stores = [memoryStore(), memoryStore()] as const;
    const failure = failureOf(
      shared.fetch({ ...hasty.context, maxRetryAfterMs: 100 }, { blob, key: 'key', store: stores[0] }),
    );
    await shared.fetch(patient.context, { blob, key: 'key', store: stores[1] });
    expect(isPullExhaustedError(await failure)).to.equal(true);
    expect(isWhole(stores[1])).to.equal(true);
  });

  it('is not given up with the patience of another pull that it came too late to join', async () => {
    const faults = [
      layers.truncate({ afterBytes: 3_000_000, times: 1 }),
      layers.status(429, { retryAfter: 1, after: 1, times: 1 }),
    ];
    const rig = await open([layers.drip({ afterBytes: 2_500_000, bytesPerSecond: 1_000_000 }), ...faults]);
    const shared = new SharedFetches();
    const stores = [memoryStore(), memoryStore()] as const;
    const failure = failureOf(
      shared.fetch({ ...rig.openPull().context, maxRetryAfterMs: 100 }, { blob, key: 'key', store: stores[0] }),
    );
    await bytesAt(rig, 2_000_000);
    const patient = rig.openPull();
    await shared.fetch(patient.context, { blob, key: 'key', store: stores[1] });
    expect(isPullExhaustedError(await failure)).to.equal(true);
    expect(isWhole(stores[1])).to.equal(true);
    expect(patient.of('waiting')).to.have.length(1);
  });

  it('in wrong bytes reaches no store, and starts again for all of them', async () => {
    const rig = await openHeartRig({ image, registries: [[layers.wrongBytes({ atByte: 4_000_000 })], []] });
    const fetch = fetches(new SharedFetches());
    const stores = [memoryStore(), memoryStore()];
    const pulls = [rig.openPull(), rig.openPull()];
    await Promise.all(stores.map((store, index) => fetch(pulls[index] ?? rig.openPull(), store)));
    expect(stores.every(isWhole)).to.equal(true);
    for (const pull of pulls) expect(pull.attempts).to.deep.equal(['A content/digest-mismatch ill']);
    expect(rig.doubles.map(({ bytesSent }) => bytesSent)).to.deep.equal([size, size]);
  });

  it('when everything is ended leaves nothing open', async () => {
    const rig = await open();
    const fetch = fetches(new SharedFetches());
    const stores = [memoryStore(), memoryStore()];
    const failures = stores.map((store) => failureOf(fetch(rig.openPull(), store)));
    await bytesAt(rig, 500_000);
    rig.end();
    for (const error of await Promise.all(failures)) expect(error).to.be.an('error');
    await nothingLeft(rig, ...stores);
  });
});
