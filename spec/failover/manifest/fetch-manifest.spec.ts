import { expect } from 'chai';
import { getEventListeners } from 'node:events';
import { monotonicMs } from '../../../lib/clock/time.js';
import { ExchangeError } from '../../../lib/distribution/wire-error.js';
import { isHostFaultError } from '../../../lib/errors/host-fault-error.js';
import { isPullExhaustedError } from '../../../lib/errors/pull-exhausted-error.js';
import { fetchBlob } from '../../../lib/failover/blob/fetch-blob.js';
import { fetchManifest } from '../../../lib/failover/manifest/fetch-manifest.js';
import { connection, type Fault, layers, metadata, ping, seededImage } from '../../../lib/testing/index.js';
import { wanted as wantedBlob } from '../support/blob-fetch.js';
import { closeHeartRigs, type HeartRig, openHeartRig, smallImage, untilQuiet } from '../support/heart-rig.js';
import { memorySink } from '../support/memory-sink.js';
import { failureOf } from '../../support/failure-of.js';
import { until } from '../../support/until.js';

const tag = { tag: '1' } as const;
const byDigest = { digest: smallImage.digest } as const;

function manifestRequests(rig: HeartRig, name: 'A' | 'B' | 'C'): number {
  return rig.double(name).requests.filter(({ kind }) => kind === 'manifest').length;
}

