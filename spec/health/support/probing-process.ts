import { createCircuits } from '../../../lib/health/circuit.js';
import { parseHealthOptions } from '../../../lib/health/health-options.js';
import { createProber } from '../../../lib/health/probe/prober.js';
import { createProbeTargets } from '../../../lib/health/probe/probe-targets.js';
import { resolveLimits } from '../../../lib/policy/limits.js';

/** Opens a circuit that is to be probed in an hour, has canaries for another registry, and ends without closing anything. */
const settings = parseHealthOptions({
  consecutiveFailures: 1,
  coolDownMs: 3_600_000,
  maxCoolDownMs: 3_600_000,
  canary: { intervalMs: 3_600_000 },
});
const registries = ['quay.io/aptible', 'docker.io/aptible'];
const circuits = createCircuits(settings, {}, { registries });
const targets = createProbeTargets();
for (const registry of registries) {
  targets.served(registry, 'metadata', { repository: 'aptible/redis', object: '3.0' });
}
const nobody = (): never => {
  throw new Error('nobody is asked');
};
createProber({
  circuits,
  settings,
  targets,
  limits: resolveLimits([]),
  clientOf: () => ({ openBlob: nobody, headManifest: nobody }),
  registries,
});
circuits.record('quay.io/aptible', 'metadata', {
  ill: { cause: 'registry-api', code: 'request-late', message: 'late' },
});
process.stdout.write(JSON.stringify(circuits.health().map(({ nextProbeAtMs }) => nextProbeAtMs !== null)));
