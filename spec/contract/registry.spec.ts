import { type FaultProxy, pushImage, startFaultProxy, startRegistryDouble } from '../../lib/testing/index.js';
import { requireDockerRegistry, startDockerRegistry } from '../support/docker-registry.js';
import { contractImages, type ContractRegistry, describeRegistryContract } from './registry-contract.js';

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
