import { expect } from 'chai';
import { createCircuits, type Circuits } from '../../../lib/health/circuit.js';
import { parseHealthOptions } from '../../../lib/health/health-options.js';
import { createProber } from '../../../lib/health/probe/prober.js';
import { createProbeTargets } from '../../../lib/health/probe/probe-targets.js';
import { probeBytes } from '../../../lib/health/probe/probe-targets-document.js';
import { resolveLimits } from '../../../lib/policy/limits.js';
import { fastTimeouts } from '../../../lib/testing/fast-timeouts.js';
import { layers } from '../../../lib/testing/fault-groups.js';
import { startRegistryDouble } from '../../../lib/testing/registry-double.js';
import { seededImage } from '../../../lib/testing/seeded-image.js';
import type { Reason } from '../../../lib/vocabulary/reason.js';
import { openRig, useServers } from '../../distribution/rig.js';
import { until } from '../../support/until.js';

const repository = 'aptible/redis';
const image = seededImage({ bytes: [1_000_000] });
const stalled: Reason = { cause: 'registry-storage', code: 'stalled', message: 'it stopped sending' };

describe('a registry whose storage stalls in the middle of layers', () => {
  const started = useServers();
  const stall = layers.stall({ afterBytes: 600_000 });

  it('stays open while it does, and is back by itself once it does not, with no pull in between', async () => {
    const registry = await started(
      startRegistryDouble({ images: { [`${repository}:3.0`]: image }, faults: [stall], redirects: true }),
    );
    const [layer] = image.layers;
    if (layer === undefined) throw new Error('no layer');
    const settings = parseHealthOptions({
      consecutiveFailures: 1,
      coolDownMs: 200,
      maxCoolDownMs: 400,
      probe: { intervalMs: 100 },
    });
    const told: string[] = [];
    const circuits: Circuits = createCircuits(settings, {
      opened: ({ seenBy, reason }) => told.push(`opened by ${seenBy}: ${reason.cause}`),
      halfOpened: () => told.push('half-opened'),
      closed: ({ seenBy }) => told.push(`closed by ${seenBy}`),
    });
    const targets = createProbeTargets();
    targets.failedAt(registry.host, { repository, digest: layer.digest, size: layer.sizeBytes, offset: 600_000 });
    targets.served(registry.host, 'metadata', { repository, object: '3.0' });
    const { client } = openRig(registry.host);
    const prober = createProber({
      circuits,
      settings,
      targets,
      limits: resolveLimits([{ path: 'timeouts', timeouts: fastTimeouts }]),
      clientOf: () => client,
      registries: [registry.host],
    });
    try {
      circuits.record(registry.host, 'layers', { ill: stalled });
      await until(() => told.filter((each) => each.startsWith('opened')).length >= 3, 'two probes that failed');
      expect(told.slice(0, 5)).to.deep.equal([
        'opened by pull: registry-storage',
        'half-opened',
        'opened by probe: registry-storage',
        'half-opened',
        'opened by probe: registry-storage',
      ]);
      await registry.setFaults([]);
      registry.resetConnections();
      await until(() => told.at(-1) === 'closed by probe', 'closed');
      const asked = registry.requests.filter(({ kind }) => kind === 'storage');
      expect(asked.every(({ range }) => range?.start === 600_000)).to.equal(true);
      expect(asked.filter(({ bytesSent }) => bytesSent === probeBytes)).to.have.length.at.least(3);
      expect(registry.requests.filter(({ kind }) => kind === 'manifest')).to.deep.equal([]);
      expect(registry.violations).to.deep.equal([]);
    } finally {
      await prober.close();
    }
  });
});
