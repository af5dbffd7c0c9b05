import { monotonicMs } from '../../clock/time.js';
import type { DaemonCredentials, DaemonPull, DockerDaemon } from '../../engine/docker/docker-daemon.js';
import { dockerParts, type DockerEngine } from '../../engine/docker/docker-engine.js';
import type { EngineProgress } from '../../engine/docker/progress-stream.js';
import type { EngineTraits } from '../../engine/docker/engine-traits.js';
import type { Candidate } from '../../failover/candidate.js';
import { judge } from '../../health/verdict.js';
import { parseDigest } from '../../image/digest.js';
import { formatPlatform } from '../../image/platform.js';
import { createLog } from '../../log/log.js';
import { sleep, withDeadline } from '../../policy/deadline.js';
import { CredentialsUnavailableError } from '../../registries/credentials-unavailable.js';
import type { PlaceWithCredentials } from '../../registries/override-credentials.js';
import type { Reason } from '../../vocabulary/reason.js';
import { attemptDirectPull, type DirectOutcome } from './direct-attempt.js';
import type { DirectBlame, DirectFinding, ToldFailure } from './direct-blame.js';
import type { DirectBooks } from './direct-books.js';
import { daemonCredentials } from './direct-credentials.js';
import { forgetNames, listNames, nameAsOwn, type PulledName } from './direct-names.js';
import type { DirectPhases, DirectStep } from './direct-phases.js';
import type { DirectDelivered, DirectRequest } from './direct-request.js';
import { extractLate } from '../extract-late.js';
import { canonicalTagOf, textOfTag } from '../image-names.js';
import { createKeyedMutex } from '../keyed-mutex.js';
import { takeLateNameAway } from '../late-names.js';
import { isListed } from '../relay/relay-address.js';

const log = createLog('pull');

/** How long an engine may take to forget a name of a pull that was ended; it has nothing else to do with it. */
const forgetMs = 5_000;

/** When a name is looked for again that an engine gave after its pull was ended: another client may want it later. */
const lateNamesMs: readonly number[] = [250, 1_000, 3_000];

/** At this rate an engine is expected to fetch and unpack that says nothing of bytes: in doubt it is asked again. */
const muteBytesPerSecond: number = 1024 * 1024;

/** Two pulls of one name at one registry would take that name away from each other. */
const pulledNames = createKeyedMutex();

/** One registry, and all that is known of the pull that asks it. */
export interface AskedPlace {
  readonly place: PlaceWithCredentials;
  readonly candidate: Candidate;
  readonly pulled: PulledName;
  readonly traits: EngineTraits;
  readonly books: DirectBooks;
  readonly blame: DirectBlame;
}

/** Told as they are reached, every time. */
export interface PlaceMilestones {
  readonly onManifest: () => void;
  readonly onLayers: () => void;
}

/** What a registry brought. */
export type Brought =
  | { readonly kind: 'delivered'; readonly delivered: DirectDelivered }
  /** Nothing; the engine may have been unpacking as it was ended. */
  | { readonly kind: 'next'; readonly mayHaveUnpacked: boolean }
  | Useless;

/** Nothing, and the next one would hardly do better: it is the engine. */
export interface Useless {
  readonly kind: 'useless';
  readonly reason: Reason;
  /** It may have been the registry, after all. */
  readonly mayBeRegistry: boolean;
}

/** One registry that an engine is to pull one image from. */
export class DirectPlace {
  readonly candidate: Candidate;
  readonly #engine: DockerEngine;
  readonly #daemon: DockerDaemon;
  readonly #request: DirectRequest;
  readonly #asked: AskedPlace;
  readonly #milestones: PlaceMilestones;

  constructor(engine: DockerEngine, request: DirectRequest, asked: AskedPlace, milestones: PlaceMilestones) {
    this.#engine = engine;
    this.#daemon = dockerParts(engine).daemon;
    this.#request = request;
    this.#asked = asked;
    this.#milestones = milestones;
    this.candidate = asked.candidate;
  }

