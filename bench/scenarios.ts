import { type Bandwidth, type Fault, layers } from '../lib/testing/index.js';
import { again, type Contender } from './contender.js';
import { bareRequests } from './contenders/bare-requests.js';
import { ctr } from './contenders/ctr.js';
import { enginePull } from './contenders/engine-pull.js';
import { library } from './contenders/library.js';
import { skopeo } from './contenders/skopeo.js';
import type { Entrant, Scenario } from './scenario.js';
import type { Target } from './target.js';

const mebibyte: number = 2 ** 20;

/** What most scenarios are; each says in what it differs. */
const plain = {
  images: 1,
  atOnce: 1,
  layers: 'own',
  first: 0,
  faults: [],
  lastLayers: null,
  requestsPerSecond: null,
  capSeconds: 120,
  chartUnit: 'reference',
} as const satisfies Partial<Scenario>;

/** Slow enough that the link decides and not the CPU. */
const shaped: Bandwidth = { totalBytesPerSecond: 25e6, perConnectionBytesPerSecond: 10e6, latencyMs: 20 };
const longLink: Bandwidth = { perConnectionBytesPerSecond: 5e6, latencyMs: 80 };

/** Where registry A fails, as a share of each layer. */
const afterShare = 0.3;

const relay: Contender = library('relay', 'pull-failover', { into: 'docker' });
const relaySpread: Contender = library('relay-spread', 'pull-failover, spread', {
  into: 'docker',
  transfer: { spread: true },
});
const relayContainerd: Contender = library('relay-containerd', 'pull-failover; containerd store', {
  into: 'containerd',
});
const layout: Contender = library('layout', 'pull-failover into a layout', { into: 'layout' });
const layoutSpread: Contender = library('layout-spread', 'pull-failover into a layout, spread', {
  into: 'layout',
  transfer: { spread: true },
});

const dockerA: Contender = enginePull('docker-a', 'docker pull of A', 'docker', ['A']);
const dockerB: Contender = enginePull('docker-b', 'docker pull of B', 'docker', ['B']);
const containerdB: Contender = enginePull('containerd-b', 'docker pull of B; containerd store', 'containerd', ['B']);
const skopeoA: Contender = skopeo('skopeo-a', 'skopeo copy of A', ['A']);

const containerd: Contender = ctr('ctr', 'containerd, A then B');
const others: readonly Contender[] = [
  containerd,
  enginePull('podman', 'podman, A then B', 'podman', ['A', 'B']),
  skopeo('skopeo', 'skopeo copy, A then B', ['A', 'B']),
];

function enter(contender: Contender, ...targets: readonly Target[]): Entrant {
  return { contender, targets };
}

function times(atMost: number, of: Contender): Target {
  return { kind: 'times', times: atMost, of: of.name };
}

const outageLayers: readonly number[] = [20e6, 20e6, 20e6, 20e6];

/** Each layer leaves A once, and may leave one range behind. */
const leftBehind: Target = {
  kind: 'sent-twice',
  bytes: outageLayers.length * 2 * mebibyte,
  why: 'a range of 2 MiB per layer',
};

/** The outage; who takes more than twice as long as a healthy pull hangs, and all of those together cost minutes. */
const outage = { ...plain, layerBytes: outageLayers, bandwidth: shaped, capSeconds: 12, chartUnit: 'limit' } as const;

/** The image of the outage where nothing fails. */
const healthy: Scenario = {
  ...outage,
  name: 'healthy',
  title: 'healthy',
  reference: dockerB.name,
  entrants: [
    ...[relay, relaySpread, dockerB, again(relay), again(dockerB)].map((one) => enter(one)),
    ...[relayContainerd, containerdB].map((one) => ({ ...enter(one), reference: containerdB.name })),
    ...[...others, layout, layoutSpread].map((one) => enter(one)),
  ],
};

function outageOf(name: string, title: string, fault: Fault): Scenario {
  return {
    ...outage,
    name,
    title,
    faults: [fault],
    reference: dockerB.name,
    entrants: [
      enter(relay, times(1, dockerB), leftBehind),
      enter(relaySpread, times(0.85, dockerB), leftBehind),
      { ...enter(relayContainerd), reference: containerdB.name },
      enter(dockerA),
      enter(dockerB),
      { ...enter(containerdB), reference: containerdB.name },
      ...others.map((one) => enter(one)),
      enter(layout, { kind: 'times-limit', times: 1.25 }, leftBehind),
      enter(layoutSpread, { kind: 'times-limit', times: 1.05 }, leftBehind),
    ],
  };
}

/** Half of the layers come as if nothing were wrong. */
const lastTwo: Scenario = {
  ...outage,
  name: 'last-two-stall',
  title: 'the last 2 layers stall at 30 %',
  faults: [layers.stall({ afterShare })],
  lastLayers: 2,
  reference: dockerB.name,
  entrants: [
    enter(relay, times(1, dockerB), leftBehind),
    enter(relaySpread, times(0.85, dockerB), leftBehind),
    enter(dockerB),
    enter(containerd),
    enter(layout, { kind: 'times-limit', times: 1.25 }, leftBehind),
  ],
};

/** With nothing to hedge by, a stall costs what it takes to notice it: `layers.stallMs` at its default, and a second. */
const oneConnection = { connectionsPerBlob: 1, maxConnections: 1 };
const layoutOne: Contender = library('layout-one', 'pull-failover into a layout, one connection', {
  into: 'layout',
  transfer: oneConnection,
});
const layoutOneWell: Contender = library('layout-one-well', 'the same where B is first, which is well', {
  into: 'layout',
  places: ['B', 'A'],
  transfer: oneConnection,
});

