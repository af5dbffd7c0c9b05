import { expect } from 'chai';
import { parseReference } from '../../lib/image/reference.js';
import { fixedCredentials } from '../../lib/registries/credential-source.js';
import type { DockerConfig } from '../../lib/registries/docker-config.js';
import { overrideCredentials } from '../../lib/registries/override-credentials.js';
import { parseReplicaSets } from '../../lib/registries/replica-set.js';

const dockerConfig: DockerConfig = { credentials: (host) => fixedCredentials({ registryToken: `own-of-${host}` }) };
const given = fixedCredentials({ registryToken: 'given' });

async function tokensFor(registries: readonly string[] | undefined, image: string): Promise<readonly unknown[]> {
  const reference = parseReference(image);
  const { places } = parseReplicaSets({ registries, dockerConfig }).place(reference);
  return Promise.all(
    overrideCredentials(places, reference, given).map(async ({ registry, credentials }) => [
      registry.prefix,
      await credentials.get(),
    ]),
  );
}

describe('credentials given for one pull', () => {
  it(`go to the image's own registry, and never to another host or port`, async () => {
    const registries = [
      'quay.io/aptible',
      'quay.io:8443/aptible',
      'docker.io/aptible',
      '10.0.0.5:5000/quay.io/aptible',
    ];
    expect(await tokensFor(registries, 'quay.io/aptible/redis:3.0')).to.deep.equal([
      ['quay.io/aptible', { registryToken: 'given' }],
      ['quay.io:8443/aptible', { registryToken: 'own-of-quay.io:8443' }],
      ['docker.io/aptible', { registryToken: 'own-of-docker.io' }],
      ['10.0.0.5:5000/quay.io/aptible', { registryToken: 'own-of-10.0.0.5:5000' }],
    ]);
  });

  it('follow the name of the image, not the order of the list', async () => {
    expect(await tokensFor(['quay.io/aptible', 'docker.io/aptible'], 'aptible/redis')).to.deep.equal([
      ['quay.io/aptible', { registryToken: 'own-of-quay.io' }],
      ['docker.io/aptible', { registryToken: 'given' }],
    ]);
  });

  it('reach Docker Hub under each of its names', async () => {
    expect(await tokensFor(['index.docker.io'], 'registry-1.docker.io/library/redis')).to.deep.equal([
      ['docker.io', { registryToken: 'given' }],
    ]);
  });

  it('reach the own registry of an image outside every set', async () => {
    expect(await tokensFor(undefined, 'ghcr.io/x/y')).to.deep.equal([['ghcr.io', { registryToken: 'given' }]]);
  });

  it('are not needed: without them every place has its own', async () => {
    const reference = parseReference('quay.io/aptible/redis');
    const { places } = parseReplicaSets({ registries: ['quay.io/aptible'], dockerConfig }).place(reference);
    const [place] = overrideCredentials(places, reference, undefined);
    expect(await place?.credentials.get()).to.deep.equal({ registryToken: 'own-of-quay.io' });
    expect(place?.repository).to.equal('aptible/redis');
  });
});
