import { isObject } from '../../image/json-object.js';
import { formatPlatform } from '../../image/platform.js';
import { normalise } from '../../image/platform-normal.js';

/**
 * How an engine keeps images; what differs between them is decided by this word alone.
 *
 * - `graph`: Docker's classic store
 * - `containerd`: Docker's containerd image store
 * - `podman`: containers/storage
 */
export type EngineStore = 'graph' | 'containerd' | 'podman';

/** What a daemon is, and what it trusts. */
export interface EngineTraits {
  readonly product: 'docker' | 'podman';
  /** As the engine tells it: `20.10.24+dfsg1`, `4.3.1`. */
  readonly version: string;
  readonly store: EngineStore;
  /** Tells daemons apart; another one after it was installed anew. */
  readonly daemonId: string;
  /** What it pulls for when nobody says it: `os/architecture`, on ARM with a variant. */
  readonly platform: string;
  /** Networks in which it takes plain HTTP from registries; Docker's default is `127.0.0.0/8` and `::1/128`. */
  readonly insecureCidrs: readonly string[];
  /** Registries, `host[:port]`, that it takes plain HTTP or any certificate from. */
  readonly insecureRegistries: readonly string[];
  /** The proxies that it pulls through itself, without their credentials; null where there is none. */
  readonly httpProxy: string | null;
  readonly httpsProxy: string | null;
  readonly noProxy: string | null;
  /** The proxies that want a login: Docker tells none of it, and none is kept here. */
  readonly proxiesWithLogin: readonly ('http' | 'https')[];
}

/**
 * Reads what `GET /version` and `GET /info` say, whatever the version: what an engine leaves out is not there.
 */
export function readTraits(version: unknown, info: unknown): EngineTraits {
  const about = objectOf(version);
  const found = objectOf(info);
  const product = isPodman(about) ? 'podman' : 'docker';
  const registries = objectOf(found['RegistryConfig']);
  return Object.freeze({
    product,
    version: textOf(about['Version']) ?? textOf(found['ServerVersion']) ?? '',
    store: product === 'podman' ? 'podman' : hasContainerdStore(found) ? 'containerd' : 'graph',
    daemonId: daemonIdOf(product, found),
    platform: platformOf(about, found),
    insecureCidrs: Object.freeze(textsOf(registries['InsecureRegistryCIDRs'])),
    insecureRegistries: Object.freeze(insecureIn(objectOf(registries['IndexConfigs']))),
    httpProxy: proxyOf(found['HttpProxy']),
    httpsProxy: proxyOf(found['HttpsProxy']),
    noProxy: textOf(found['NoProxy']),
    proxiesWithLogin: Object.freeze([
      ...(hasLogin(found['HttpProxy']) ? (['http'] as const) : []),
      ...(hasLogin(found['HttpsProxy']) ? (['https'] as const) : []),
    ]),
  });
}

function isPodman(version: Document): boolean {
  const components = Array.isArray(version['Components']) ? (version['Components'] as readonly unknown[]) : [];
  return components.some((component) => objectOf(component)['Name'] === 'Podman Engine');
}

function hasContainerdStore({ DriverStatus: status }: Document): boolean {
  if (!Array.isArray(status)) return false;
  return status.some((pair: unknown) => {
    const [name, value] = Array.isArray(pair) ? (pair as readonly unknown[]) : [];
    return name === 'driver-type' && value === 'io.containerd.snapshotter.v1';
  });
}

/** The program's own architecture, which it pulls for: that of the kernel may be another, and has other names (`armv7l`). */
function platformOf(version: Document, info: Document): string {
  const machine = textOf(info['Architecture']) ?? '';
  const variant = /^armv(?<variant>[5-7])/.exec(machine)?.groups?.['variant'];
  return formatPlatform(
    normalise({
      os: textOf(info['OSType']) ?? textOf(version['Os']) ?? '',
      architecture: textOf(version['Arch']) ?? (variant === undefined ? machine : 'arm'),
      ...(variant === undefined ? {} : { variant }),
    }),
  );
}

/** Podman makes up another one with each answer: there it is the place where it keeps its images. */
function daemonIdOf(product: EngineTraits['product'], info: Document): string {
  const id = product === 'docker' ? textOf(info['ID']) : null;
  return id ?? [product, textOf(info['Name']) ?? '', textOf(info['DockerRootDir']) ?? ''].join(':');
}

function insecureIn(registries: Document): readonly string[] {
  return Object.entries(registries).flatMap(([name, registry]) =>
    objectOf(registry)['Secure'] === false ? [textOf(objectOf(registry)['Name']) ?? name] : [],
  );
}

/** Docker hides the password in a proxy's address, Podman tells it. */
function proxyOf(value: unknown): string | null {
  const text = textOf(value);
  if (text === null) return null;
  const withoutScheme = text.replace(/^[a-z][a-z0-9+.-]*:\/\//i, '');
  const scheme = text.slice(0, text.length - withoutScheme.length);
  return scheme + withoutScheme.slice(withoutScheme.lastIndexOf('@') + 1);
}

function hasLogin(proxy: unknown): boolean {
  return (textOf(proxy) ?? '').includes('@');
}

type Document = Readonly<Record<string, unknown>>;

function objectOf(value: unknown): Document {
  return isObject(value) ? value : {};
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}

function textsOf(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((entry) => typeof entry === 'string') : [];
}
