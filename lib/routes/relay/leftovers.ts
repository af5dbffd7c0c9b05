import type { DockerDaemon } from '../../engine/docker/docker-daemon.js';
import type { ListedImage } from '../../engine/docker/engine-image.js';
import { ownerState } from '../../files/process-owner.js';
import { createLog } from '../../log/log.js';
import { parseRelayName, type ParsedRelayName } from '../../relay/relay-name.js';
import { changeNames, maxNamings, textOfTag, type ImageTag, type NamedImage } from '../image-names.js';

const log = createLog('pull');

/** A name that a process left in an engine when it ended in the middle of a pull. */
interface Leftover {
  /** As the engine lists it. */
  readonly name: string;
  readonly parsed: ParsedRelayName;
}

/** Tells whether the relay at an address, as the daemon sees it, is gone for certain. */
export type AbsenceTest = (address: string) => Promise<boolean>;

/** What a sweep could not decide. */
export interface SweepResult {
  /** Names were left whose process cannot be looked for. */
  readonly inDoubt: boolean;
}

/**
 * Takes away the names that processes which are dead left in an engine; an image that has its own name not yet gets it
 * first, for it is whole. The names of a process that lives stay, and of one that cannot be looked for unless its relay
 * is gone; so does every name that no relay of this library made. What cannot be taken away is left for the next time:
 * no pull fails for it.
 *
 * @param isGone asked once for each address of processes that cannot be looked for; without it their names stay
 * @throws the signal's own reason
 */
export async function sweepLeftovers(
  daemon: DockerDaemon,
  signal: AbortSignal,
  isGone: AbsenceTest = async () => false,
): Promise<SweepResult> {
  let inDoubt = false;
  const isGoneOnce = askOnce(isGone, signal);
  const leftoversIn = async (names: ListedImage['tags']): Promise<readonly Leftover[]> => {
    const found: Leftover[] = [];
    for (const name of names) {
      const parsed = parseRelayName(name);
      if (parsed === null) continue;
      const state = ownerState(parsed.instance);
      const isLeft = state === 'dead' || (state === 'unknown' && (await isGoneOnce(parsed.address)));
      if (isLeft) found.push({ name, parsed });
      else if (state === 'unknown') inDoubt = true;
    }
    return found;
  };
  try {
    const images = await daemon.list(signal);
    const { store } = await daemon.traits({ signal });
    for (const image of images) {
      // Podman 4.3 takes a digest that is gone by now for any image that has it.
      const tags = (await leftoversIn(image.tags)).filter(({ parsed }) => parsed.tag !== null || store !== 'podman');
      for (const leftover of tags)
        await unlessFails(leftover, signal, () => sweep({ daemon, store, imageId: image.id, signal }, leftover));
      // Only there a digest is a name of its own, which may have got in before its tag did.
      const digests = store === 'graph' && tags.length === 0 ? await leftoversIn(image.digests) : [];
      for (const leftover of digests) await unlessFails(leftover, signal, () => daemon.untag(leftover.name, signal));
    }
  } catch (error) {
    signal.throwIfAborted();
    log(null, 'the engine was not searched for what a crash left', { problem: problemOf(error) });
  }
  return { inDoubt };
}

/** What cannot be found out is not certain. */
function askOnce(isGone: AbsenceTest, signal: AbortSignal): AbsenceTest {
  const answers = new Map<string, boolean>();
  return async (address) => {
    const known = answers.get(address);
    if (known !== undefined) return known;
    let answer = false;
    try {
      answer = await isGone(address);
    } catch (error) {
      signal.throwIfAborted();
      log(null, 'it is not known whether a relay is gone', { address, problem: problemOf(error) });
    }
    answers.set(address, answer);
    return answer;
  };
}

/** Another process may be sweeping too. */
async function unlessFails({ name }: Leftover, signal: AbortSignal, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    signal.throwIfAborted();
    log(null, 'a name was left in the engine', { name, problem: problemOf(error) });
  }
}

function problemOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

async function sweep(image: NamedImage, { name, parsed }: Leftover): Promise<void> {
  const { canonicalName, tag } = parsed;
  const own = canonicalName === null || tag === null ? null : { name: canonicalName, tag };
  await changeNames(image, async () => {
    if (own !== null) {
      const isNamed = !(await giveName(image, name, own));
      log(null, 'a pull that was cut off has left an image', { image: textOfTag(own), isNamed });
    }
    await image.daemon.untag(name, image.signal);
    // Podman 4.3 may have written its names back as another process had found them.
    for (let tries = 1; own !== null && image.store === 'podman' && tries < maxNamings; tries += 1) {
      if (!(await giveName(image, image.imageId, own))) return;
    }
  });
}

/** Whether it had to be given. */
async function giveName({ daemon, signal }: NamedImage, source: string, own: ImageTag): Promise<boolean> {
  const isNamed = (await daemon.inspect(textOfTag(own), signal)) !== null;
  if (!isNamed) await daemon.tag(source, own, signal);
  return !isNamed;
}