const layoutWell: Contender = library('layout-well', 'into a layout, B first, which is well', {
  into: 'layout',
  places: ['B', 'A'],
});
const relayWell: Contender = library('relay-well', 'pull-failover, B first, which is well', {
  into: 'docker',
  places: ['B', 'A'],
});

/** Whatever the size of an image, and however many there are. */
const smallGrowth: Target = { kind: 'growth', bytes: 100 * mebibyte };
const frugal: readonly Target[] = [{ kind: 'cpu', secondsPerGb: 2.3 }, smallGrowth];

const bare: Contender = bareRequests('bare', 'the same requests, sent by a bare client');

/** The same tools twice: what differs between the two is what the measurement cannot tell. */
function sideBySide(mine: Contender, other: Contender, ...targets: readonly Target[]): readonly Entrant[] {
  return [enter(mine, ...targets), enter(other), enter(again(mine)), enter(again(other))];
}

/** Everything that is compared, in the order of the table. */
export const scenarios: readonly Scenario[] = [
  healthy,
  outageOf('stall', 'layers stall at 30 %', layers.stall({ afterShare })),
  outageOf('reset', 'layers are reset at 30 %', layers.reset({ afterShare })),
  outageOf('drip', 'layers drip 1 kB/s after 30 %', layers.drip({ bytesPerSecond: 1_000, afterShare })),
  outageOf('no-headers', 'headers never come', layers.noHeaders()),
  lastTwo,
  {
    ...outage,
    name: 'one-connection',
    title: 'layers stall at 30 %, one connection in all',
    faults: [layers.stall({ afterShare })],
    capSeconds: 40,
    reference: layoutOneWell.name,
    entrants: [enter(layoutOne, { kind: 'longer', ms: 5_000, of: layoutOneWell.name }), enter(layoutOneWell)],
  },
  {
    ...plain,
    name: 'after-detection',
    title: '50 pulls of 1 MB, one by one, after 4 have found out that layers stall at 30 %',
    layerBytes: [1e6],
    images: 50,
    first: 4,
    bandwidth: shaped,
    faults: [layers.stall({ afterShare })],
    reference: layoutWell.name,
    entrants: [
      enter(layout, { kind: 'each', times: 1.1, of: layoutWell.name }),
      enter(layoutWell),
      { ...enter(relay, { kind: 'each', times: 1.1, of: relayWell.name }), reference: relayWell.name },
      { ...enter(relayWell), reference: relayWell.name },
    ],
  },
  {
    ...plain,
    name: 'loopback',
    title: '256 MiB in 4 layers, loopback',
    layerBytes: [64, 64, 64, 64].map((size) => size * mebibyte),
    bandwidth: null,
    reference: dockerA.name,
    entrants: sideBySide(relay, dockerA, times(1.1, dockerA)),
  },
  {
    ...plain,
    name: 'fast-link',
    title: '256 MiB in 4 layers, link of 50 MB/s',
    layerBytes: [64, 64, 64, 64].map((size) => size * mebibyte),
    bandwidth: { totalBytesPerSecond: 50e6 },
    reference: dockerA.name,
    entrants: sideBySide(relay, dockerA, times(1.02, dockerA)),
  },
  {
    ...plain,
    name: 'long-link-1',
    title: '80 MB in 1 layer, 80 ms and 5 MB/s a connection',
    layerBytes: [80e6],
    bandwidth: longLink,
    reference: dockerA.name,
    entrants: [enter(relay, times(0.35, dockerA)), enter(dockerA), enter(relaySpread)],
  },
  {
    ...plain,
    name: 'long-link-4',
    title: '80 MB in 4 layers, 80 ms and 5 MB/s a connection',
    layerBytes: outageLayers,
    bandwidth: longLink,
    reference: dockerA.name,
    entrants: [enter(relay, times(0.35, dockerA)), enter(dockerA), enter(relaySpread)],
  },
  {
    ...plain,
    name: 'redirecting',
    title: '80 MB in 1 layer, over TLS, redirected, 5 API requests a second allowed',
    layerBytes: [80e6],
    bandwidth: shaped,
    requestsPerSecond: 5,
    reference: dockerA.name,
    entrants: sideBySide(relay, dockerA, times(1.05, dockerA), { kind: 'no-refusals' }),
  },
  {
    ...plain,
    name: 'one-gib',
    title: 'one blob of 1 GiB, loopback',
    layerBytes: [2 ** 30],
    bandwidth: null,
    reference: skopeoA.name,
    entrants: [
      ...sideBySide(layout, skopeoA, { kind: 'rate', share: 0.8, of: skopeoA.name }, ...frugal),
      { ...enter(relay, ...frugal), reference: dockerA.name },
      { ...enter(dockerA), reference: dockerA.name },
    ],
  },
  {
    ...plain,
    name: 'twenty-at-once',
    title: '20 images of 32 MiB in 1 layer at once, loopback',
    layerBytes: [32 * mebibyte],
    images: 20,
    atOnce: 20,
    bandwidth: null,
    reference: dockerA.name,
    entrants: [enter(relay, smallGrowth), enter(layout, smallGrowth), enter(dockerA)],
  },
  {
    ...plain,
    name: 'metadata',
    title: '1,000 pulls at once of which all layers are there, loopback',
    layerBytes: [64 * 1_024],
    images: 1_000,
    atOnce: 1_000,
    layers: 'shared',
    first: 'the-same',
    bandwidth: null,
    reference: bare.name,
    entrants: [enter(layout, times(2, bare), { kind: 'loop-delay', ms: 50 }), enter(bare)],
  },
];
