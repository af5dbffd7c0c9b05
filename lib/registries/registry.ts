import { InvalidOptionError } from '../errors/invalid-option-error.js';
import { isInvalidReferenceError } from '../errors/invalid-reference-error.js';
import { dockerHub } from '../image/registry-host.js';
import { openOptionBag, type OptionBag } from '../policy/option-bag.js';
import { parseCredentials } from './credential-source.js';
import type { CredentialsOption, CredentialSource } from './credentials.js';
import type { DockerConfig } from './docker-config.js';
import { hostKind, type HostKind } from './host-kind.js';
import { canonicalPrefix, dockerHubApi, hostPrefix, type Prefix } from './prefix.js';
import { parseTls, type Pem, type RegistryTls } from './tls-options.js';

/** One place to pull from. */
export interface RegistryOptions {
  /**
   * `host[:port]`, or that and the first path components: `quay.io/aptible`, `10.0.0.5:5000/mirror/quay.io/aptible`.
   * It matches whole path components of an image's name.
   */
  readonly prefix: string;
  /** Default: what Docker's `config.json` and its helpers say. */
  readonly credentials?: CredentialsOption;
  /**
   * Speaks HTTP without TLS. Default: on loopback, as Docker, unless there are certificates for it. Into a daemon that
   * lists it as insecure: TLS whoever answers, and without TLS where it speaks none.
   */
  readonly plainHttp?: boolean;
  /**
   * Authorities to trust beside the usual ones, PEM. Without `ca`, `cert` and `key` they are what Docker's daemon has for
   * this host and port, in `/etc/docker/certs.d`.
   */
  readonly ca?: Pem | readonly Pem[];
  /** The certificate this registry wants from us, PEM, followed by its intermediates; comes with `key`. */
  readonly cert?: Pem | readonly Pem[];
  /** The private key of `cert`, PEM, not encrypted. */
  readonly key?: Pem;
  /** Whether it may be asked what a tag means; otherwise it serves digests only. Default: true. */
  readonly resolves?: boolean;
  /** `false`: only a name that images are known by; it is never contacted. Default: true. */
  readonly contact?: boolean;
  /** Connections to it at a time, 1 to 1024. Default: 16. */
  readonly maxConnections?: number;
  /**
   * Whether the `urls` of a descriptor are fetched, without credentials, where this registry lacks the blob. What they
   * send counts as this registry's own: allow it only where you trust who pushes. Default: false.
   */
  readonly allowForeignUrls?: boolean;
}

/** One place to pull from, checked. */
export interface Registry {
  /** What events and reports call it. */
  readonly prefix: string;
  /** As in image names: `docker.io`, `10.0.0.5:5000`. */
  readonly host: string;
  /** The prefix without the host; `''` for a whole host. */
  readonly path: string;
  /** Where its API is, without a slash at the end: `https://registry-1.docker.io`. */
  readonly baseUrl: string;
  /**
   * Whether it is on this machine or in a private network, as far as its name tells, or speaks plain HTTP: then its
   * redirects may lead to such addresses too.
   */
  readonly isPrivate: boolean;
  readonly tls: RegistryTls;
  /** What its own options say of TLS: one of `ca`, `cert` and `key`, else `plainHttp`, else nothing. */
  readonly given: 'certificates' | 'scheme' | 'nothing';
  readonly resolves: boolean;
  readonly contact: boolean;
  readonly maxConnections: number;
  readonly allowForeignUrls: boolean;
  readonly credentials: CredentialSource;
}

/** What all registries of one puller share. */
export interface RegistryContext {
  readonly dockerConfig: DockerConfig;
}

/**
 * Connections to one registry at a time. A Docker daemon opens three per pull: this is five pulls at full speed and one
 * connection for metadata, and few enough that no registry takes one host for an attack.
 */
const defaultMaxConnections = 16;

/** More would only take the host's ports and file descriptors. */
const mostConnections = 1024;

const optionKeys: readonly (keyof RegistryOptions)[] = [
  'prefix',
  'credentials',
  'plainHttp',
  'ca',
  'cert',
  'key',
  'resolves',
  'contact',
  'maxConnections',
  'allowForeignUrls',
];

/**
 * Reads one registry of the options: its prefix alone, or `RegistryOptions`.
 *
 * @throws InvalidOptionError which names the key, and the value unless it may be a secret
 */
