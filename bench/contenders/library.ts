import { setTimeout as sleep } from 'node:timers/promises';
import { join } from 'node:path';
import type { RegistryOptions, TransferOptions } from '../../lib/index.js';
import { type Contender, type Place, type Run, type Task } from '../contender.js';
import { type Embedded, startEmbedded } from '../embedded.js';
import { checkEngine } from './check-engine.js';
import { checkLayout } from './check-layout.js';
import { type EngineChoice, engines } from './engine-choice.js';

/** How the library is used. */
export interface LibraryUse {
  readonly into: EngineChoice | 'layout';
  /** Default: A, then B. */
  readonly places?: readonly Place[];
  readonly transfer?: TransferOptions;
}

/** The built library in a process of its own that is warm, with the registries in order. */
export function library(name: string, title: string, use: LibraryUse): Contender {
  const { into } = use;
  return {
    name,
    title,
    isOurs: true,
    controlOf: null,
    missing: () => (into === 'layout' ? null : engines[into].missing()),
    run: async (task) => (into === 'layout' ? runIntoLayout(title, use, task) : runIntoEngine(title, into, use, task)),
  };
}

async function runIntoLayout(title: string, use: LibraryUse, task: Task): Promise<Run> {
  const layout = join(task.scratch, 'layout');
  await using embedded = await startEmbedded(
    { kind: 'library', into: { layout }, ...sourcesOf(use, task) },
    task.warmUp,
  );
  const run = await pullAll(embedded, task);
  if (run.ending === 'done') {
    for (const { name, image } of task.images) await checkLayout(layout, `${task.hosts.A}/${name}`, image, title);
  }
  return run;
}

async function runIntoEngine(title: string, choice: EngineChoice, use: LibraryUse, task: Task): Promise<Run> {
  await using daemon = await engines[choice].start({ registries: null, authorities: {} });
  const { socketPath } = daemon;
  await using embedded = await startEmbedded(
    { kind: 'library', into: { socketPath }, ...sourcesOf(use, task) },
    task.warmUp,
  );
  const run = await pullAll(embedded, task);
  if (run.ending === 'done') await checkEngine(daemon, choice, task.hosts.A, task.images, title);
  return run;
}

/**
 * What the first pulls have left open at a registry that stalls is given up after `layers.stallMs`, 4 s after their last
 * byte: only then is it known to be ill.
 */
const foundOutMs = 3_000;

/** Images are always named after A: only the order of the registries says who is asked first. */
async function pullAll(embedded: Embedded, { hosts, first, images, atOnce, capSeconds }: Task): Promise<Run> {
  const before = first.length === 0 ? null : await embedded.pull(first.map(nameAt(hosts.A)), 1, capSeconds);
  if (before !== null && before.ending !== 'done') return before;
  if (before !== null) await sleep(foundOutMs);
  return embedded.pull(images.map(nameAt(hosts.A)), atOnce, capSeconds);
}

function nameAt(host: string): (image: { readonly name: string }) => string {
  return ({ name }) => `${host}/${name}`;
}

function sourcesOf(
  { places = ['A', 'B'], transfer = {} }: LibraryUse,
  { hosts, ca }: Task,
): { readonly registries: readonly RegistryOptions[]; readonly transfer: TransferOptions } {
  const registries = places.map((place) => ({
    prefix: `${hosts[place]}/bench`,
    ...(place === 'A' && ca !== null ? { ca } : {}),
  }));
  return { registries, transfer };
}
