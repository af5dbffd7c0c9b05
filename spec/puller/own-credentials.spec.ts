import { expect } from 'chai';
import { createPuller } from '../../lib/puller/create-puller.js';
import { ownCredentialsOf } from '../../lib/puller/own-credentials.js';
import type { PullerOptions } from '../../lib/puller/options.js';
import type { Puller } from '../../lib/puller/puller.js';
import { parseReference } from '../../lib/image/reference.js';

const registries = [
  { prefix: 'quay.io/team', credentials: { username: 'ann', password: 's3cret' } },
  { prefix: 'docker.io/team', credentials: { identityToken: 'refresh' } },
  { prefix: 'docker.io/mirror/team', credentials: 'none' },
] as const;

describe('what a puller shows the own registry of an image', () => {
  const shown = async (image: string, options: PullerOptions = { registries }, wrap = (puller: Puller) => puller) => {
    await using puller = createPuller(options);
    return (await ownCredentialsOf(wrap(puller), parseReference(image))?.get()) ?? null;
  };

  it('is what that registry has, of all in the set', async () => {
    expect(await shown('quay.io/team/app:1')).to.deep.equal({ username: 'ann', password: 's3cret' });
    expect(await shown('registry-1.docker.io/team/app:1')).to.deep.equal({ identityToken: 'refresh' });
    expect(await shown('docker.io/mirror/team/app:1')).to.equal(null);
  });

  it('is the same when it is asked through an object that a host made of it', async () => {
    const wrapped = await shown('quay.io/team/app:1', { registries }, (puller) => ({ ...puller }));
    expect(wrapped).to.deep.equal({ username: 'ann', password: 's3cret' });
  });

  it('is nothing for a puller of another make', async () => {
    await using stranger = createPuller({ registries });
    expect(ownCredentialsOf({ ...stranger, events: {} as never }, parseReference('quay.io/team/app:1'))).to.equal(null);
  });
});
