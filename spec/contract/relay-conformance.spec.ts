import { pushImage, seededImage, startRegistryDouble, type TestImage } from '../../lib/testing/index.js';
import { closeRelayRigs, openRelayRig, repository, tag } from '../relay/support/relay-rig.js';
import { requireDockerRegistry, startDockerRegistry } from '../support/docker-registry.js';
import { describePullConformance } from './relay-conformance.js';

const images: Readonly<Record<string, TestImage>> = {
  'a manifest': seededImage({ bytes: [30_001, 1, 500], seed: 'conformance' }),
  "a list in Docker's formats": seededImage({
    bytes: 4_000,
    platforms: ['linux/amd64', 'linux/arm64/v8'],
    mediaTypes: 'docker',
    compression: 'gzip',
  }),
  'an index with attestations': seededImage({ bytes: 4_000, platforms: ['linux/amd64'], attestations: true }),
};

describe('the rules of the specification for pulling', () => {
  for (const [what, image] of Object.entries(images)) {
    describe(`hold for the relay, with ${what}`, () => {
      describePullConformance(async () => {
        const rig = await openRelayRig({ image, registries: [{}] });
        await rig.serve();
        // A daemon that wants more than its platform has asked for the manifests first.
        for (const { digest } of image.documents) await rig.ask(`/v2/${repository}/manifests/${digest}`);
        const { url, authorization } = rig;
        return { url, repository, tag, image, authorization, close: closeRelayRigs };
      });
    });

    describe(`hold for the registry double, with ${what}`, () => {
      describePullConformance(async () => {
        const double = await startRegistryDouble({ images: { 'team/app:1': image }, strict: false });
        return { url: double.url, repository: 'team/app', tag: '1', image, close: () => double.close() };
      });
    });

    describe(`hold for a real registry, with ${what}`, () => {
      requireDockerRegistry();
      describePullConformance(async () => {
        const registry = await startDockerRegistry();
        await pushImage(registry.url, 'team/app:1', image);
        return { url: registry.url, repository: 'team/app', tag: '1', image, close: () => registry.close() };
      });
    });
  }
});
