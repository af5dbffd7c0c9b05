import { InvalidOptionError } from '../errors/invalid-option-error.js';
import { isPullFailoverError, type PullFailoverError } from '../errors/pull-failover-error.js';
import { parseDigest } from '../image/digest.js';
import type { Reference } from '../image/reference.js';
import { openOptionBag, type OptionBag, showValue } from '../policy/option-bag.js';
import { canonicalPrefix } from '../registries/prefix.js';
import type { RegistryPhase } from '../vocabulary/phase.js';
import { type CheckedStep, type CheckedSuccess, checkScriptRules } from './checked-script.js';
import type { Resolution, Served } from '../vocabulary/report.js';
import type { Digest } from '../vocabulary/digest.js';
import { plausibleBytesKept, plausibleTotalBytes } from './plausible-image.js';
import { doorOf, type PullHold, type RegistryMishap } from './pull-script.js';
import { registryMishaps } from './registry-mishap.js';

/** Which pull a script is for. */
export interface ScriptedImage {
  readonly reference: Reference;
  /** The registries of the image's replica set, in order; null when none are configured: any are good then. */
  readonly registries: readonly string[] | null;
}

const servedKeys: readonly string[] = ['registry', 'objects', 'bytes', 'wastedBytes', 'connections', 'hedges'];

const keysOf: Readonly<Record<CheckedStep['kind'] | 'every-registry-fails', readonly string[]>> = {
  'registry-fails': ['registry', 'phase', 'because'],
  'every-registry-fails': ['phase', 'because'],
  'fail-over': ['from', 'to', 'phase', 'because', 'bytesKept'],
  park: [],
  hold: ['reached', 'open'],
  succeed: ['digest', 'manifestDigest', 'imageId', 'resolution', 'bytes', 'served'],
  'succeed-from-cache': [],
  exhaust: ['retryAfterMs'],
  'exceed-deadline': [],
  fail: ['error'],
  'never-end': [],
};

const resolutions: readonly Resolution[] = [
  'digest-given',
  'first-registry',
  'replica-confirmed',
  'remembered',
  'replica-unverified',
  'replica-diverged',
];

/** Errors that tell of a pull's attempts or its surroundings have a step, or a way to happen, of their own. */
const ownWays: Readonly<Record<string, string>> = {
  ERR_PULL_EXHAUSTED: 'pulls.exhaust()',
  ERR_PULL_DEADLINE: 'pulls.exceedDeadline(), or deadlineMs',
  ERR_PARK_CANCELLED: 'pulls.park() and puller.parked.cancel()',
  ERR_PULLER_CLOSED: 'puller.close()',
  ERR_OPTION_INVALID: 'a wrong option',
  ERR_REFERENCE_INVALID: 'a malformed image',
};

/**
 * Reads a script, with every default written out.
 *
 * @throws InvalidOptionError naming the step, when it could not happen in a real pull: two ends or none, a step after
 *   the end, a phase that goes back, a registry that is not in the image's replica set, a failover told twice
 */
export function checkPullScript(script: unknown, image: ScriptedImage): readonly CheckedStep[] {
  if (!Array.isArray(script)) throw new InvalidOptionError('script', 'must be an array of steps, or one step');
  const steps = (script as readonly unknown[]).flatMap((step, index) => checkStep(step, `script[${index}]`, image));
  checkScriptRules(steps);
  return steps;
}

function checkStep(step: unknown, path: string, image: ScriptedImage): readonly CheckedStep[] {
  const kinds = Object.keys(keysOf) as (keyof typeof keysOf)[];
  const { kind: kindGiven } = typeof step === 'object' && step !== null ? (step as { kind?: unknown }) : {};
  const kind = kinds.find((known) => known === kindGiven);
  if (kind === undefined) {
    throw new InvalidOptionError(
      `${path}.kind`,
      `must be one of ${kinds.join(', ')}, got ${showValue(kindGiven, path)}`,
    );
  }
  const bag = openOptionBag(path, step, ['kind', ...keysOf[kind]]);
  switch (kind) {
    case 'registry-fails':
      return [{ kind, registry: registryOf(bag, 'registry', 0, image), ...mishapOf(bag) }];
    case 'every-registry-fails': {
      const registries = image.registries ?? [image.reference.host];
      return registries.map((registry) => ({ kind: 'registry-fails', registry, ...mishapOf(bag) }));
    }
    case 'fail-over':
      return [failOverOf(bag, image)];
    case 'hold': {
      const door = doorOf(step as PullHold);
      if (door === undefined) throw new InvalidOptionError(path, 'must be made by pulls.hold()');
      return [{ kind, door }];
    }
    case 'succeed':
      return [successOf(bag, image)];
    case 'exhaust':
      return [{ kind, retryAfterMs: bag.durationMs('retryAfterMs') ?? null }];
    case 'fail':
      return [{ kind, error: errorOf(bag) }];
    case 'park':
    case 'succeed-from-cache':
    case 'exceed-deadline':
    case 'never-end':
      return [{ kind }];
  }
}

function mishapOf(bag: OptionBag): { readonly phase: RegistryPhase; readonly because: RegistryMishap } {
  return {
    phase: bag.oneOf('phase', ['metadata', 'layers']) ?? 'layers',
    because: bag.oneOf('because', registryMishaps) ?? 'stalled',
  };
}

