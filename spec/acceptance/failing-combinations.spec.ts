import { join } from 'node:path';
import { expect } from 'chai';
import {
  type Attempt,
  type Cause,
  createPuller,
  explainFailure,
  isPullExhaustedError,
  ociLayout,
  type PullEvent,
  type ReasonCode,
  type RegistryPhase,
  type Timeouts,
  type Verdict,
} from '../../lib/index.js';
import { connection, type Fault, layers, metadata, pushImage, seededImage } from '../../lib/testing/index.js';
import { type DockerRegistry, requireDockerRegistry, startDockerRegistry } from '../support/docker-registry.js';
import { type FaultProxies, startFaultProxies } from './support/fault-proxies.js';
import { expectImage } from './support/layout-on-disk.js';
import { team } from './support/proxied-registry.js';
import { useWorkingDirectory } from './support/working-directory.js';

const limits = { requestMs: 800, totalMs: 1_600, firstByteMs: 800, stallMs: 800, retryAfterMs: 1_000 } as const;
const timeouts: Timeouts = {
  metadata: { requestMs: limits.requestMs, totalMs: limits.totalMs },
  layers: { firstByteMs: limits.firstByteMs, stallMs: limits.stallMs },
  lastCandidate: { firstByteMs: limits.firstByteMs, stallMs: limits.stallMs },
};

/** One way to fail, and what has to be said of it. */
interface Row {
  readonly title: string;
  readonly fault: Fault;
  /** The phases in which a registry with this fault serves nothing. */
  readonly breaks: readonly RegistryPhase[];
  readonly cause: Partial<Record<RegistryPhase, Cause>>;
  /** Several, where the same fault looks different when it is met anew at the byte that was reached. */
  readonly codes: readonly ReasonCode[];
  readonly verdict: Verdict;
  /** How long it may hold up one walk over the registries by the limits. */
  readonly walkMs: number;
}

const inMetadata = (
  title: string,
  fault: Fault,
  [cause, codes, verdict]: readonly [Cause, readonly ReasonCode[], Verdict],
  walkMs: number = 0,
): Row => ({ title, fault, breaks: ['metadata'], cause: { metadata: cause }, codes, verdict, walkMs });

const inLayers = (
  title: string,
  fault: Fault,
  [cause, codes, verdict]: readonly [Cause, readonly ReasonCode[], Verdict],
  walkMs: number = 0,
): Row => ({ title, fault, breaks: ['layers'], cause: { layers: cause }, codes, verdict, walkMs });

const inBoth = (
  title: string,
  fault: Fault,
  [codes, verdict]: readonly [readonly ReasonCode[], Verdict],
  walkMs: number,
): Row => ({
  title,
  fault,
  breaks: ['metadata', 'layers'],
  cause: { metadata: 'registry-api', layers: 'registry-storage' },
  codes,
  verdict,
  walkMs,
});

/** A third of the way into the blob, so that what is kept is nothing that one of them sent alone. */
const midway = { afterShare: 0.3 };

const rows: readonly Row[] = [
  inMetadata('answers no manifest', metadata.noHeaders(), ['registry-api', ['request-late'], 'ill'], limits.requestMs),
  inMetadata('answers 500 for manifests', metadata.status(500), ['registry-api', ['http-500'], 'ill']),
  inMetadata(
    'limits the rate of manifests',
    metadata.status(429, { retryAfter: limits.retryAfterMs / 1_000 }),
    ['rate-limit', ['http-429'], 'limited'],
    limits.retryAfterMs,
  ),
  inMetadata('does not have the manifest', metadata.missing(), ['not-replicated', ['http-404'], 'next']),
  inMetadata('answers with a portal', metadata.html(), ['content', ['malformed-json'], 'ill']),
  inMetadata('lies about the digest', metadata.wrongDigestHeader(), ['content', ['digest-mismatch'], 'ill']),

  inLayers('answers no blob', layers.noHeaders(), ['registry-storage', ['first-byte-late'], 'ill'], limits.firstByteMs),
  inLayers(
    'stops in every blob',
    layers.stall(midway),
    ['registry-storage', ['stalled', 'first-byte-late'], 'ill'],
    limits.stallMs,
  ),
  inLayers(
    'resets every blob',
    layers.reset(midway),
    // libuv tells a reset that comes together with the last bytes as an end.
    ['registry-storage', ['connection-reset', 'connection-closed'], 'ill'],
  ),
  inLayers('breaks every blob off', layers.truncate(midway), ['registry-storage', ['connection-closed'], 'ill']),
  inLayers('answers 503 for blobs', layers.status(503), ['registry-storage', ['http-503'], 'ill']),
  inLayers('has lost the blobs', layers.missing(), ['not-replicated', ['http-404'], 'next']),
  inLayers('sends wrong bytes', layers.wrongBytes({ atShare: 0.5 }), ['content', ['digest-mismatch'], 'ill']),
  inLayers('compresses blobs', layers.contentEncoding('gzip'), ['content', ['content-encoded'], 'ill']),

  inBoth('refuses connections', connection.refuse(), [['connection-refused'], 'ill'], 0),
  inBoth('resets connections', connection.reset(), [['connection-reset'], 'ill'], 0),
];

/** Walks over the registries for one blob: one that may bring bytes, then three in a row that bring none. */
const walksOfLayers = 4;
/** Between those walks, at most. */
const pausesOfLayersMs = 250 + 500 + 1_000;
/** A manifest is walked again only for a Retry-After, at most three times. */
const walksOfMetadata = 4;
/** What is no limit: requests that are answered, the disk, the start of the pull, other work of this machine. */
const ownMs = 3_000;
/** More at once, and this process would be what is measured. */
const atOnce = 12;

