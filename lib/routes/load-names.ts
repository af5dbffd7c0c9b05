import { setTimeout } from 'node:timers/promises';
import type { DockerDaemon } from '../engine/docker-daemon.js';
import { ownOwner } from '../engine/partial-owner.js';
import type { Reference } from '../image/reference.js';
import { withDeadline } from '../policy/deadline.js';
import { relayName } from '../relay/relay-name.js';
import { canonicalTagOf, type ImageTag, textOfTag } from './image-names.js';

let loads = 0;

/**
 * The name under which an archive brings an image, until the engine has all of it: a containerd store names an image
 * before it unpacks it, so that a load which fails would have taken the name from an image that works. Made like a
 * relay's, so that the sweep of what dead processes left finds it; instead of a relay's port it has a number that no
 * other load of this process has.
 */
export function loadName(reference: Reference): ImageTag {
  loads = (loads % 65_535) + 1;
  const address = `127.0.0.1:${loads}`;
  const { repository } = relayName(reference, ownOwner(), address);
  return { name: `${address}/${repository}`, tag: canonicalTagOf(reference).tag };
}

/** How long an abort waits for a name to be taken away; after that it goes on behind the caller's back. */
const tidyNowMs = 1_000;
/** When a name is looked for that an engine may still give: soon, and ever more rarely, for about ten minutes. */
const tidyLaterMs: readonly number[] = [1_000, 2_000, 4_000, 8_000, 15_000, 30_000, ...Array<number>(9).fill(60_000)];

/** Where a load that failed may have left its name. */
export interface LeftName {
  readonly daemon: DockerDaemon;
  readonly name: ImageTag;
  /**
   * The engine was not heard to the end: Docker's classic store goes on with a load whose client is gone, and names the
   * image when it is through.
   */
  readonly mayStillCome: boolean;
  /** Ends the search. */
  readonly ending: AbortSignal;
}

/** Takes away the name of a load that failed; where it may still come, it is looked for behind the caller's back. */
export async function takeBack(left: LeftName): Promise<void> {
  const found = await tidy(left);
  if (found === 'gone') return;
  if (found === 'unknown' || left.mayStillCome) void tidyLater(left).catch(() => {});
}

/** `gone`: it was there. `absent`: it was not. `unknown`: the engine could not be asked, or was too slow. */
async function tidy({ daemon, name, ending }: LeftName): Promise<'gone' | 'absent' | 'unknown'> {
  const reference = textOfTag(name);
  const expired = (): Error => new Error(`the engine did not take ${reference} away within ${tidyNowMs} ms`);
  try {
    return await withDeadline({ ms: tidyNowMs, signal: ending, expired }, async (signal) => {
      if ((await daemon.inspect(reference, signal)) === null) return 'absent';
      await daemon.untag(reference, signal);
      return 'gone';
    });
  } catch {
    return 'unknown';
  }
}

async function tidyLater(left: LeftName): Promise<void> {
  for (const pauseMs of tidyLaterMs) {
    // A process that has nothing else to do need not wait: what it leaves is swept once it is dead.
    await setTimeout(pauseMs, undefined, { signal: left.ending, ref: false });
    const found = await tidy(left);
    if (found === 'gone' || (found === 'absent' && !left.mayStillCome)) return;
  }
}