export function parseRegistry(input: unknown, optionPath: string, context: RegistryContext): Registry {
  if (typeof input === 'string') return buildRegistry(parsePrefixOption(input, optionPath), context);
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    throw new InvalidOptionError(optionPath, 'must be a prefix such as quay.io/aptible, or an object with one');
  }
  refuseUnknownKeys(input, optionPath);
  const bag = openOptionBag(optionPath, input, optionKeys);
  const text = bag.string('prefix');
  if (text === undefined) throw new InvalidOptionError(bag.pathOf('prefix'), 'is missing');
  return buildRegistry(parsePrefixOption(text, bag.pathOf('prefix')), context, bag);
}

/** The registry that an image's own name leads to, with every option at its default. */
export function ownRegistry(host: string, context: RegistryContext): Registry {
  return buildRegistry(hostPrefix(host), context);
}

const noOptions: OptionBag = openOptionBag('', {}, optionKeys);

function buildRegistry(prefix: Prefix, context: RegistryContext, bag: OptionBag = noOptions): Registry {
  const tls = parseTls({ ca: bag.raw('ca'), cert: bag.raw('cert'), key: bag.raw('key') }, bag.path);
  const plainHttp = bag.boolean('plainHttp');
  const hasTls = tls.ca !== undefined || tls.cert !== undefined;
  if (plainHttp === true && hasTls) {
    throw new InvalidOptionError(bag.pathOf('plainHttp'), 'true contradicts ca, cert and key, which are about TLS');
  }
  if (plainHttp === true && prefix.host === dockerHub) {
    throw new InvalidOptionError(bag.pathOf('plainHttp'), `true contradicts ${dockerHub}, which speaks TLS only`);
  }
  const kind = kindOf(prefix.host);
  const isPlain = plainHttp ?? (kind === 'loopback' && !hasTls);
  const contact = bag.boolean('contact') ?? true;
  const resolves = bag.boolean('resolves');
  if (!contact && resolves === true) {
    throw new InvalidOptionError(bag.pathOf('resolves'), 'true contradicts contact: false');
  }
  return Object.freeze({
    prefix: prefix.text,
    host: prefix.host,
    path: prefix.path,
    baseUrl: baseUrlOf(prefix.host, isPlain ? 'http' : 'https'),
    isPrivate: kind !== 'public' || isPlain,
    tls,
    given: hasTls ? 'certificates' : plainHttp === undefined ? 'nothing' : 'scheme',
    resolves: contact && (resolves ?? true),
    contact,
    maxConnections: bag.integer('maxConnections', { min: 1, max: mostConnections }) ?? defaultMaxConnections,
    allowForeignUrls: bag.boolean('allowForeignUrls') ?? false,
    credentials: bag.has('credentials')
      ? parseCredentials(bag.raw('credentials'), bag.pathOf('credentials'), prefix.text)
      : context.dockerConfig.credentials(prefix.host),
  });
}

/** The same registry, spoken to in another way than its options would have it. */
export function spokenTo(registry: Registry, scheme: 'https' | 'http', tls: RegistryTls): Registry {
  return Object.freeze({
    ...registry,
    baseUrl: baseUrlOf(registry.host, scheme),
    isPrivate: kindOf(registry.host) !== 'public' || scheme === 'http',
    tls,
  });
}

/** The name of Docker Hub is not where its API is. */
function baseUrlOf(host: string, scheme: 'https' | 'http'): string {
  return new URL(`${scheme}://${host === dockerHub ? dockerHubApi : host}`).origin;
}

function kindOf(host: string): HostKind {
  return hostKind(new URL(`https://${host}`).hostname);
}

function parsePrefixOption(text: string, path: string): Prefix {
  // Both may carry a password, which a message must not repeat.
  if (text.includes('://')) throw new InvalidOptionError(path, 'must be a host and a path, without a scheme');
  if (text.includes('@')) throw new InvalidOptionError(path, 'must be a host and a path, without user or digest (@)');
  try {
    return canonicalPrefix(text);
  } catch (error) {
    if (!isInvalidReferenceError(error)) throw error;
    throw new InvalidOptionError(path, `must be a host and a path such as quay.io/aptible: ${error.message}`, error);
  }
}

/** An unknown key may be a misspelt secret (`pasword`, `auth`): only what cannot be one is shown. */
function refuseUnknownKeys(input: object, path: string): void {
  const known: readonly string[] = optionKeys;
  for (const [key, value] of Object.entries(input)) {
    if (known.includes(key)) continue;
    const shown = typeof value === 'boolean' || typeof value === 'number' ? ` (value ${value})` : '';
    throw new InvalidOptionError(`${path}.${key}`, `is unknown${shown}; known here: ${known.join(', ')}`);
  }
}
