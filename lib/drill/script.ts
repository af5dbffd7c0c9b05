import type { Fault } from '../testing/fault.js';
import { layers, metadata } from '../testing/fault-groups.js';
import type { ProvisioningOrder } from './provisioning-worker.js';

/** A stretch of the day, replayed. */
export interface Act {
  /** When it was, UTC, on 26 July 2017. */
  readonly clock: string;
  /** What happened then, in one sentence. */
  readonly title: string;
  /** How the first registry fails from now on; absent: as before. */
  readonly faults?: readonly Fault[];
  /** What customers want. The operations of one step start together; the next step begins when they are settled. */
  readonly steps: readonly (readonly ProvisioningOrder[])[];
}

/** Layers stop there; manifests are still answered. */
const stalledShare = 0.3;

const layersStall: Fault = layers.stall({ afterShare: stalledShare });

const order = (id: number, kind: ProvisioningOrder['kind'], image: string, host: string): ProvisioningOrder => ({
  id: `op-${id}`,
  kind,
  image,
  host,
});

/** The day, in order. The last act begins with a registry that is well again, and is over when nothing is out of order. */
export const script: readonly Act[] = [
  {
    clock: '17:40',
    title: 'An ordinary afternoon. Apps are deployed; both hosts have their layers now.',
    faults: [],
    steps: [
      [
        order(851, 'app', 'app-billing:v41', 'host-1'),
        order(852, 'app', 'app-website:v118', 'host-1'),
        order(853, 'app', 'app-worker:v7', 'host-2'),
      ],
    ],
  },
  {
    clock: '18:20',
    title:
      'quay.io still answers manifests, but its layers stop after 30%. In 2017 a Redis provisioning failed, and its old host was suspected.',
    faults: [layersStall],
    steps: [[order(871, 'database', 'redis:3.0', 'host-1')]],
  },
  {
    clock: '18:36',
    title:
      'A second one, on another host. In 2017 it failed too, and only now the registry was suspected. App deploys find their layers on the host and need manifests alone.',
    steps: [
      [order(872, 'database', 'postgresql:9.4', 'host-2')],
      [
        order(873, 'database', 'mysql:5.6', 'host-1'),
        order(874, 'database', 'mongodb:2.6', 'host-2'),
        order(875, 'app', 'app-billing:v41', 'host-1'),
        order(876, 'app', 'app-worker:v7', 'host-2'),
      ],
    ],
  },
  {
    clock: '18:46',
    title: 'Two base images turn out never to have been copied to docker.io. Customers build on them.',
    steps: [[order(877, 'build', 'ruby:2.3', 'host-1'), order(878, 'build', 'nodejs:6', 'host-2')]],
  },
  {
    clock: '18:55',
    title: "quay.io's metadata times out as well. In 2017 three app operations failed.",
    faults: [layersStall, metadata.noHeaders()],
    steps: [
      [order(881, 'app', 'app-billing:v41', 'host-1'), order(882, 'app', 'app-worker:v7', 'host-2')],
      [order(883, 'app', 'app-website:v118', 'host-1')],
    ],
  },
  {
    clock: '19:07',
    title: 'In 2017 all of it was on docker.io from here on, switched by hand. Customers go on ordering.',
    steps: [
      [
        order(884, 'database', 'couchdb:1.6', 'host-1'),
        order(885, 'database', 'elasticsearch:2.4', 'host-2'),
        order(886, 'app', 'app-billing:v41', 'host-2'),
      ],
    ],
  },
];

/** When the outage begins to be felt: a pull of then meets it itself, before any circuit has opened. */
const outageClock = '18:20';

/** The script with one more order, at the moment at which the outage begins to be felt. */
export function scriptWith(extra: ProvisioningOrder | null): readonly Act[] {
  if (extra === null) return script;
  return script.map((act) => {
    const [first = [], ...others] = act.steps;
    return act.clock === outageClock ? { ...act, steps: [[...first, extra], ...others] } : act;
  });
}

/** The database that is started and asked, where there is an engine. */
export function databaseOrder(image: string, host: string): ProvisioningOrder {
  return order(879, 'database', image, host);
}

/** The end of the outage; what follows is ordinary traffic, until nothing is parked and every circuit is closed. */
export const recovery: Act = {
  clock: '27 July',
  title: 'quay.io is well again. Nobody tells the hosts: ordinary orders come in, and what was parked goes on.',
  faults: [],
  steps: [],
};

/** Ordinary orders on a host that has nothing yet, so that they need manifests and layers. */
export function ordinaryOrder(index: number): ProvisioningOrder {
  const image = ordinaryImages[index % ordinaryImages.length] ?? 'redis:3.0';
  const host = `host-${3 + Math.floor(index / ordinaryImages.length)}`;
  return order(891 + index, image.startsWith('app-') ? 'app' : 'database', image, host);
}

/** Small ones, as most are: how soon a circuit closes depends on how many pulls went well, not on their size. */
const ordinaryImages: readonly string[] = ['app-worker:v7', 'app-website:v118', 'app-billing:v41', 'couchdb:1.6'];
