import type { DockerDaemon } from '../../engine/docker/docker-daemon.js';
import { dockerParts, type DockerEngine } from '../../engine/docker/docker-engine.js';
import { EngineFailure, hostErrorOf } from '../../engine/docker/engine-failure.js';
import type { EngineTraits } from '../../engine/docker/engine-traits.js';
import { HostFaultError } from '../../errors/host-fault-error.js';
import { isPullExhaustedError } from '../../errors/pull-exhausted-error.js';
import type { Candidate } from '../../failover/candidate.js';
import { exhausted, waitForLimited } from '../../failover/limited.js';
import { DirectBlame } from './direct-blame.js';
import { DirectBooks } from './direct-books.js';
import { type Brought, DirectPlace, type Useless } from './direct-place.js';
import type { DirectDelivered, DirectRequest } from './direct-request.js';
import { startLoadRoute } from '../load/load.js';
import type { Delivery } from '../route.js';
import { createMilestone } from './milestone.js';

/** One image on its way into an engine that pulls it by itself. */
export class DirectPull {
  readonly #engine: DockerEngine;
  readonly #daemon: DockerDaemon;
  readonly #request: DirectRequest;
  readonly #begun = createMilestone();
  readonly #layers = createMilestone();
  #work: Promise<DirectDelivered> | null = null;

  constructor(engine: DockerEngine, request: DirectRequest) {
    this.#engine = engine;
    this.#daemon = dockerParts(engine).daemon;
    this.#request = request;
  }

  async hasBegun(): Promise<void> {
    await Promise.race([this.#begun.reached, this.done()]);
  }

  async hasLayers(): Promise<void> {
    await Promise.race([this.#layers.reached, this.done()]);
  }

  done(): Promise<DirectDelivered> {
    this.#work ??= this.#run();
    return this.#work;
  }

  async #run(): Promise<DirectDelivered> {
    const { context } = this.#request;
    try {
      return await this.#pull();
    } catch (error) {
      if (context.signal.aborted) throw context.signal.reason;
      if (error instanceof EngineFailure) throw hostErrorOf(error, this.#engine.id, context.image);
      throw error;
    }
  }

  async #pull(): Promise<DirectDelivered> {
    const { context, comeback } = this.#request;
    const { signal } = context;
    const traits = await comeback.evenIfAway(signal, () => this.#daemon.traits({ signal }));
    const books = new DirectBooks(this.#request, this.#object);
    const blame = new DirectBlame(traits.store, this.#request.escape !== null);
    let left = this.#places(traits, books, blame);
    for (let waited = 0; ; waited += 1) {
      const ready = left.filter((place) => !place.isBarred && !this.#isLimited(place.candidate));
      /** Were ended though the engine may have been unpacking: asked again, with time for that, when no other could. */
      const patient: DirectPlace[] = [];
      for (const place of ready) {
        // An operator may have acted meanwhile.
        if (place.isBarred) continue;
        const isLast = place === ready.at(-1) && patient.length === 0;
        const brought = await this.#from(place, isLast, blame);
        if (brought.kind === 'delivered') return brought.delivered;
        if (brought.mayHaveUnpacked && !isLast) patient.push(place);
      }
      for (const place of patient.filter(({ isBarred }) => !isBarred)) {
        const brought = await this.#from(place, true, blame);
        if (brought.kind === 'delivered') return brought.delivered;
      }
      left = left.filter(({ candidate }) => this.#isLimited(candidate));
      const candidates = left.map(({ candidate }) => candidate);
      if (!(await waitForLimited(context, 'metadata', candidates, waited))) throw exhausted(context, books.lastPhase);
    }
  }

  /** From one registry; as an archive, where the engine turns out unable to pull. */
  async #from(place: DirectPlace, isLast: boolean, blame: DirectBlame): Promise<Exclude<Brought, Useless>> {
    const brought = await place.pull(isLast);
    if (brought.kind !== 'useless') return brought;
    const delivered = await this.#escape(brought, blame);
    return delivered === null ? { kind: 'next', mayHaveUnpacked: false } : { kind: 'delivered', delivered };
  }

  get #object(): string {
    const { digest, reference } = this.#request;
    return digest ?? reference.tag ?? 'latest';
  }

  /** In the host's order; who is to be asked last in either phase comes last, for one registry has to serve both. */
  #places(traits: EngineTraits, books: DirectBooks, blame: DirectBlame): readonly DirectPlace[] {
    const { context, places, digest } = this.#request;
    const { sources } = context;
    const all = places.flatMap((place) => {
      const candidate = sources.candidates.find(({ registry }) => registry === place.registry.prefix);
      if (candidate === undefined || (digest === null && !candidate.resolves)) return [];
      const pulled = { name: `${place.registry.host}/${place.repository}`, object: this.#object };
      return new DirectPlace(
        this.#engine,
        this.#request,
        { place, candidate, pulled, traits, books, blame },
        {
          onManifest: () => this.#begun.reach(),
          onLayers: () => this.#layers.reach(),
        },
      );
    });
    const orders = [sources.order('metadata'), sources.order('layers')];
    const isSentBack = ({ candidate }: DirectPlace, index: number): boolean =>
      orders.some((order) =>
        all.slice(index + 1).some((later) => order.indexOf(later.candidate) < order.indexOf(candidate)),
      );
    const sentBack = new Set(all.filter(isSentBack));
    return [...all.filter((place) => !sentBack.has(place)), ...sentBack];
  }

  #isLimited(candidate: Candidate): boolean {
    const { sources } = this.#request.context;
    const untilMs = sources.limitedUntilMs(candidate, 'layers');
    // Who wants to be left alone with layers is of no use for manifests either.
    if (untilMs !== null) sources.limit(candidate, 'metadata', untilMs);
    return sources.limitedUntilMs(candidate, 'metadata') !== null;
  }

  /**
   * The image goes there as an archive. Null when none can be made, and the next registry may still help.
   *
   * @throws HostFaultError when nothing helps
   */
  async #escape({ reason, mayBeRegistry }: Useless, blame: DirectBlame): Promise<DirectDelivered | null> {
    const { onRouteChanged } = this.#request;
    const delivery = await this.#delivery();
    if (delivery === null) {
      blame.canEscape = false;
      if (mayBeRegistry) return null;
      const message = `${reason.message}; end the other pulls of the daemon, or restart it`;
      throw new HostFaultError({ ...reason, message });
    }
    onRouteChanged({ from: 'direct', to: 'load', reason });
    this.#begun.reach();
    const run = startLoadRoute(this.#engine, delivery);
    await run.layers();
    this.#layers.reach();
    const delivered = await run.extract();
    return { ...delivered, digest: delivery.tree.root.digest, resolvedBy: null };
  }

  /** What an archive is made of; null where this process reaches no registry. */
  async #delivery(): Promise<Delivery | null> {
    const { escape } = this.#request;
    if (escape === null) return null;
    try {
      return await escape();
    } catch (error) {
      if (isPullExhaustedError(error)) return null;
      throw error;
    }
  }
}
