import type { DockerDaemon } from '../../engine/docker/docker-daemon.js';
import type { ListedImage } from '../../engine/docker/engine-image.js';
import { ownerState } from '../../files/process-owner.js';
import { createLog } from '../../log/log.js';
import { parseRelayName, type ParsedRelayName } from '../../relay/relay-name.js';
import { textOfTag } from '../image-names.js';

const log = createLog('pull');

/** A name that a process left in an engine when it ended in the middle of a pull. */
interface Leftover {
  /** As the engine lists it. */
  readonly name: string;
  readonly parsed: ParsedRelayName;
}

/**
 * Takes away the names that processes which are dead left in an engine; an image that has its own name not yet gets it
 * first, for it is whole. The names of a process that lives, or of which nothing is known, stay; so does every name that
 * no relay of this library made. What cannot be taken away is left for the next time: no pull fails for it.
 *
 * @throws the signal's own reason
 */
export async function sweepLeftovers(daemon: DockerDaemon, signal: AbortSignal): Promise<void> {
  try {
    const images = await daemon.list(signal);
    const { store } = await daemon.traits({ signal });
    for (const image of images) {
      // Podman 4.3 takes a digest that is gone by now for any image that has it.
      const tags = leftoversIn(image.tags).filter(({ parsed }) => parsed.tag !== null || store !== 'podman');
      for (const leftover of tags) await unlessFails(leftover, signal, () => sweep(daemon, leftover, signal));
      // Only there a digest is a name of its own, which may have got in before its tag did.
      const digests = store === 'graph' && tags.length === 0 ? leftoversIn(image.digests) : [];
      for (const leftover of digests) await unlessFails(leftover, signal, () => daemon.untag(leftover.name, signal));
    }
  } catch (error) {
    signal.throwIfAborted();
    log(null, 'the engine was not searched for what a crash left', { problem: problemOf(error) });
  }
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

function leftoversIn(names: ListedImage['tags']): readonly Leftover[] {
  return names.flatMap((name) => {
    const parsed = parseRelayName(name);
    return parsed !== null && ownerState(parsed.instance) === 'dead' ? [{ name, parsed }] : [];
  });
}

async function sweep(daemon: DockerDaemon, { name, parsed }: Leftover, signal: AbortSignal): Promise<void> {
  const { canonicalName, tag } = parsed;
  if (canonicalName !== null && tag !== null) {
    const own = { name: canonicalName, tag };
    const isNamed = (await daemon.inspect(textOfTag(own), signal)) !== null;
    if (!isNamed) await daemon.tag(name, own, signal);
    log(null, 'a pull that was cut off has left an image', { image: textOfTag(own), isNamed });
  }
  await daemon.untag(name, signal);
}