  /**
   * Has the engine pull from this registry; a second time where that may help at once.
   *
   * @param isLast no other registry could do better: it gets more time
   * @throws EngineFailure when it is not the registry; HostFaultError; the signal's own reason
   */
  async pull(isLast: boolean): Promise<Brought> {
    const { traits, pulled } = this.#asked;
    const { comeback, context } = this.#request;
    const { signal } = context;
    const release = await pulledNames.acquire(this.#key, signal);
    try {
      // Once: a name that a try has left behind while the daemon went away is no name of before.
      const names = { daemon: this.#daemon, store: traits.store, repository: pulled.name, signal };
      const before = await comeback.evenIfAway(signal, () => listNames(names));
      for (let mayRepeat = true; ; mayRepeat = false) {
        const brought = await comeback.evenIfAway(signal, () => this.#try(before, isLast, mayRepeat));
        if (brought !== 'again') return brought;
      }
    } finally {
      release();
    }
  }

  /** An operator does not want it to be asked: it would have to serve both phases. */
  get isBarred(): boolean {
    const { sources } = this.#request.context;
    return sources.steering.isBarred(this.candidate, 'metadata') || sources.steering.isBarred(this.candidate, 'layers');
  }

  async #try(before: ReadonlySet<string>, isLast: boolean, mayRepeat: boolean): Promise<Brought | 'again'> {
    const { context, limits } = this.#request;
    const { pulled, traits, blame } = this.#asked;
    const { signal } = context;
    const startedAtMs = monotonicMs();
    const credentials = await this.#credentials(startedAtMs);
    if (credentials === 'unavailable') return { kind: 'next', mayHaveUnpacked: false };
    let outcome: DirectOutcome;
    try {
      outcome = await attemptDirectPull({
        daemon: this.#daemon,
        store: traits.store,
        pull: this.#daemonPull(credentials),
        limits,
        muteMs: this.#muteMs(),
        isLast,
        signal,
        whenUnwanted: (listener) =>
          context.sources.steering.onSteered(() => {
            if (this.isBarred) listener();
          }),
        onLine: this.#follow(),
      });
      if (outcome.kind === 'pulled') return { kind: 'delivered', delivered: await this.#named(outcome.phases, before) };
    } catch (error) {
      await this.#forget(before);
      throw error;
    }
    await this.#forget(before);
    if (outcome.kind === 'unwanted') return { kind: 'next', mayHaveUnpacked: false };
    const of = {
      registry: this.candidate.registry,
      object: pulled.object,
      givesManifests: context.sources.isGood(this.candidate, 'metadata'),
    };
    if (outcome.kind === 'failed') {
      const finding = blame.failed(outcome, of, mayRepeat, isLast);
      if (finding.kind === 'stop') throw outcome.failure;
      return this.#follows(finding, startedAtMs, outcome.phases);
    }
    if (outcome.late.meaning === 'local') throw extractLate(context.image, limits.extractMs);
    return this.#follows(blame.late(outcome, of), startedAtMs, outcome.phases);
  }

  async #follows(
    finding: Exclude<DirectFinding, { kind: 'stop' }>,
    startedAtMs: number,
    { bytes }: DirectPhases,
  ): Promise<Brought | 'again'> {
    if (finding.told !== null) this.#writeDown(finding.told, startedAtMs, bytes);
    switch (finding.kind) {
      case 'again':
        await sleep(finding.afterMs, this.#request.context.signal);
        return 'again';
      case 'next':
        await sleep(finding.afterMs, this.#request.context.signal);
        return { kind: 'next', mayHaveUnpacked: finding.mayHaveUnpacked };
      case 'useless': {
        const message = `engine ${this.#engine.id} cannot pull ${this.#request.context.image}: ${finding.why}`;
        return {
          kind: 'useless',
          reason: { cause: 'engine', code: finding.code, message },
          mayBeRegistry: finding.told !== null,
        };
      }
    }
  }

  #writeDown(told: ToldFailure, startedAtMs: number, bytes: number): void {
    this.#asked.books.failed(this.candidate, { ...told, startedAtMs, bytes });
  }

  /** Made for this very host: Docker's classic store would show them to any other. */
  async #credentials(startedAtMs: number): Promise<DaemonCredentials | null | 'unavailable'> {
    const { place, pulled, traits } = this.#asked;
    try {
      const credentials = await place.credentials.get({ signal: this.#request.context.signal });
      const passed = credentials === null ? null : daemonCredentials(credentials, place.registry.host, traits.store);
      if (credentials === null || passed !== null) return passed;
    } catch (error) {
      if (!(error instanceof CredentialsUnavailableError)) throw error;
    }
    const evidence = { kind: 'auth', code: 'credentials-unavailable' } as const;
    const of = { registry: this.candidate.registry, object: pulled.object };
    const judgement = judge({ evidence, phase: 'metadata' }, of);
    this.#writeDown({ phase: 'metadata', judgement, isUnproven: false }, startedAtMs, 0);
    return 'unavailable';
  }

  #daemonPull(credentials: DaemonCredentials | null): DaemonPull {
    const { place, pulled, traits } = this.#asked;
    const { host, baseUrl } = place.registry;
    return {
      ...pulled,
      platform: formatPlatform(this.#request.platform),
      credentials,
      // Where Podman is configured to, it takes plain HTTP by itself, and then tells more of what it does.
      plainHttp: baseUrl.startsWith('http:') && !isListed(host, traits),
    };
  }

  #muteMs(): number {
    const { tree, limits } = this.#request;
    if (tree === null) return limits.extractMs;
    const sizeBytes = tree.layers.reduce((sum, { size }) => sum + size, 0);
    return limits.patientStallMs + (sizeBytes / muteBytesPerSecond) * 1_000;
  }

  #follow(): (line: EngineProgress, step: DirectStep, phases: DirectPhases) => void {
    const { books } = this.#asked;
    let hasManifest = false;
    return ({ id }, step, phases) => {
      const { phase } = phases;
      if (phase === 'metadata') return;
      if (!hasManifest) {
        hasManifest = true;
        books.gaveManifest(this.candidate);
        this.#milestones.onManifest();
      }
      books.stepped(this.candidate, id, step, id !== null && phases.hasFetched(id));
      if (phase === 'extract') this.#milestones.onLayers();
    };
  }

  async #named(phases: DirectPhases, before: ReadonlySet<string>): Promise<DirectDelivered> {
    const { reference, digest, context } = this.#request;
    const { pulled, traits, books, blame } = this.#asked;
    const to = canonicalTagOf(reference);
    const { id } = await nameAsOwn({
      daemon: this.#daemon,
      store: traits.store,
      engineId: this.#engine.id,
      pulled,
      canonicalName: reference.name,
      to,
      before,
      signal: context.signal,
    });
    books.pulled(this.candidate, phases.fetched);
    for (const { registry, phase, reason } of blame.convicted(this.candidate.registry, phases.fetched > 0)) {
      books.convicted(registry, phase, reason);
    }
    return {
      imageId: id,
      reference: textOfTag(to),
      route: 'direct',
      digest: digest ?? parseDigest(phases.digest ?? ''),
      resolvedBy: digest === null ? this.candidate.registry : null,
    };
  }

  /**
   * A pull that was ended may have brought the image in its last moment. The caller's abort does not wait for that. Under
   * the image's own name it stays: another client may have pulled it meanwhile, and it is what was asked for.
   */
  async #forget(before: ReadonlySet<string>): Promise<void> {
    const { pulled, traits } = this.#asked;
    const { reference, context } = this.#request;
    if (pulled.name === reference.name) return;
    const { pullId, signal } = context;
    const expired = (): Error => new Error(`the engine did not answer within ${forgetMs} ms`);
    const forget = (): Promise<void> =>
      withDeadline({ ms: forgetMs, expired }, (limited) =>
        forgetNames({ daemon: this.#daemon, store: traits.store, pulled, before, signal: limited }),
      ).catch((error: unknown) => {
        log(pullId, 'a name may have been left in the engine', { name: pulled.name, why: String(error) });
      });
    const forgotten = forget();
    if (!signal.aborted) return forgotten;
    takeLateNameAway({ names: pulledNames, key: this.#key, afterMs: lateNamesMs, takeAway: forget });
  }

  get #key(): string {
    const { traits, pulled } = this.#asked;
    return `${traits.daemonId} ${pulled.name} ${pulled.object}`;
  }
}
