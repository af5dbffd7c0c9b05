import { sleep } from '../policy/deadline.js';
import type { PacedRequest } from './api-pace.js';
import type { Authorization } from './authorize.js';
import type { TryOutcome } from './authorized-exchange.js';
import type { BlobInquiry } from './blob-inquiries.js';
import type { BlobPlace, FoundAt } from './blob-places.js';
import type { FirstByteLimit } from './first-byte-limit.js';
import type { FollowedAnswer, FollowedRequest } from './follow.js';
import { attemptBlob, type BlobAnswer, type WantedBlob } from './open-blob.js';
import type { RegistryState } from './registry-state.js';
import { targetLifeMs } from './target-life.js';
import { ExchangeError } from './wire-error.js';

/** A blob that came from the API itself comes from there again, unless the registry is set up anew. */
const servedLifeMs = 5 * 60_000;

/** How a storage or the place of a redirect says that a URL is no good any more; Google's storage answers 400. */
const refusals: readonly number[] = [400, 401, 403, 404, 410];

/** How a registry is asked for its own blobs. */
export interface WaysToBlob {
  /** Sends the request, from where it was led to before if that is known. */
  readonly send: (
    headers: Readonly<Record<string, string>>,
    authorization: Authorization | null,
    via: Pick<FollowedRequest, 'from' | 'onRedirect'>,
  ) => Promise<FollowedAnswer>;
  /** Authorizes as the registry wants it. */
  readonly exchange: (
    shortcut: (identity: string) => Promise<BlobAnswer | null>,
    attempt: (authorization: Authorization | null, identity: string) => Promise<TryOutcome<BlobAnswer>>,
  ) => Promise<BlobAnswer>;
}

/** A blob of one repository. */
export interface OwnBlob extends WantedBlob {
  readonly repository: string;
  /** The caller's. */
  readonly signal: AbortSignal;
}

/**
 * Opens a blob at its registry with as few requests to its API as can be. Where the API redirected to is kept, per
 * credentials, until that expires or is refused, and asked again straight away; who wants it while somebody is asking
 * waits for that answer; and the API is asked no faster than a strict one allows. A registry that serves its blobs
 * itself is asked each time and at once.
 */
export async function openOwnBlob(
  state: RegistryState,
  blob: OwnBlob,
  limit: FirstByteLimit,
  ways: WaysToBlob,
): Promise<BlobAnswer> {
  const opening = new OwnBlobOpening(state, blob, limit, ways);
  try {
    return await ways.exchange(
      (identity) => opening.shortcut(identity),
      (authorization, identity) => opening.attempt(authorization, identity),
    );
  } catch (error) {
    opening.failed(error);
    throw error;
  } finally {
    opening.over();
  }
}

class OwnBlobOpening {
  readonly #state: RegistryState;
  readonly #blob: OwnBlob;
  readonly #limit: FirstByteLimit;
  readonly #ways: WaysToBlob;
  /** This one asks the API for all others. */
  #inquiry: BlobInquiry | null = null;
  /** What was kept has been refused: a fresh one that is refused as well is a failure. */
  #wasRefused = false;

  constructor(state: RegistryState, blob: OwnBlob, limit: FirstByteLimit, ways: WaysToBlob) {
    this.#state = state;
    this.#blob = blob;
    this.#limit = limit;
    this.#ways = ways;
  }

