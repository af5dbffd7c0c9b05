import { createLog } from '../log/log.js';
import { withDeadline } from '../policy/deadline.js';
import { spokenTo, type Registry } from '../registries/registry.js';
import { toAnyPeer } from '../registries/tls-options.js';
import { anyAddress } from './address-guard.js';
import {
  createRegistryClient,
  type ExchangeContext,
  type RegistryClient,
  type RegistryClientOptions,
} from './client.js';
import { discardBody } from './discard-body.js';
import type { FoundScheme, SchemeMemory } from './scheme-memory.js';
import { ownIdentity } from './tls-identity.js';
import type { Transport } from './transport.js';
import { userAgent } from './user-agent.js';
import { ExchangeError } from './wire-error.js';

const log = createLog('registry');

/**
 * Speaks with a registry that an engine takes as insecure, as that engine would: over TLS, whoever answers, and without
 * TLS where it speaks none. Which of the two is found out before the first exchange, within its `requestMs`.
 *
 * @see https://github.com/moby/moby/blob/v28.5.1/registry/service_v2.go
 */
export function createInsecureClient(
  registry: Registry,
  transport: Transport,
  schemes: SchemeMemory,
  options: RegistryClientOptions = {},
): RegistryClient {
  const overTls = spokenTo(registry, 'https', toAnyPeer(registry.tls));
  const plain = spokenTo(registry, 'http', {});
  const secure = createRegistryClient(overTls, transport, options);
  const clients = { https: secure, http: createRegistryClient(plain, transport, options) };

  let lastFound: NonNullable<FoundScheme> = 'https';

  async function findScheme(pullId: string, requestMs: number, signal: AbortSignal): Promise<FoundScheme> {
    for (const [scheme, way] of [['https', overTls] as const, ['http', plain] as const]) {
      if (!(await answers(transport, way, requestMs / 2, signal))) continue;
      log(pullId, `${registry.prefix} is insecure to the engine`, { scheme });
      return scheme;
    }
    return null;
  }

  async function exchange<T>(context: ExchangeContext, work: (client: RegistryClient) => Promise<T>): Promise<T> {
    const { pullId, requestMs } = context;
    const find = (signal: AbortSignal): Promise<FoundScheme> => findScheme(pullId, requestMs, signal);
    // Where nothing answers, the failure of the safer way is the one to be told.
    const scheme = (await schemes.of(registry.host, find, context.signal)) ?? 'https';
    lastFound = scheme;
    try {
      return await work(clients[scheme]);
    } catch (error) {
      if (isOfScheme(error)) schemes.forget(registry.host);
      throw error;
    }
  }

  return {
    registry,
    credentialIdentity: (signal) => secure.credentialIdentity(signal),
    getManifest: (request) => exchange(request, (client) => client.getManifest(request)),
    headManifest: (request) => exchange(request, (client) => client.headManifest(request)),
    openBlob: (request) => exchange(request, (client) => client.openBlob(request)),
    // Until it was asked, the way that is tried first.
    warm: (signal) => clients[lastFound].warm(signal),
  };
}

/** Whether anything that is HTTP answers there. */
async function answers(
  transport: Transport,
  registry: Registry,
  limitMs: number,
  signal: AbortSignal,
): Promise<boolean> {
  const expired = (): Error => new Error(`no answer within ${limitMs} ms`);
  try {
    const { body } = await withDeadline({ ms: limitMs, signal, expired }, (limited) =>
      transport.send({
        url: new URL(`${registry.baseUrl}/v2/`),
        method: 'GET',
        headers: { accept: '*/*', 'accept-encoding': 'identity', 'user-agent': userAgent },
        tls: ownIdentity(registry.tls),
        // The operator has named it: it may be anywhere.
        guard: anyAddress,
        answerer: 'registry',
        phase: 'metadata',
        signal: limited,
      }),
    );
    discardBody(body);
    return true;
  } catch {
    signal.throwIfAborted();
    return false;
  }
}

/** What a registry's change from one way to the other looks like. */
function isOfScheme(error: unknown): boolean {
  if (!(error instanceof ExchangeError)) return false;
  const { evidence } = error;
  if (evidence.kind === 'connection') return evidence.code !== 'timed-out';
  return evidence.kind === 'tls' || evidence.kind === 'content';
}
