/** The process of a registry double: what it makes up and sends costs the process that pulls no memory. */
import { seededImage, type SeededImageOptions, startRegistryDouble } from '../../../lib/testing/index.js';
import type { DoubleReady } from './double-child.js';

const recipes = JSON.parse(process.argv[2] ?? '{}') as Readonly<Record<string, SeededImageOptions>>;
const images = Object.fromEntries(Object.entries(recipes).map(([name, recipe]) => [name, seededImage(recipe)]));
const registry = await startRegistryDouble({ images });
process.once('disconnect', () => void registry.close());
const ready: DoubleReady = {
  host: registry.host,
  digests: Object.fromEntries(Object.entries(images).map(([name, { digest }]) => [name, digest])),
};
process.send?.(ready);
