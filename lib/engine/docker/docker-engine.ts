import { InvalidOptionError } from '../../errors/invalid-option-error.js';
import { openOptionBag, showValue, type OptionBag } from '../../policy/option-bag.js';
import type { Route } from '../../vocabulary/route.js';
import { addressOf } from './docker-address.js';
import type { DockerDaemon } from './docker-daemon.js';
import { findDockerHost } from './docker-host.js';
import { isDockerLike, type DockerLike } from './docker-like.js';
import type { Engine } from '../engine.js';
import { lazyDocker } from './lazy-docker.js';
import { openDockerDaemon } from './open-docker-daemon.js';

/** How images get into a daemon. */
export interface DockerEngineOptions {
  /** What events and reports call this engine; default `docker:` and its address. */
  readonly id?: string;
  /**
   * How bytes get there. `auto`, the default, is `relay` where the daemon proves that it reaches this process, else
   * `load`.
   */
  readonly route?: 'auto' | 'relay' | 'load' | 'direct';
  readonly relay?: {
    /**
     * Where the relay listens in this process: a port, or `host:port`; default `127.0.0.1` and a free port. In a
     * container, `0.0.0.0:5055`, with that port published on 127.0.0.1 of the daemon's host.
     */
    readonly listen?: string | number;
    /** `host:port` as the daemon sees the relay; default: where it listens. */
    readonly advertise?: string;
  };
  readonly load?: {
    /** How fast an archive is sent at most, in bytes per second; default `Infinity`. */
    readonly maxBytesPerSecond?: number;
  };
}

/** A Docker or Podman daemon as an engine. Ends with `close()`: its requests end then, and later ones are refused. */
export interface DockerEngine extends Engine, AsyncDisposable {
  readonly kind: 'docker';
}

/** What the routes need of a daemon as an engine. */
export interface DockerEngineParts {
  readonly daemon: DockerDaemon;
  readonly route: 'auto' | Exclude<Route, 'layout'>;
  readonly relay: {
    readonly listen: { readonly host: string; readonly port: number };
    readonly advertise: string | null;
  };
  /** `Infinity` for no limit. */
  readonly maxLoadBytesPerSecond: number;
}

/** Where the parts are: also of an engine that another installed copy of this library made. */
const partsKey = Symbol.for('pull-failover.docker-engine');

/**
 * A Docker or Podman daemon as an engine. Asks it nothing yet.
 *
 * @param docker the host's own dockerode, version 3 to 5; default: the daemon that Docker's own client would use
 *   (`DOCKER_HOST`, contexts, the usual socket)
 * @throws InvalidOptionError
 */
export function dockerEngine(docker?: DockerLike, options: DockerEngineOptions = {}): DockerEngine {
  if (docker !== undefined && !isDockerLike(docker)) {
    throw new InvalidOptionError('docker', `must be a dockerode, got ${showValue(docker, 'docker')}`);
  }
  const settings = parseOptions(options);
  const { like, address } = docker === undefined ? defaultDocker() : { like: docker, address: addressOf(docker) };
  const daemon = openDockerDaemon(like, address);
  const parts: DockerEngineParts = Object.freeze({ daemon, ...settings.parts });
  const engine: DockerEngine = {
    id: settings.id ?? `docker:${address}`,
    kind: 'docker',
    address,
    close: daemon.close,
    [Symbol.asyncDispose]: daemon.close,
  };
  // Not enumerable: no inspect and no JSON of an engine ends in the host's dockerode, which holds keys.
  Object.defineProperty(engine, partsKey, { value: parts });
  return Object.freeze(engine);
}

function defaultDocker(): { readonly like: DockerLike; readonly address: string } {
  const { address, options } = findDockerHost();
  return { like: lazyDocker(options), address };
}

/** Tells whether a value is a daemon as an engine, also one of another installed copy of this library. */
export function isDockerEngine(value: unknown): value is DockerEngine {
  return typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'docker' && partsKey in value;
}

/** What is behind an engine. */
export function dockerParts(engine: DockerEngine): DockerEngineParts {
  return (engine as DockerEngine & { readonly [partsKey]: DockerEngineParts })[partsKey];
}

interface Settings {
  readonly id: string | undefined;
  readonly parts: Omit<DockerEngineParts, 'daemon'>;
}

function parseOptions(options: unknown): Settings {
  const bag = openOptionBag('', options, ['id', 'route', 'relay', 'load']);
  const relay = bag.bag('relay', ['listen', 'advertise']);
  const load = bag.bag('load', ['maxBytesPerSecond']);
  return {
    id: bag.string('id'),
    parts: {
      route: bag.oneOf('route', ['auto', 'relay', 'load', 'direct']) ?? 'auto',
      relay: Object.freeze({ listen: listenOf(relay), advertise: advertiseOf(relay) }),
      maxLoadBytesPerSecond: load.integer('maxBytesPerSecond', { min: 1, infinity: true }) ?? Infinity,
    },
  };
}

const loopback = '127.0.0.1';
const maxPort = 65_535;

/** `host:port`, `[host]:port`, or a port alone. */
const placePattern = /^(?:(?:\[(?<v6>[0-9a-fA-F:.]+)\]|(?<host>[A-Za-z0-9][A-Za-z0-9.-]*)):)?(?<port>\d{1,5})$/;

function listenOf(relay: OptionBag): { readonly host: string; readonly port: number } {
  if (typeof relay.raw('listen') === 'number') {
    return { host: loopback, port: relay.integer('listen', { min: 0, max: maxPort }) ?? 0 };
  }
  const text = relay.string('listen');
  if (text === undefined) return { host: loopback, port: 0 };
  const place = placeOf(text);
  if (place === null) throw malformed(relay, 'listen', 'a port or host:port', text);
  return Object.freeze({ host: place.host ?? loopback, port: place.port });
}

/** It becomes the beginning of an image's name in the daemon. */
function advertiseOf(relay: OptionBag): string | null {
  const text = relay.string('advertise');
  if (text === undefined) return null;
  const place = placeOf(text);
  if (place === null || place.host === null || place.port === 0) {
    throw malformed(relay, 'advertise', 'host:port', text);
  }
  return text.toLowerCase();
}

function placeOf(text: string): { readonly host: string | null; readonly port: number } | null {
  const groups = placePattern.exec(text)?.groups;
  const port = Number(groups?.['port'] ?? NaN);
  if (groups === undefined || port > maxPort) return null;
  return { host: groups['v6'] ?? groups['host'] ?? null, port };
}

function malformed(bag: OptionBag, key: string, what: string, text: string): InvalidOptionError {
  return new InvalidOptionError(bag.pathOf(key), `must be ${what}, got ${showValue(text, bag.pathOf(key))}`);
}
