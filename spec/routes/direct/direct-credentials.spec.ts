import { expect } from 'chai';
import { daemonCredentials } from '../../../lib/routes/direct/direct-credentials.js';

const host = 'quay.io';

describe('what a daemon is told to show a registry', () => {
  for (const store of ['graph', 'containerd', 'podman'] as const) {
    it(`is a user, or an identity token, on ${store}`, () => {
      expect(daemonCredentials({ username: 'ann', password: 's3cret' }, host, store)).to.deep.equal({
        username: 'ann',
        password: 's3cret',
        serveraddress: host,
      });
      expect(daemonCredentials({ identityToken: 'refresh' }, host, store)).to.deep.equal({
        identitytoken: 'refresh',
        serveraddress: host,
      });
    });
  }

  it('is an access token, except by Podman, which would ask as nobody', () => {
    for (const store of ['graph', 'containerd'] as const) {
      expect(daemonCredentials({ registryToken: 'access' }, host, store)).to.deep.equal({
        registrytoken: 'access',
        serveraddress: host,
      });
    }
    expect(daemonCredentials({ registryToken: 'access' }, host, 'podman')).to.equal(null);
  });
});