describe('fetchManifest', () => {
  afterEach(closeHeartRigs);

  for (const wanted of [tag, byDigest]) {
    const how = 'tag' in wanted ? 'by tag' : 'by digest';

    it(`asks the first registry ${how}, and nobody else`, async () => {
      const rig = await openHeartRig({ registries: [[], []] });
      const pull = rig.openPull();
      const fetched = await fetchManifest(pull.context, wanted);
      expect(fetched.digest).to.equal(smallImage.digest);
      expect(Buffer.from(fetched.bytes).equals(smallImage.top.bytes)).to.equal(true);
      expect(fetched.document.kind).to.equal('manifest');
      expect(fetched.candidate).to.equal(rig.candidates[0]);
      expect(manifestRequests(rig, 'A')).to.equal(1);
      expect(rig.double('B').connections).to.equal(0);
      expect(pull.sources.failovers).to.deep.equal([]);
    });
  }

  it('opens a connection to the next registry when half of the time to a hedge has passed, and asks it nothing', async () => {
    const rig = await openHeartRig({
      registries: [[metadata.delay({ ms: 700 })], []],
      timeouts: { metadata: { requestMs: 5_000 } },
      hedge: { metadataMs: 1_000, layersMs: Infinity, budget: 1 },
    });
    const pull = rig.openPull();
    const fetched = await fetchManifest(pull.context, tag);
    expect(fetched.candidate).to.equal(rig.candidates[0]);
    await until(() => rig.double('B').connections === 1, 'the connection is accepted');
    expect(rig.double('B').requests).to.deep.equal([]);
    expect(pull.of('failedOver')).to.deep.equal([]);
  });

  interface Failing {
    readonly name: string;
    readonly fault: Fault;
    readonly attempts: readonly string[];
    readonly only?: 'by tag' | 'by digest';
  }
  const failing: readonly Failing[] = [
    { name: 'no headers', fault: metadata.noHeaders(), attempts: ['registry-api/request-late ill'] },
    { name: 'a blackhole', fault: connection.blackhole(), attempts: ['registry-api/request-late ill'] },
    { name: 'a refused connection', fault: connection.refuse(), attempts: ['registry-api/connection-refused ill'] },
    { name: 'a hang-up', fault: metadata.hangUp(), attempts: ['registry-api/connection-closed ill'] },
    { name: 'a stall', fault: metadata.stall({ afterBytes: 10 }), attempts: ['registry-api/request-late ill'] },
    { name: 'a drip', fault: metadata.drip({ bytesPerSecond: 50 }), attempts: ['registry-api/request-late ill'] },
    { name: 'a cut', fault: metadata.truncate({ afterShare: 0.5 }), attempts: ['registry-api/connection-closed ill'] },
    { name: 'a 500', fault: metadata.status(500), attempts: ['registry-api/http-500 ill'] },
    { name: 'a 503', fault: metadata.status(503), attempts: ['registry-api/http-503 ill'] },
    { name: 'a 404', fault: metadata.missing(), attempts: ['not-replicated/http-404 next'] },
    { name: 'a 403', fault: metadata.status(403), attempts: ['credentials/http-403 next'] },
    { name: 'a 429', fault: metadata.status(429, { retryAfter: 60 }), attempts: ['rate-limit/http-429 limited'] },
    {
      name: 'half of the JSON',
      fault: metadata.malformedJson(),
      only: 'by tag',
      attempts: ['content/digest-mismatch ill'],
    },
    {
      name: 'half of the JSON',
      fault: metadata.malformedJson(),
      only: 'by digest',
      attempts: ['content/digest-mismatch ill'],
    },
    { name: 'a page of a portal', fault: metadata.html(), only: 'by tag', attempts: ['content/malformed-json ill'] },
    {
      name: 'a page of a portal',
      fault: metadata.html(),
      only: 'by digest',
      attempts: ['content/digest-mismatch ill'],
    },
    { name: 'another manifest', fault: metadata.wrongContent(), attempts: ['content/digest-mismatch ill'] },
    { name: 'a wrong byte', fault: metadata.wrongBytes({ atShare: 0.5 }), attempts: ['content/digest-mismatch ill'] },
    {
      name: 'the digest of another one in its header',
      fault: metadata.wrongDigestHeader(),
      only: 'by tag',
      attempts: ['content/digest-mismatch ill'],
    },
    { name: 'five megabytes', fault: metadata.huge(), attempts: ['content/too-large next'] },
    {
      name: 'a 408 again and again',
      fault: metadata.status(408),
      attempts: Array.from({ length: 3 }, () => 'registry-api/http-408 again'),
    },
  ];
  for (const { name, fault, attempts, only } of failing) {
    for (const wanted of [tag, byDigest]) {
      const how = 'tag' in wanted ? 'by tag' : 'by digest';
      if (only !== undefined && only !== how) continue;
      it(`goes to the next registry after ${name}, ${how}`, async () => {
        const rig = await openHeartRig({ registries: [[fault], []] });
        const pull = rig.openPull();
        const fetched = await fetchManifest(pull.context, wanted);
        expect(fetched.digest).to.equal(smallImage.digest);
        expect(fetched.candidate).to.equal(rig.candidates[1]);
        expect(pull.attempts).to.deep.equal(attempts.map((attempt) => `A ${attempt}`));
        expect(pull.ill).to.deep.equal(attempts.some((attempt) => attempt.endsWith('ill')) ? ['A metadata'] : []);
        const [failover] = pull.sources.failovers;
        expect(failover).to.deep.include({
          phase: 'metadata',
          bytesKept: 0,
          reason: pull.sources.attempts.at(-1)?.reason,
        });
        await untilQuiet(rig.doubles);
      });
    }
  }

  it('needs no digest in a header to trust a digest', async () => {
    const rig = await openHeartRig({ registries: [[metadata.noDigestHeader()], []] });
    const pull = rig.openPull();
    expect((await fetchManifest(pull.context, tag)).digest).to.equal(smallImage.digest);
    expect((await fetchManifest(pull.context, byDigest)).digest).to.equal(smallImage.digest);
    expect(pull.attempts).to.deep.equal([]);
  });

  it('does not believe a wrong header against the digest that was asked for', async () => {
    const rig = await openHeartRig({ registries: [[metadata.wrongDigestHeader()], []] });
    const pull = rig.openPull();
    expect((await fetchManifest(pull.context, byDigest)).candidate).to.equal(rig.candidates[0]);
  });

  it('verifies sha512 as well', async () => {
    const image = seededImage({ digests: 'sha512' });
    const rig = await openHeartRig({ image, registries: [[metadata.wrongContent()], []] });
    const pull = rig.openPull();
    expect((await fetchManifest(pull.context, { digest: image.digest })).digest).to.equal(image.digest);
    expect(pull.attempts).to.deep.equal(['A content/digest-mismatch ill']);
    expect((await fetchManifest(pull.context, tag)).digest).to.equal(image.digest);
  });

  for (const times of [1, 2]) {
    it(`asks again ${times} times where that may help, and then needs nobody else`, async () => {
      const rig = await openHeartRig({ registries: [[metadata.status(408, { times })], []] });
      const pull = rig.openPull();
      await fetchManifest(pull.context, tag);
      expect(manifestRequests(rig, 'A')).to.equal(times + 1);
      expect(rig.double('B').connections).to.equal(0);
    });
  }

  it('asks the registry last that was asked again in vain', async () => {
    const rig = await openHeartRig({ registries: [[metadata.status(408)], []] });
    const pull = rig.openPull();
    await fetchManifest(pull.context, tag);
    await fetchManifest(pull.context, byDigest);
    expect(manifestRequests(rig, 'A')).to.equal(3);
    expect(pull.ill).to.deep.equal([]);
  });

  it('gives a registry no more than metadata.totalMs for all its tries', async () => {
    const rig = await openHeartRig({
      registries: [[metadata.delay({ ms: 400 }), metadata.status(408)], []],
      timeouts: { metadata: { requestMs: 600, totalMs: 700 } },
    });
    const pull = rig.openPull();
    const startedAtMs = monotonicMs();
    const fetched = await fetchManifest(pull.context, tag);
    expect(monotonicMs() - startedAtMs).to.be.within(690, 1_500);
    expect(fetched.candidate).to.equal(rig.candidates[1]);
    expect(pull.attempts).to.deep.equal(['A registry-api/http-408 again', 'A registry-api/metadata-late ill']);
    await untilQuiet(rig.doubles);
  });

  it('does not count the time in our own queue', async () => {
    const rig = await openHeartRig({
      registries: [{ faults: [layers.delay({ ms: 1_200 })], options: { maxConnections: 1 } }, []],
      timeouts: { metadata: { requestMs: 400, totalMs: 400 }, layers: { firstByteMs: 5_000 } },
      hedge: { metadataMs: 200, layersMs: Infinity, budget: 1 },
    });
    const [busy, pull] = [rig.openPull(), rig.openPull()];
    const blob = fetchBlob(busy.context, wantedBlob, memorySink());
    await until(() => rig.double('A').requests.length === 1, 'the only connection is held');
    await fetchManifest(pull.context, tag);
    await blob;
    expect(pull.attempts).to.deep.equal([]);
    expect(rig.double('B').connections).to.equal(0);
  });

  it('ends with every attempt once when everybody has failed', async () => {
    const rig = await openHeartRig({ registries: [[metadata.status(500)], [metadata.missing()], [metadata.html()]] });
    const pull = rig.openPull();
    const error = await failureOf(fetchManifest(pull.context, tag));
    if (!isPullExhaustedError(error)) throw error;
    expect(pull.attempts).to.deep.equal([
      'A registry-api/http-500 ill',
      'B not-replicated/http-404 next',
      'C content/malformed-json ill',
    ]);
    expect(error.attempts).to.deep.equal(pull.sources.attempts);
    expect(error.phase).to.equal('metadata');
  });

  it('asks only those that it may', async () => {
    const rig = await openHeartRig({ registries: [[], []] });
    const pull = rig.openPull();
    const fetched = await fetchManifest(pull.context, tag, (candidate) => candidate === rig.candidates[1]);
    expect(fetched.candidate).to.equal(rig.candidates[1]);
    expect(rig.double('A').connections).to.equal(0);
    expect(pull.sources.failovers).to.deep.equal([]);
  });

  it('waits for a registry that asks to be left alone when nobody else is left', async () => {
    const rig = await openHeartRig({
      registries: [[metadata.status(429, { retryAfter: 1, times: 1 })], [metadata.missing()]],
    });
    const pull = rig.openPull();
    const startedAtMs = monotonicMs();
    await fetchManifest(pull.context, tag);
    expect(monotonicMs() - startedAtMs).to.be.at.least(995);
    expect([manifestRequests(rig, 'A'), manifestRequests(rig, 'B')]).to.deep.equal([2, 1]);
    expect(pull.of('waiting').map(([phase]) => phase)).to.deep.equal(['metadata']);
    expect(pull.of('waited')).to.have.length(1);
  });

  it('does not wait longer than it may', async () => {
    const rig = await openHeartRig({ registries: [[metadata.status(429, { retryAfter: 9 })]], maxRetryAfterMs: 1_000 });
    const error = await failureOf(fetchManifest(rig.openPull().context, tag));
    if (!isPullExhaustedError(error)) throw error;
    expect(error.retryAfterMs).to.be.within(8_500, 9_000);
  });

  it('fails with a fault of this host where that is all it is, and blames nobody', async () => {
    const rig = await openHeartRig({ registries: [[], []] });
    const pull = rig.openPull();
    const [first] = rig.candidates;
    if (first === undefined) throw new Error('there is a first');
    Object.assign(first, {
      client: {
        ...first.client,
        getManifest: () =>
          Promise.reject(
            new ExchangeError('no descriptors left', {
              evidence: { kind: 'disk', errno: 'EMFILE' },
              phase: 'metadata',
            }),
          ),
      },
    });
    const error = await failureOf(fetchManifest(pull.context, tag));
    expect(isHostFaultError(error)).to.equal(true);
    expect(pull.ill).to.deep.equal([]);
    expect(rig.double('B').connections).to.equal(0);
  });

  const moments: readonly { readonly name: string; readonly faults: readonly Fault[] }[] = [
    { name: 'while nobody answers the connection', faults: [connection.blackhole()] },
    { name: 'before the headers', faults: [metadata.noHeaders()] },
    { name: 'in the middle of the body', faults: [metadata.stall({ afterBytes: 10 })] },
    { name: 'between two tries', faults: [metadata.status(408)] },
    { name: 'while a Retry-After is waited for', faults: [metadata.status(429, { retryAfter: 9 })] },
  ];
  for (const { name, faults } of moments) {
    it(`rethrows the reason of an abort ${name}, at once, and leaves nothing open`, async () => {
      const rig = await openHeartRig({
        registries: [faults],
        timeouts: { metadata: { requestMs: 20_000, totalMs: 20_000 } },
      });
      const pull = rig.openPull();
      const failure = failureOf(fetchManifest(pull.context, tag));
      const double = rig.double('A');
      await until(() => double.connections > 0, 'it is being asked');
      if (name.startsWith('between') || name.includes('Retry')) {
        await until(() => pull.attempts.length > 0, 'the first try has failed');
      } else if (!name.includes('connection')) {
        await until(() => double.requests.length > 0, 'the request has arrived');
      }
      const reason = Symbol('the caller has had enough');
      const abortedAtMs = monotonicMs();
      pull.abort(reason);
      expect(await failure).to.equal(reason);
      expect(monotonicMs() - abortedAtMs).to.be.below(400);
      expect(pull.ill).to.deep.equal([]);
      expect(getEventListeners(pull.context.signal, 'abort')).to.have.length(0);
      await untilQuiet(rig.doubles);
    });
  }

  it('asks no registry whether it speaks the API first', async () => {
    const rig = await openHeartRig({ registries: [[ping.status(500)]] });
    await fetchManifest(rig.openPull().context, tag);
    expect(rig.double('A').requests.map(({ kind }) => kind)).to.deep.equal(['manifest']);
  });
});
