import { seededImage } from '../testing/seeded-image.js';
import type { TestImage } from '../testing/test-image.js';

/** What the registries of the drill hold. Names are `repository:tag`, as below a registry's host. */
export interface DrillImages {
  /** On both registries. */
  readonly replicated: Readonly<Record<string, TestImage>>;
  /** On the first registry alone: nobody ever copied them. */
  readonly neverReplicated: Readonly<Record<string, TestImage>>;
}

/** The platform of every image, so that the drill runs on every host. */
export const drillPlatform = 'linux/amd64';

/** Databases as they were offered then; sizes are a tenth of an image's of the time, so that the drill is short. */
const databases: Readonly<Record<string, readonly number[]>> = {
  'redis:3.0': [4e6, 2e6, 600e3],
  'postgresql:9.4': [5e6, 3e6, 900e3],
  'mysql:5.6': [5e6, 2.5e6, 700e3],
  'mongodb:2.6': [4e6, 3.5e6, 400e3],
  'couchdb:1.6': [3e6, 2e6, 500e3],
  'elasticsearch:2.4': [5e6, 1.5e6, 800e3],
};

const apps: Readonly<Record<string, readonly number[]>> = {
  'app-billing:v41': [3e6, 800e3],
  'app-website:v118': [2.5e6, 1.2e6],
  'app-worker:v7': [2e6, 600e3],
};

const baseImages: Readonly<Record<string, readonly number[]>> = {
  'ruby:2.3': [3e6, 1.5e6],
  'nodejs:6': [2.5e6, 1e6],
};

/** The namespace of the platform, on both registries. */
export const namespace = 'aptible';

/** Makes the images; every byte of them is the same in each drill. */
export function makeDrillImages(): DrillImages {
  return { replicated: seeded({ ...databases, ...apps }), neverReplicated: seeded(baseImages) };
}

function seeded(sizes: Readonly<Record<string, readonly number[]>>): Readonly<Record<string, TestImage>> {
  return Object.fromEntries(
    Object.entries(sizes).map(([name, bytes]) => [`${namespace}/${name}`, seededImage({ bytes, seed: name })]),
  );
}
