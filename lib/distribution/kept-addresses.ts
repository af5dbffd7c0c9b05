import { createLog } from '../log/log.js';
import { withDeadline } from '../policy/deadline.js';
import { createKeptAnswers } from '../policy/kept-answers.js';
import type { Transport } from './transport.js';

const log = createLog('registry');

/** A resolver that answers at all mostly does within some milliseconds; each pull waits for it. */
const lookupLimitMs = 2_000;

/** As long as short-lived names are kept by resolvers: a registry that moves is found within a minute. */
const keptMs = 30_000;

/** One that just failed would only take its time again; it may be back soon. */
const failedMs = 5_000;

/** Names may come from tenants. */
const maxKept = 256;

/** The addresses of registries, for whoever has to know them before anything is asked there. */
export interface KeptAddresses {
  /**
   * The addresses of a URL's host, asked for once in 30 s; none where it has none, where they are not told within 2 s, or
   * where a proxy looks it up. Rejects with the signal's own reason alone.
   */
  of(url: URL, signal: AbortSignal): Promise<readonly string[]>;
}

/** Remembers where names led. Runs no timer between questions. */
export function createKeptAddresses(transport: Pick<Transport, 'addressesOf'>): KeptAddresses {
  const kept = createKeptAnswers<readonly string[] | null>({
    keptMs: (addresses) => (addresses === null ? failedMs : keptMs),
    maxKept,
  });

  async function ask(url: URL, signal: AbortSignal): Promise<readonly string[] | null> {
    const expired = (): Error => new Error(`it did not resolve within ${lookupLimitMs} ms`);
    try {
      return await withDeadline({ ms: lookupLimitMs, signal, expired }, (limited) =>
        transport.addressesOf(url, limited),
      );
    } catch (error) {
      signal.throwIfAborted();
      const why = error instanceof Error ? error.message : String(error);
      log(null, 'it is not known where a name leads', { host: url.hostname, why });
      return null;
    }
  }

  return {
    of: async (url, signal) => (await kept.of(url.origin, (asking) => ask(url, asking), signal)) ?? [],
  };
}
