import type { RealEngine } from '../../spec/support/real-engine.js';
import { type NamedImage, WrongContentError } from '../contender.js';
import type { EngineChoice } from './engine-choice.js';

/**
 * An engine gives an image its id only if every layer unpacks to what the config says of it.
 *
 * @throws WrongContentError
 */
export async function checkEngine(
  { docker }: RealEngine,
  choice: EngineChoice,
  host: string,
  images: readonly NamedImage[],
  title: string,
): Promise<void> {
  for (const { name, image } of images) {
    const { Id: id } = await docker.getImage(`${host}/${name}`).inspect();
    const expected = choice === 'containerd' ? image.digest : image.config.digest;
    if (!expected.endsWith(id)) throw new WrongContentError(`${title}: ${name} is ${id} instead of ${expected}`);
  }
}
