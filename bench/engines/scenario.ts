import { type Bandwidth, type Fault, layers } from '../../lib/testing/index.js';
import { byEngine, ctr, type EngineContender, skopeoCopy, throughRelay } from './contender.js';

/** What pull-failover is held to, beside what the engine itself takes; null for no such target. */
export interface EngineTargets {
  /** How many times the engine's own time. */
  readonly ratio: number | null;
  /** Milliseconds on top of the engine's own time. */
  readonly allowedMs: number | null;
  readonly cpuSecondsPerGb: number | null;
  readonly rssGrowthBytes: number | null;
}

/** One situation, and those who are measured in it. */
export interface EngineScenario {
  readonly name: string;
  readonly title: string;
  readonly about: 'cost' | 'outage';
  /** Bytes of each layer of each image. */
  readonly layerBytes: readonly number[];
  /** How many images are pulled at once, which share nothing. */
  readonly images: number;
  /** The link before each registry; null for none at all, not even a proxy. */
  readonly bandwidth: Bandwidth | null;
  /** What goes wrong at registry A. B is well in every scenario. */
  readonly faults: readonly Fault[];
  /** Who takes longer hangs. */
  readonly capSeconds: number;
  readonly targets: EngineTargets;
  readonly contenders: readonly EngineContender[];
}

const ours = 'pull-failover, A then B';

/** The same tool twice: what differs between the two is what the measurement cannot tell. */
const sideBySide: readonly EngineContender[] = [
  throughRelay(ours, 'docker'),
  byEngine('docker pull of A', 'docker', ['A'], 'healthy'),
  throughRelay('pull-failover again (control)', 'docker', 'control'),
  byEngine('docker pull of A again (control)', 'docker', ['A'], 'control'),
];

const others: readonly EngineContender[] = [
  throughRelay(`${ours}; containerd store`, 'containerd'),
  ctr('containerd, A then B in hosts.toml'),
  byEngine('podman, A then B in registries.conf', 'podman', ['A', 'B']),
  skopeoCopy('skopeo copy, A then B in registries.conf', ['A', 'B']),
];

const outage: readonly EngineContender[] = [
  throughRelay(ours, 'docker'),
  byEngine('docker pull of A', 'docker', ['A']),
  byEngine('docker pull of B, which is well', 'docker', ['B'], 'healthy'),
  ...others,
  byEngine('docker pull of B, which is well; containerd store', 'containerd', ['B'], 'healthy'),
];

const noTargets: EngineTargets = { ratio: null, allowedMs: null, cpuSecondsPerGb: null, rssGrowthBytes: null };

/** `layers.stallMs` and `layers.firstByteMs` at their defaults, and the second that the target allows. */
const second = 1_000;
const stall: EngineTargets = { ...noTargets, allowedMs: 4_000 + second };
const firstByte: EngineTargets = { ...noTargets, allowedMs: 5_000 + second };

/** Where registry A fails, as a share of each layer. */
const afterShare = 0.3;

/** The outage: slow enough that the link decides and not the CPU. */
const outages: readonly EngineScenario[] = [
  {
    name: 'engine-healthy',
    title: 'healthy',
    faults: [],
    targets: noTargets,
    contenders: [
      ...sideBySide,
      ...others,
      byEngine('docker pull of A; containerd store', 'containerd', ['A'], 'healthy'),
    ],
  },
  {
    name: 'engine-stall',
    title: 'layers stall at 30 %',
    faults: [layers.stall({ afterShare })],
    targets: stall,
    contenders: outage,
  },
  {
    name: 'engine-reset',
    title: 'layers are reset at 30 %',
    faults: [layers.reset({ afterShare })],
    targets: stall,
    contenders: outage,
  },
  {
    name: 'engine-no-headers',
    title: 'headers never come',
    faults: [layers.noHeaders()],
    targets: firstByte,
    contenders: outage,
  },
].map((scenario): EngineScenario => {
  return {
    ...scenario,
    about: 'outage',
    layerBytes: [20e6, 20e6, 20e6, 20e6],
    images: 1,
    bandwidth: { totalBytesPerSecond: 25e6, perConnectionBytesPerSecond: 10e6, latencyMs: 20 },
    capSeconds: 20,
  };
});

const mebibyte: number = 2 ** 20;

/** What the relay costs where nothing fails. */
const costs: readonly EngineScenario[] = [
  {
    name: 'engine-loopback',
    title: '256 MiB in 4 layers, loopback',
    layerBytes: [64, 64, 64, 64].map((size) => size * mebibyte),
    images: 1,
    bandwidth: null,
    targets: { ...noTargets, ratio: 1.1 },
  },
  {
    name: 'engine-50mb',
    title: '256 MiB in 4 layers, link of 50 MB/s',
    layerBytes: [64, 64, 64, 64].map((size) => size * mebibyte),
    images: 1,
    bandwidth: { totalBytesPerSecond: 50e6 },
    targets: { ...noTargets, ratio: 1.02 },
  },
  {
    name: 'engine-1gib',
    title: '1 GiB in 4 layers, loopback',
    layerBytes: [256, 256, 256, 256].map((size) => size * mebibyte),
    images: 1,
    bandwidth: null,
    targets: { ...noTargets, cpuSecondsPerGb: 2.3 },
  },
  {
    name: 'engine-20-pulls',
    title: '20 images of 24 MiB in 2 layers at once, loopback',
    layerBytes: [12, 12].map((size) => size * mebibyte),
    images: 20,
    bandwidth: null,
    targets: { ...noTargets, rssGrowthBytes: 100 * mebibyte },
  },
].map((scenario): EngineScenario => ({
  ...scenario,
  about: 'cost',
  faults: [],
  capSeconds: 120,
  contenders: sideBySide,
}));

export const engineScenarios: readonly EngineScenario[] = [...costs, ...outages];
