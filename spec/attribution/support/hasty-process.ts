/** The process of a registry double that fails while whoever pulls from it does nothing. */
import { seededImage, startRegistryDouble } from '../../../lib/testing/index.js';
import type { HastyOrder } from './hasty-registry.js';

const { images, faults, bandwidth } = JSON.parse(process.argv[2] ?? '{}') as HastyOrder;
const registry = await startRegistryDouble({
  images: Object.fromEntries(Object.entries(images).map(([name, recipe]) => [name, seededImage(recipe)])),
  faults,
  bandwidth,
});
process.once('disconnect', () => void registry.close());
process.send?.(registry.host);
