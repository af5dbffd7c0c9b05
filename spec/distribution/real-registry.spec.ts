import { expect } from 'chai';
import type { RegistryOptions } from '../../lib/registries/registry.js';
import { digestOf, parseDigest } from '../../lib/image/digest.js';
import { pushImage, seededImage, startRegistryDouble } from '../../lib/testing/index.js';
import type { Digest } from '../../lib/vocabulary/digest.js';
import { startTokenService } from '../contract/token-service.js';
import { registryUser, requireDockerRegistry, startDockerRegistry } from '../support/docker-registry.js';
import { requireReal } from '../support/real-parts.js';
import { createAuthority } from '../support/tls.js';
import { closeRigs, evidenceOf, openRig, readAll, type Rig } from './rig.js';

const image = seededImage({ layers: 1, bytes: 10_001 });
const name = 'aptible/redis:3.0';
const { name: username, password } = registryUser;
const basic = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;

interface Started {
  readonly url: string;
  readonly credentials?: RegistryOptions['credentials'];
  close(): Promise<void>;
}

/** What the client does with a registry that behaves, whoever it is. */
function describeClient(start: () => Promise<Started>): void {
  let registry: Started;
  let rig: Rig;
  before(async () => {
    registry = await start();
    rig = openRig(new URL(registry.url).host, { registry: { credentials: registry.credentials ?? 'none' } });
  });
  after(async () => {
    expect(await closeRigs()).to.equal(0);
    await registry?.close();
  });
  const repository = 'aptible/redis';
  const layer = image.layers[0] as (typeof image.layers)[number];
  const content = Buffer.concat([...layer.read()]);
  const { digest } = layer;

  it('reads a manifest whose bytes have the digest that the registry names', async () => {
    const { client, context } = rig;
    const answer = await client.getManifest({ ...context, repository, reference: '3.0' });
    expect(answer.digestHeader).to.equal(digestOf(answer.bytes));
    const head = await client.headManifest({ ...context, repository, reference: '3.0' });
    expect(head).to.deep.equal({
      digest: answer.digestHeader,
      mediaType: answer.mediaType,
      size: answer.bytes.length,
    });
  });

  for (const from of [0, 1, 5_000, 9_999, 10_000]) {
    it(`reads a blob of 10001 bytes from byte ${from}`, async () => {
      const { client, context } = rig;
      const request = { ...context, repository, digest, size: content.length, from, firstByteMs: 10_000 };
      const { start, body } = await client.openBlob(request);
      expect(start).to.equal(from);
      expect((await readAll(body)).equals(content.subarray(from))).to.equal(true);
    });
  }

  it('is told what is not there', async () => {
    const { client, context } = rig;
    expect(await evidenceOf(client.getManifest({ ...context, repository, reference: 'missing' }))).to.deep.equal({
      kind: 'status',
      status: 404,
      from: 'registry',
      specCodes: ['MANIFEST_UNKNOWN'],
    });
    const missing = parseDigest(`sha256:${'0123456789abcdef'.repeat(4)}`) as Digest;
    const opening = client.openBlob({ ...context, repository, digest: missing, size: 9, from: 0, firstByteMs: 10_000 });
    expect(await evidenceOf(opening)).to.deep.include({ status: 404, specCodes: ['BLOB_UNKNOWN'] });
  });
}

describe('the client', () => {
  describe('of a registry double', () => {
    describeClient(() => startRegistryDouble({ images: { [name]: image } }));
  });
  describe('of a registry double that redirects and wants tokens', () => {
    describeClient(async () => {
      const auth = { kind: 'bearer', users: { [username]: password } } as const;
      const registry = await startRegistryDouble({ images: { [name]: image }, auth, redirects: true });
      return Object.assign(registry, { credentials: { username, password } });
    });
  });
  describe('of a real registry', () => {
    requireDockerRegistry();
    describeClient(async () => {
      const registry = await startDockerRegistry();
      await pushImage(registry.url, name, image);
      return registry;
    });
  });
  describe('of a real registry with passwords', () => {
    requireDockerRegistry();
    describeClient(async () => {
      const registry = await startDockerRegistry({ auth: 'htpasswd' });
      await pushImage(registry.url, name, image, { authorization: basic });
      return { ...registry, credentials: { username, password } };
    });
  });
  describe('of a real registry with tokens', () => {
    requireDockerRegistry();
    requireReal('openssl', 'apt-get install openssl');
    describeClient(async () => {
      const authority = createAuthority();
      const tokens = await startTokenService(authority.issue(['token-service']), registryUser);
      const registry = await startDockerRegistry({ auth: { ...tokens, certificate: authority.ca } });
      const asking = await fetch(`${tokens.realm}?scope=repository:aptible/redis:pull,push`, {
        headers: { authorization: basic },
      });
      const { token } = (await asking.json()) as { readonly token: string };
      await pushImage(registry.url, name, image, { authorization: `Bearer ${token}` });
      return {
        url: registry.url,
        credentials: { username, password },
        close: async () => {
          await registry.close();
          await tokens.close();
        },
      };
    });
  });
});
