import { type FaultProxy, pushImage, startFaultProxy, startRegistryDouble } from '../../lib/testing/index.js';
import { registryUser, requireDockerRegistry, startDockerRegistry } from '../support/docker-registry.js';
import { requireReal } from '../support/real-parts.js';
import { createAuthority } from '../support/tls.js';
import { describeBasicContract, describeBearerContract } from './auth-contract.js';
import { contractImages, type ContractRegistry, describeRegistryContract } from './registry-contract.js';

import { ask } from '../testing/plain-client.js';
import { startTokenService } from './token-service.js';

const images = Object.values(contractImages);

describe('the registry contract', () => {
  describe('holds for the registry double', () => {
    describeRegistryContract(() => startRegistryDouble({ images: Object.fromEntries(images) }));
  });

  describe('holds for a real registry', () => {
    requireDockerRegistry();
    describeRegistryContract(async () => {
      const registry = await startDockerRegistry();
      for (const [name, image] of images) await pushImage(registry.url, name, image);
      return registry;
    });
  });

  describe('holds for a real registry behind a fault proxy, pushes included', () => {
    requireDockerRegistry();
    describeRegistryContract(async (): Promise<ContractRegistry> => {
      const registry = await startDockerRegistry();
      const proxy: FaultProxy = await startFaultProxy(registry.url);
      for (const [name, image] of images) await pushImage(proxy.url, name, image);
      return {
        url: proxy.url,
        close: async () => {
          await proxy.close();
          await registry.close();
        },
      };
    });
  });
});

describe('the contract of registries with passwords', () => {
  const { name, password } = registryUser;

  describe('holds for the registry double', () => {
    describeBasicContract(async () => {
      const [imageName, image] = contractImages.plain;
      const auth = { kind: 'basic', users: { [name]: password } } as const;
      const registry = await startRegistryDouble({ images: { [imageName]: image }, auth });
      return Object.assign(registry, { user: registryUser });
    });
  });

  describe('holds for a real registry', () => {
    requireDockerRegistry();
    describeBasicContract(async () => {
      const registry = await startDockerRegistry({ auth: 'htpasswd' });
      const authorization = `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`;
      await pushImage(registry.url, ...contractImages.plain, { authorization });
      return { ...registry, user: registryUser };
    });
  });
});

describe('the contract of registries with tokens', () => {
  const { name, password } = registryUser;

  describe('holds for the registry double', () => {
    describeBearerContract(async () => {
      const [imageName, image] = contractImages.plain;
      const auth = { kind: 'bearer', users: { [name]: password } } as const;
      const registry = await startRegistryDouble({ images: { [imageName]: image }, auth });
      return Object.assign(registry, { user: registryUser });
    });
  });

  describe('holds for a real registry', () => {
    requireDockerRegistry();
    requireReal('openssl', 'apt-get install openssl');
    describeBearerContract(async () => {
      const authority = createAuthority();
      const tokens = await startTokenService(authority.issue(['token-service']), registryUser);
      const registry = await startDockerRegistry({ auth: { ...tokens, certificate: authority.ca } });
      const url = new URL(tokens.realm);
      url.searchParams.set('scope', 'repository:aptible/redis:pull,push');
      const { body } = await ask(url.href, {
        headers: { authorization: `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}` },
      });
      const { token } = JSON.parse(body.toString('utf8')) as { token: string };
      await pushImage(registry.url, ...contractImages.plain, { authorization: `Bearer ${token}` });
      return {
        url: registry.url,
        user: registryUser,
        close: async () => {
          await registry.close();
          await tokens.close();
        },
      };
    });
  });
});