  /** Asks where the registry is known to have redirected to; null when the API has to be asked. */
  async shortcut(identity: string): Promise<BlobAnswer | null> {
    const { inquiries, pace } = this.#state;
    const key = this.#key(identity);
    const place = this.#state.places.of(key);
    for (;;) {
      const found = place.found();
      if (found?.kind === 'served') return null;
      if (found !== null) {
        // Without a token: what is elsewhere needs none. On the registry's own origin it goes along.
        if (!found.to.left) return null;
        const answer = await this.#ask(place, found, null);
        if (answer !== null) return answer;
        continue;
      }
      if (!pace.redirects) return null;
      this.#inquiry = inquiries.begin(key);
      if (this.#inquiry !== null) return null;
      await this.#waitForOther(key);
    }
  }

  /** Asks the API, unless it is known by now where it would redirect to. */
  async attempt(authorization: Authorization | null, identity: string): Promise<TryOutcome<BlobAnswer>> {
    const place = this.#state.places.of(this.#key(identity));
    for (;;) {
      const found = place.found();
      if (found?.kind === 'redirected') {
        this.over();
        const answer = await this.#ask(place, found, authorization);
        if (answer !== null) return { done: answer };
      } else {
        const request = await this.#waitForTurn(place, found);
        if (request !== null) return this.#askApi(place, request, authorization);
      }
    }
  }

  /** The API's own failures are everybody's; whatever concerns this caller, or one connection, is not. */
  failed(error: unknown): void {
    if (!this.#limit.signal.aborted && isEverybodys(error)) this.#inquiry?.fail(error);
  }

  over(): void {
    this.#inquiry?.end();
  }

  #key(identity: string): string {
    return JSON.stringify([identity, this.#blob.repository, this.#blob.digest]);
  }

  /** Null when it is refused there: it has expired, or moved. */
  async #ask(
    place: BlobPlace,
    found: Extract<FoundAt, { kind: 'redirected' }>,
    authorization: Authorization | null,
  ): Promise<BlobAnswer | null> {
    const { blobSlots } = this.#state;
    const forget = (): void => place.forget(found);
    try {
      const outcome = await attemptBlob(
        this.#blob,
        blobSlots,
        this.#limit,
        authorization,
        (headers) => this.#ways.send(headers, authorization, { from: found.to }),
        forget,
      );
      if ('done' in outcome) return outcome.done;
      forget();
    } catch (error) {
      if (!this.#isFailure(error)) throw error;
      forget();
      if (this.#wasRefused || !isRefusal(error)) throw error;
    }
    this.#wasRefused = true;
    return null;
  }

  /** Somebody asks the API for this blob. While it has not answered, the time is the registry's. */
  async #waitForOther(key: string): Promise<void> {
    const { onConnection } = this.#blob;
    try {
      await this.#state.inquiries.wait(key, this.#limit.signal, (isAsking) => {
        if (isAsking) this.#limit.hold();
        else this.#limit.letGo();
        onConnection?.(isAsking);
      });
    } finally {
      this.#limit.letGo();
    }
  }

  /** Null when something may be known now that was not before. */
  async #waitForTurn(place: BlobPlace, found: FoundAt | null): Promise<PacedRequest | null> {
    const { pace } = this.#state;
    if (found !== null) {
      // Each of its ranges brings its bytes from there: that takes its time.
      return pace.count();
    }
    const { signal } = this.#limit;
    const onWaiting = (): void => this.#blob.onConnection?.(false);
    const waitMs = pace.redirects ? place.untilAskedMs() : 0;
    if (waitMs > 0) {
      onWaiting();
      await sleep(Math.ceil(waitMs), signal);
      return null;
    }
    const request = await pace.turn(signal, onWaiting);
    if (place.found()?.kind === 'redirected') return null;
    place.asked();
    return request;
  }

  /** Whether the exchange itself has failed, and not its caller left. */
  #isFailure(error: unknown): error is ExchangeError {
    return error instanceof ExchangeError && !this.#blob.signal.aborted;
  }

  async #askApi(
    place: BlobPlace,
    request: PacedRequest,
    authorization: Authorization | null,
  ): Promise<TryOutcome<BlobAnswer>> {
    const { blobSlots, pace } = this.#state;
    let led: FoundAt | null = null;
    const forget = (): void => place.forget(led);
    const onRedirect: FollowedRequest['onRedirect'] = (to, headers) => {
      request.answered();
      led = { kind: 'redirected', to };
      place.keep(led, targetLifeMs(to.url, headers));
      pace.learn('redirected');
      this.over();
    };
    try {
      return await attemptBlob(
        this.#blob,
        blobSlots,
        this.#limit,
        authorization,
        async (headers) => {
          this.#inquiry?.asking(true);
          const answer = await this.#ways.send(headers, authorization, { onRedirect });
          if (led === null && answer.status !== 429) request.answered();
          if (led === null && (answer.status === 200 || answer.status === 206)) {
            place.keep({ kind: 'served' }, servedLifeMs);
            pace.learn('served');
            this.over();
          }
          return answer;
        },
        forget,
      );
    } catch (error) {
      if (this.#isFailure(error)) {
        forget();
        pace.failed(error);
      }
      throw error;
    } finally {
      this.#inquiry?.asking(false);
    }
  }
}

function isRefusal({ evidence }: ExchangeError): boolean {
  return evidence.kind === 'status' && refusals.includes(evidence.status);
}

/** Whether whoever asks in this moment would fail in the same way. */
function isEverybodys(error: unknown): boolean {
  if (!(error instanceof ExchangeError)) return false;
  const { evidence } = error;
  switch (evidence.kind) {
    case 'status':
      // Credentials are read again, and their rejection is told, by each for himself.
      return evidence.status !== 401 && evidence.status !== 403;
    case 'connection':
      // The next one is a new one.
      return !evidence.reused;
    case 'dns':
    case 'tls':
    case 'proxy':
    case 'redirect':
      return true;
    default:
      return false;
  }
}
