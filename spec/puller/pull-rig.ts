import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { ociLayout, type OciLayout, type OciLayoutOptions } from '../../lib/engine/layout/oci-layout.js';
import type { PullEvent } from '../../lib/events/pull-event.js';
import { createPuller } from '../../lib/puller/create-puller.js';
import type { PullerOptions } from '../../lib/puller/options.js';
import type { Puller } from '../../lib/puller/puller.js';
import {
  type RegistryDouble,
  type RegistryDoubleOptions,
  startRegistryDouble,
} from '../../lib/testing/registry-double.js';
import type { TestImage, TestManifest } from '../../lib/testing/test-image.js';
import { expectOrderly } from './orderly-events.js';
import { until } from '../support/until.js';

/** A puller, and everything it has said so far. */
export interface RecordedPuller extends Puller {
  readonly heard: readonly PullEvent[];
}

/** A registry and its replica. */
export interface RegistryPair {
  readonly first: RegistryDouble;
  readonly second: RegistryDouble;
  readonly prefixes: readonly [string, string];
}

/** What the specs of the puller run on: real doubles over real sockets, and a directory that is gone afterwards. */
export interface PullRig {
  /** A directory of this test alone. */
  readonly directory: string;
  engine(name?: string, options?: OciLayoutOptions): OciLayout;
  registry(options?: RegistryDoubleOptions): Promise<RegistryDouble>;
  /** A registry and its replica, which hold the same images below `team`. */
  pair(images: RegistryDoubleOptions['images']): Promise<RegistryPair>;
  /** Its engine is `engine()` unless the options name one. */
  puller(options?: PullerOptions): RecordedPuller;
}

/**
 * Gives each test of the suite a rig. Whatever a test was about, it must leave nothing behind: every puller closes,
 * said things in order, broke no rule of a registry, and holds no connection.
 */
export function usePullRig(): PullRig {
  let directory = '';
  let engines = new Map<string, OciLayout>();
  let registries: RegistryDouble[] = [];
  let pullers: RecordedPuller[] = [];
  const dockerConfig = process.env['DOCKER_CONFIG'];

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'pull-failover-puller-'));
    // The credentials of whoever runs the specs are none of their business.
    process.env['DOCKER_CONFIG'] = join(directory, 'docker-config');
    engines = new Map();
    registries = [];
    pullers = [];
  });

  afterEach(async () => {
    await Promise.all(pullers.map((puller) => puller.close()));
    for (const { heard } of pullers) expectOrderly(heard);
    for (const { violations } of registries) {
      expect(violations.map(({ rule, detail }) => `${rule}: ${detail}`)).to.deep.equal([]);
    }
    await until(() => registries.every(({ openConnections }) => openConnections === 0), 'no connection is open');
    await Promise.all(registries.map((registry) => registry.close()));
    await Promise.all([...engines.values()].map((engine) => engine.close()));
    await rm(directory, { recursive: true, force: true });
    if (dockerConfig === undefined) delete process.env['DOCKER_CONFIG'];
    else process.env['DOCKER_CONFIG'] = dockerConfig;
  });

  const rig: PullRig = {
    get directory() {
      return directory;
    },
    engine: (name = 'images', options = {}) => {
      const known = engines.get(name);
      if (known !== undefined) return known;
      const engine = ociLayout(join(directory, name), options);
      engines.set(name, engine);
      return engine;
    },
    registry: async (options = {}) => {
      const registry = await startRegistryDouble(options);
      registries.push(registry);
      return registry;
    },
    pair: async (images) => {
      const options = images === undefined ? {} : { images };
      const [first, second] = [await rig.registry(options), await rig.registry(options)];
      return { first, second, prefixes: [`${first.host}/team`, `${second.host}/team`] };
    },
    puller: (options = {}) => {
      const puller = createPuller({ engine: rig.engine(), ...options });
      const heard: PullEvent[] = [];
      puller.events.on('*', (event) => heard.push(event));
      const recorded: RecordedPuller = Object.assign(puller, { heard });
      pullers.push(recorded);
      return recorded;
    },
  };
  return rig;
}

/** Proves that a layout has an image of one platform whole, byte by byte, under this name. */
export async function expectWhole(
  engine: OciLayout,
  name: string,
  image: TestImage,
  manifest: TestManifest | undefined = image.manifests[0],
): Promise<void> {
  expect((await engine.findImage(name))?.digest, name).to.equal(image.digest);
  if (manifest === undefined) throw new Error('an image has a manifest');
  for (const { digest, sizeBytes } of [manifest.config, ...manifest.layers]) {
    const bytes = await engine.readBlob(digest, sizeBytes);
    expect(bytes?.length, `${name} ${digest}`).to.equal(sizeBytes);
  }
  expect(await engine.readBlob(manifest.digest, manifest.bytes.length)).to.deep.equal(Uint8Array.from(manifest.bytes));
}

/** The files an engine keeps beside the layout's own: what is left of pulls that did not end well. */
export async function leftovers(engine: OciLayout): Promise<readonly string[]> {
  const found = await readdir(join(engine.directory, '.pull-failover'), { recursive: true, withFileTypes: true }).catch(
    () => [],
  );
  return found.filter((entry) => entry.isFile()).map(({ name }) => name);
}
