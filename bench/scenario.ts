import type { Bandwidth, Fault } from '../lib/testing/index.js';
import type { Contender } from './contender.js';
import type { Target } from './target.js';

/** Who takes part in a scenario. */
export interface Entrant {
  readonly contender: Contender;
  /** What it is held to. */
  readonly targets: readonly Target[];
  /** Instead of the scenario's own: the contender whose time it is told as a multiple of. */
  readonly reference?: string;
}

/** One situation, and those who are measured in it. */
export interface Scenario {
  readonly name: string;
  readonly title: string;
  /** Bytes of each layer of each image. */
  readonly layerBytes: readonly number[];
  /** How many images are pulled; they share no layer, unless `layers` says so. */
  readonly images: number;
  readonly atOnce: number;
  /** `shared`: all images have the same layers, and differ in their configs alone. */
  readonly layers: 'own' | 'shared';
  /** What is pulled before, unmeasured: nothing, so many other images like these, or exactly these. */
  readonly first: number | 'the-same';
  /** The link before each registry; null for none at all, not even a proxy. */
  readonly bandwidth: Bandwidth | null;
  /** What goes wrong at registry A. B is well in every scenario. */
  readonly faults: readonly Fault[];
  /** The faults strike so many of the last layers of each image, and nothing else; null for no such bound. */
  readonly lastLayers: number | null;
  /** A speaks TLS, redirects for blobs, and answers 429 beyond so many requests a second; null for an ordinary one. */
  readonly requestsPerSecond: number | null;
  /** Who takes longer hangs. */
  readonly capSeconds: number;
  /** The contender whose time the others are told as multiples of. */
  readonly reference: string;
  /** What bars of the chart are multiples of: bytes divided by the bandwidth of one link, or the reference. */
  readonly chartUnit: 'limit' | 'reference';
  readonly entrants: readonly Entrant[];
}
