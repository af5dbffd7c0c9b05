import { setTimeout as sleep } from 'node:timers/promises';
import type { Context, RootHookObject } from 'mocha';

/** Idle connections of a client that was closed, and processes that were ended, are gone well within it. */
const maxLingerMs = 15_000;

/** How often what is open is counted, by its kind, while it lingers. */
const lookEveryMs = 25;

type Counts = ReadonlyMap<string, number>;

let openBefore: Counts = new Map();

/**
 * Holds each file of specs to leave nothing open that would keep a process alive: no socket, server, timer or child. The
 * processes that run the files are ended when the last has passed, whatever they hold, so nobody else would notice.
 */
export const mochaHooks: RootHookObject = {
  beforeAll: async () => {
    openBefore = await countOpen();
  },
  afterAll: async function (this: Context) {
    this.timeout(maxLingerMs * 2);
    const untilMs = performance.now() + maxLingerMs;
    for (;;) {
      const left = moreThan(openBefore, await countOpen());
      if (left.length === 0) return;
      if (performance.now() > untilMs) throw new Error(`these specs have left something open: ${left.join(', ')}`);
    }
  },
};

async function countOpen(): Promise<Counts> {
  // Its own timer has ended when it goes on; the one of the hook runs each time.
  await sleep(lookEveryMs);
  const counts = new Map<string, number>();
  for (const kind of process.getActiveResourcesInfo()) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return counts;
}

function moreThan(before: Counts, now: Counts): readonly string[] {
  return [...now].flatMap(([kind, count]) => {
    const more = count - (before.get(kind) ?? 0);
    return more > 0 ? [`${more} × ${kind}`] : [];
  });
}
