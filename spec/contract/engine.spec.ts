import { requireDockerRegistry } from '../support/docker-registry.js';
import { requireDockerd, requireNextRelease, startDockerd } from '../support/docker-engine.js';
import { requirePodman, startPodman } from '../support/podman-engine.js';
import { describeEngineContract } from './engine-contract.js';

const routes = ['relay', 'load', 'direct'] as const;

describe('Docker with its classic store', () => {
  requireDockerRegistry();
  requireDockerd();
  describeEngineContract({ start: () => startDockerd(), routes, sharingRoutes: routes });
});

describe('Docker with its containerd store', () => {
  requireDockerRegistry();
  requireNextRelease();
  describeEngineContract({
    start: () => startDockerd({ store: 'containerd' }),
    routes,
    sharingRoutes: ['relay', 'direct'],
  });
});

describe('Podman', () => {
  requireDockerRegistry();
  requirePodman();
  describeEngineContract({ start: () => startPodman(), routes, sharingRoutes: ['relay', 'direct'] });
});