const image = seededImage({ layers: 2, bytes: 50_000, seed: 'combinations' });

interface Outcome {
  readonly elapsedMs: number;
  readonly error: unknown;
  readonly events: readonly PullEvent[];
  readonly directory: string;
}

describe('Two real registries that both fail', function () {
  this.timeout(180_000);
  requireDockerRegistry();
  const working = useWorkingDirectory();
  let registries: readonly DockerRegistry[] = [];
  /** One proxy for each fault, before the first registry and before the second. */
  let proxies: readonly FaultProxies[] = [];

  before(async () => {
    registries = await Promise.all([startDockerRegistry(), startDockerRegistry()]);
    await Promise.all(registries.map(({ url }) => pushImage(url, `${team}/app:1.0`, image)));
    const options = rows.map(({ fault }) => ({ faults: [fault] }));
    proxies = await Promise.all(registries.map(({ url }) => startFaultProxies(url, options)));
  });

  after(async () => {
    await Promise.all(proxies.map((each) => each?.close()));
    await Promise.all(registries.map((registry) => registry?.close()));
  });

  async function pull([first, second]: readonly [string, string], directory: string): Promise<Outcome> {
    const engine = ociLayout(directory);
    const puller = createPuller({
      engine,
      registries: [`${first}/${team}`, `${second}/${team}`],
      timeouts,
      transfer: { hedge: { metadataMs: Infinity, layersMs: Infinity } },
    });
    const events: PullEvent[] = [];
    puller.events.on('*', (event) => events.push(event));
    const startedAtMs = performance.now();
    const error = await puller.pullWithFailover(`${first}/${team}/app:1.0`).then(
      () => null,
      (thrown: unknown) => thrown,
    );
    const elapsedMs = performance.now() - startedAtMs;
    await puller.close();
    await engine.close();
    return { elapsedMs, error, events, directory };
  }

  it('end with every attempt within their limits, or serve what each of them still can', async () => {
    const pairs = rows.flatMap((_, first) => rows.map((_each, second) => ({ first, second })));
    const problems: string[] = [];
    const work = pairs.values();
    const worker = async (): Promise<void> => {
      for (const { first, second } of work) {
        const hosts = [proxies[0]?.hosts[first] ?? '', proxies[1]?.hosts[second] ?? ''] as const;
        const [a, b] = [rows[first], rows[second]];
        if (a === undefined || b === undefined) continue;
        const outcome = await pull(hosts, join(working.path, `${first}-${second}`));
        await expectOutcome(outcome, [a, b], hosts).catch((error: unknown) => {
          problems.push(`the first ${a.title}, the second ${b.title}: ${String(error)}`);
        });
      }
    };
    await Promise.all(Array.from({ length: atOnce }, worker));
    expect(problems, problems.join('\n')).to.deep.equal([]);
  });
});

async function expectOutcome(
  { elapsedMs, error, events, directory }: Outcome,
  pair: readonly [Row, Row],
  hosts: readonly [string, string],
): Promise<void> {
  const prefixes = hosts.map((host) => `${host}/${team}`);
  const phase = (['metadata', 'layers'] as const).find((each) => pair.every(({ breaks }) => breaks.includes(each)));
  const walkMs = pair[0].walkMs + pair[1].walkMs;
  expect(elapsedMs, 'milliseconds').to.be.at.most(
    walksOfMetadata * walkMs + walksOfLayers * walkMs + pausesOfLayersMs + ownMs,
  );
  if (phase === undefined) {
    if (error !== null) throw error;
    await expectImage(directory, `${hosts[0]}/${team}/app:1.0`, image);
    return;
  }
  if (!isPullExhaustedError(error)) throw new Error(`expected PullExhaustedError, got ${String(error)}`);
  expect(error.phase).to.equal(phase);
  expect(error.image).to.equal(`${hosts[0]}/${team}/app:1.0`);

  const { attempts } = error;
  const told = events.flatMap((event) => (event.type === 'registry:failed' ? [event] : []));
  const essence = (each: Omit<Attempt, 'atMs'>): unknown => [each.registry, each.phase, each.object, each.reason.code];
  expect(attempts.map(essence), 'as the events told them').to.deep.equal(told.map(essence));
  for (const [at, attempt] of attempts.entries()) {
    expect(attempt.atMs).to.be.at.least(attempts[at - 1]?.atMs ?? 0);
  }
  const inPhase = attempts.filter((attempt) => attempt.phase === phase);
  expect(inPhase[0]?.registry, 'the first is asked first').to.equal(prefixes[0]);
  for (const [at, row] of pair.entries()) {
    const own = inPhase.filter(({ registry }) => registry === prefixes[at]);
    expect(own, `attempts at ${prefixes[at]}`).to.not.deep.equal([]);
    for (const { reason, verdict, object } of own) {
      expect({ cause: reason.cause, verdict }, reason.message).to.deep.equal({
        cause: row.cause[phase],
        verdict: row.verdict,
      });
      expect(reason.code, reason.message).to.be.oneOf(row.codes);
      expect(reason.message).to.include(prefixes[at]);
      expect(object).to.match(phase === 'layers' ? /^sha256:/ : /^1\.0$|^sha256:/);
    }
  }
  expect(error.retryable).to.equal(attempts.some(({ verdict }) => verdict !== 'next'));

  const sentence = explainFailure(error);
  for (const prefix of prefixes) expect(sentence).to.include(prefix);
  expect(sentence).to.match(/^[^\n]+\.$/);
  const last = events.at(-1);
  if (last?.type !== 'pull:failed') throw new Error(`the last event is ${last?.type ?? 'missing'}`);
  expect(last.error.code).to.equal('ERR_PULL_EXHAUSTED');
  expect(last.attempts).to.deep.equal(attempts);
}
