import net from 'node:net';
import { monotonicMs } from '../clock/time.js';
import { withoutBrackets } from '../image/registry-host.js';
import type { Evidence } from '../vocabulary/evidence.js';
import { defaultPort } from './proxies.js';
import { createReachWitness, type ReachWitness } from './reach-witness.js';

type Unresolved = Extract<Evidence, { kind: 'dns' }>;
type Unconnected = Extract<Evidence, { kind: 'connection' }>;

/** What has come of the tries to reach hosts without a proxy, over all pulls of one transport. */
export interface Reach {
  /** Look-ups of names. */
  readonly names: ReachWitness;
  /** A try to reach the host of this URL begins. */
  begin(url: URL): ReachTry;
}

/** One try to reach a host. */
export interface ReachTry {
  /** Somebody is there, if only to refuse. */
  reached(): void;
  /**
   * No connection came about, nor a refusal.
   *
   * @param lateMs of the try in which this process was not there
   */
  unreached(code: 'timed-out' | 'unreachable', lateMs: number): Unconnected;
  /** Its name has no address, or the resolver gave no answer at all. */
  unresolved(code: 'not-found' | 'failed'): Unresolved;
}

export function createReach(): Reach {
  const names = createReachWitness();
  const hosts = createReachWitness();

  return {
    names,
    begin: (url) => {
      const sinceMs = monotonicMs();
      const name = withoutBrackets(url.hostname);
      // Two names are two hosts; of an address nobody knows how many hosts are behind it.
      const host = net.isIP(name) === 0 ? name : `${url.hostname}:${url.port === '' ? defaultPort(url) : url.port}`;
      const failedScope = (): Unresolved['scope'] => {
        names.unreached(name, sinceMs);
        hosts.unreached(host, sinceMs);
        const scope = names.scopeOf(name);
        if (scope === 'unproven') return hosts.scopeOf(host) === 'all' ? 'all' : 'unproven';
        return scope === 'one' ? 'name' : scope;
      };
      // A resolver has answered; where it has no answer but this one to any name, it is one that knows nothing at all.
      const notFoundScope = (): Unresolved['scope'] =>
        names.scopeOf(name) === 'all' && !names.reachesAnything ? 'all' : 'name';
      return {
        reached: () => hosts.reached(host),
        unreached: (code, lateMs) => {
          hosts.unreached(host, sinceMs);
          const scope = hosts.scopeOf(host);
          const seen = { kind: 'connection', code, reused: false, bytes: 0, lateMs } as const;
          return scope === 'one' ? seen : { ...seen, scope };
        },
        unresolved: (code) => ({ kind: 'dns', code, scope: code === 'failed' ? failedScope() : notFoundScope() }),
      };
    },
  };
}
