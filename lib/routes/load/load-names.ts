import { randomBytes } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import type { DockerDaemon } from '../../engine/docker/docker-daemon.js';
import { ownOwner } from '../../files/process-owner.js';
import { withDeadline } from '../../policy/deadline.js';
import { reservedComponent } from '../../relay/relay-name.js';
import { type ImageTag, textOfTag } from '../image-names.js';

/** Stands where a relay's address would be. */
export const loadAddress = '127.0.0.1:1';

/**
 * A name under which an archive brings an image until the engine has all of it: a containerd store names an image
 * before it unpacks it, and keeps the name when it cannot. Nobody else has this name. It is made like that of a relay
 * which does not tell what image it is for: whoever sweeps up after this process takes it away and gives no other, for
 * the image may not be whole.
 */
export function loadName(): ImageTag {
  const below = `${reservedComponent}/${ownOwner()}/long/${randomBytes(16).toString('hex')}`;
  return { name: `${loadAddress}/${below}`, tag: 'load' };
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
