import { type Bandwidth, type Fault, layers } from '../lib/testing/index.js';
import { type Contender, pullFailover, skopeo } from './contender.js';

/** One situation, and those who are measured in it. */
export interface Scenario {
  readonly name: string;
  readonly title: string;
  /** Bytes of each layer of the image. */
  readonly layerBytes: readonly number[];
  /** The link before each registry; null for none at all, not even a proxy. */
  readonly bandwidth: Bandwidth | null;
  /** What goes wrong at registry A. B is well in every scenario. */
  readonly faults: readonly Fault[];
  /** What pull-failover is allowed on top of a healthy pull, in milliseconds: the limit that has to expire, and a second. */
  readonly allowedMs: number | null;
  readonly contenders: readonly Contender[];
}

/** Slow enough that the link decides and not the CPU. */
const shaped: Required<Bandwidth> = {
  totalBytesPerSecond: 25e6,
  perConnectionBytesPerSecond: 10e6,
  latencyMs: 20,
};

const fourLayers: readonly number[] = [20e6, 20e6, 20e6, 20e6];

/** Where registry A fails, as a share of each layer. */
const afterShare = 0.3;

/** `layers.stallMs`, `layers.firstByteMs` and `layers.windowMs` at their defaults, and the second that the target allows. */
const second = 1_000;
const stall = 4_000 + second;
const firstByte = 5_000 + second;
const slowWindow = 15_000 + second;

const outage: readonly Contender[] = [
  pullFailover('pull-failover, A then B'),
  skopeo('skopeo copy of A', ['A']),
  skopeo('skopeo copy, A then B in registries.conf', ['A', 'B']),
  skopeo('skopeo copy of B, which is well', ['B'], 'healthy'),
];

/** The same tool twice: what differs between the two is what the measurement cannot tell. */
const healthy: readonly Contender[] = [
  pullFailover('pull-failover, A then B'),
  skopeo('skopeo copy of A', ['A'], 'healthy'),
  pullFailover('pull-failover again (control)', 'control'),
  skopeo('skopeo copy of A again (control)', ['A'], 'control'),
];

export const scenarios: readonly Scenario[] = [
  { name: 'healthy', title: 'healthy', faults: [], allowedMs: null, contenders: healthy },
  {
    name: 'stall',
    title: 'layers stall at 30 %',
    faults: [layers.stall({ afterShare })],
    allowedMs: stall,
    contenders: outage,
  },
  {
    name: 'reset',
    title: 'layers are reset at 30 %',
    faults: [layers.reset({ afterShare })],
    allowedMs: stall,
    contenders: outage,
  },
  {
    name: 'no-headers',
    title: 'headers never come',
    faults: [layers.noHeaders()],
    allowedMs: firstByte,
    contenders: outage,
  },
  {
    name: 'drip',
    title: 'layers drip 1 kB/s after 30 %',
    faults: [layers.drip({ bytesPerSecond: 1_000, afterShare })],
    allowedMs: slowWindow,
    contenders: outage,
  },
].map((scenario): Scenario => ({ ...scenario, layerBytes: fourLayers, bandwidth: shaped }));

/** How fast it goes where nothing but the machine limits it. */
export const loopback: Scenario = {
  name: 'loopback',
  title: 'one blob of 1 GiB, unshaped',
  layerBytes: [2 ** 30],
  bandwidth: null,
  faults: [],
  allowedMs: null,
  contenders: healthy,
};
