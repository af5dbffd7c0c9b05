import { expect } from 'chai';
import type { TestImage } from '../../../lib/testing/index.js';
import { diffIdsOf, namesOf } from '../../contract/engine-contract.js';
import type { RealEngine } from '../../support/real-engine.js';

/** A daemon has exactly this image under a name, and containers can be created from it. */
export async function expectInDaemon(
  real: Pick<RealEngine, 'docker'>,
  reference: string,
  image: TestImage,
): Promise<void> {
  const [manifest] = image.manifests;
  if (manifest === undefined) throw new Error('it has a manifest');
  const { RootFS } = await real.docker.getImage(reference).inspect();
  expect(RootFS.Layers, reference).to.deep.equal(diffIdsOf(manifest));
  const container = await real.docker.createContainer({
    Image: reference,
    Cmd: ['/seeded.bin'],
    HostConfig: { NetworkMode: 'none' },
  });
  await container.remove();
}

/** Nothing in a daemon tells that there ever was a relay. */
export async function expectNoRelayNames(real: Pick<RealEngine, 'docker'>): Promise<void> {
  expect((await namesOf(real)).split('\n').filter((name) => name.includes('/pull-failover/'))).to.deep.equal([]);
}

/** Takes an image away, where it is there. */
export async function removeFromDaemon({ docker }: Pick<RealEngine, 'docker'>, name: string): Promise<void> {
  await docker
    .getImage(name)
    .remove({ force: true })
    .catch((error: unknown) => {
      if ((error as { readonly statusCode?: number }).statusCode !== 404) throw error;
    });
}