/** @param place which of the replica set it is when none is given */
function registryOf(bag: OptionBag, key: string, place: number, { reference, registries }: ScriptedImage): string {
  const given = bag.string(key);
  const prefix = given === undefined ? undefined : prefixOf(given, bag.pathOf(key));
  if (registries === null) {
    if (prefix !== undefined) return prefix;
    if (place === 0) return reference.host;
    throw new InvalidOptionError(bag.pathOf(key), 'is missing: give it, or registries to createPullerDouble');
  }
  const found = prefix ?? registries[place];
  if (found !== undefined && registries.includes(found)) return found;
  throw new InvalidOptionError(
    bag.pathOf(key),
    `must be a registry that ${reference.canonical} can be pulled from, got ${showValue(found, bag.path)}; there are: ${registries.join(', ')}`,
  );
}

function prefixOf(text: string, path: string): string {
  try {
    return canonicalPrefix(text).text;
  } catch (error) {
    throw new InvalidOptionError(path, `must be the prefix of a registry, got ${showValue(text, path)}`, error);
  }
}

function failOverOf(bag: OptionBag, image: ScriptedImage): CheckedStep {
  const { phase, because } = mishapOf(bag);
  const from = registryOf(bag, 'from', 0, image);
  const to = registryOf(bag, 'to', 1, image);
  if (from === to) throw new InvalidOptionError(bag.pathOf('to'), `must be another registry than from, got ${to}`);
  const bytesKept = bag.integer('bytesKept', { min: 0, max: phase === 'metadata' ? 0 : Number.MAX_SAFE_INTEGER });
  const keepsNone = phase === 'metadata' || because === 'wrong-bytes' || because === 'refused';
  return { kind: 'fail-over', from, to, phase, because, bytesKept: bytesKept ?? (keepsNone ? 0 : plausibleBytesKept) };
}

function successOf(bag: OptionBag, image: ScriptedImage): CheckedSuccess {
  const bytesBag = bag.bag('bytes', ['total', 'fetched', 'kept', 'local']);
  const count = (key: string): number | undefined => bytesBag.integer(key, { min: 0 });
  const given = {
    total: count('total'),
    fetched: count('fetched'),
    kept: count('kept') ?? 0,
    local: count('local') ?? 0,
  };
  const total = given.total ?? Math.max(plausibleTotalBytes, given.kept + given.local);
  const fetched = given.fetched ?? Math.max(0, total - given.kept - given.local);
  if (fetched + given.kept + given.local < total) {
    throw new InvalidOptionError(
      bytesBag.path,
      `must bring all ${total} bytes of the image: fetched, kept and local are ${fetched + given.kept + given.local}`,
    );
  }
  const digest = digestOption(bag, 'digest');
  if (digest !== null && image.reference.digest !== null && digest !== image.reference.digest) {
    throw new InvalidOptionError(bag.pathOf('digest'), `must be the one of the image, ${image.reference.digest}`);
  }
  return {
    kind: 'succeed',
    digest,
    manifestDigest: digestOption(bag, 'manifestDigest'),
    imageId: bag.string('imageId') ?? null,
    resolution: bag.oneOf('resolution', resolutions) ?? null,
    bytes: { total, fetched, kept: given.kept, local: given.local },
    served: servedOf(bag, fetched, image),
  };
}

function digestOption(bag: OptionBag, key: string): Digest | null {
  const text = bag.string(key);
  if (text === undefined) return null;
  const digest = parseDigest(text);
  if (digest === null) throw new InvalidOptionError(bag.pathOf(key), `must be a digest, got ${showValue(text, key)}`);
  return digest;
}

function servedOf(bag: OptionBag, fetched: number, image: ScriptedImage): readonly Served[] | null {
  const raw = bag.raw('served');
  if (raw === undefined) return null;
  const path = bag.pathOf('served');
  if (!Array.isArray(raw)) throw new InvalidOptionError(path, 'must be an array');
  const served = (raw as readonly unknown[]).map((each, index) =>
    servedByOne(openOptionBag(`${path}[${index}]`, each, servedKeys), index, image),
  );
  const sum = served.reduce((bytes, each) => bytes + each.bytes, 0);
  if (sum !== fetched) throw new InvalidOptionError(path, `must add up to the ${fetched} bytes fetched, got ${sum}`);
  return served;
}

function servedByOne(bag: OptionBag, place: number, image: ScriptedImage): Served {
  const count = (from: OptionBag, key: string, max: number = Infinity): number | undefined =>
    from.integer(key, { min: 0, max });
  const objects = count(bag, 'objects') ?? 1;
  const bytes = count(bag, 'bytes', objects === 0 ? 0 : undefined) ?? Math.min(1, objects);
  const hedgesBag = bag.bag('hedges', ['won', 'lost']);
  const hedges = { won: count(hedgesBag, 'won') ?? 0, lost: count(hedgesBag, 'lost') ?? 0 };
  if (objects === 0 && hedges.won + hedges.lost === 0) {
    throw new InvalidOptionError(bag.path, 'must have objects or hedges: a report names no registry that has neither');
  }
  return {
    registry: registryOf(bag, 'registry', place, image),
    objects,
    bytes,
    wastedBytes: count(bag, 'wastedBytes', bytes) ?? 0,
    connections: count(bag, 'connections') ?? Math.min(1, bytes),
    hedges,
  };
}

function errorOf(bag: OptionBag): PullFailoverError {
  const error = bag.raw('error');
  if (!isPullFailoverError(error)) {
    throw new InvalidOptionError(bag.pathOf('error'), 'must be an error of this library: a pull rejects with no other');
  }
  const way = ownWays[error.code];
  if (way !== undefined) throw new InvalidOptionError(bag.pathOf('error'), `${error.code} comes of ${way}`);
  return error;
}
