import type { Registry } from '../registries/registry.js';
import { createBoundedMap, type BoundedMap } from '../policy/bounded-map.js';
import type { RememberedChallenge } from './challenge.js';
import { createApiPace, type ApiPace } from './api-pace.js';
import { createBlobInquiries, type BlobInquiries } from './blob-inquiries.js';
import { createBlobPlaces, type BlobPlaces } from './blob-places.js';
import { createConnectionSlots, createShareOfSlots, type ConnectionSlots } from './connection-slots.js';
import { createSharedWork, type SharedWork } from './shared-work.js';
import { ownIdentity } from './tls-identity.js';
import type { Token } from './token-service.js';
import type { Transport } from './transport.js';

/** What all clients of one registry on one transport share. */
export interface RegistryState {
  readonly slots: ConnectionSlots;
  /** The slots that blobs may hold: all but one, so that no manifest waits for the end of a layer. */
  readonly blobSlots: ConnectionSlots;
  /** Apart from the others: who holds a connection and waits for a token must not wait for himself. */
  readonly tokenSlots: ConnectionSlots;
  /** What was last asked for, by repository. */
  readonly challenges: BoundedMap<string, RememberedChallenge>;
  readonly tokens: BoundedMap<string, Token>;
  readonly tokenRequests: SharedWork<Token>;
  /** Where credentials succeeded: their identity alone (this registry knows them), and with a repository. */
  readonly accepted: BoundedMap<string, true>;
  /** Of all that is asked at its host and port: whoever counts requests there knows no prefixes. */
  readonly pace: ApiPace;
  /** By credentials, repository and digest, as `inquiries`. */
  readonly places: BlobPlaces;
  readonly inquiries: BlobInquiries;
}

/** A puller has a handful of registries, unless its images' names come from tenants. */
const maxRegistries = 256;

/** Per registry: repositories, tokens and pairs of credentials and repository. */
const maxRemembered = 1_024;

interface Known {
  readonly states: BoundedMap<string, RegistryState>;
  /** By where the API is. */
  readonly paces: BoundedMap<string, ApiPace>;
}

const knownOfTransports = new WeakMap<Transport, Known>();

/** Returns what is shared about this registry, as long as the transport lives. */
export function stateOf(transport: Transport, registry: Registry): RegistryState {
  let all = knownOfTransports.get(transport);
  if (all === undefined) {
    all = { states: createBoundedMap(maxRegistries), paces: createBoundedMap(maxRegistries) };
    knownOfTransports.set(transport, all);
  }
  const { states, paces } = all;
  const key = `${registry.prefix} ${registry.baseUrl} ${ownIdentity(registry.tls).id}`;
  const known = states.get(key);
  if (known !== undefined) return known;
  const pace = paces.get(registry.baseUrl) ?? createApiPace();
  paces.set(registry.baseUrl, pace);
  const slots = createConnectionSlots(registry.maxConnections);
  const state: RegistryState = {
    slots,
    blobSlots: createShareOfSlots(slots, Math.max(1, registry.maxConnections - 1)),
    tokenSlots: createConnectionSlots(registry.maxConnections),
    challenges: createBoundedMap(maxRemembered),
    tokens: createBoundedMap(maxRemembered),
    tokenRequests: createSharedWork(),
    accepted: createBoundedMap(maxRemembered),
    pace,
    places: createBlobPlaces(),
    inquiries: createBlobInquiries(),
  };
  states.set(key, state);
  return state;
}
