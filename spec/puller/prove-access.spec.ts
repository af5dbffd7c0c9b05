import { expect } from 'chai';
import { isPullExhaustedError } from '../../lib/errors/pull-exhausted-error.js';
import type { PullOptions } from '../../lib/puller/options.js';
import { connection, type Fault, metadata, seededImage } from '../../lib/testing/index.js';
import type { RegistryDouble } from '../../lib/testing/registry-double.js';
import { failureOf } from '../support/failure-of.js';
import { usePullRig } from './pull-rig.js';

const image = seededImage({ layers: 2, bytes: 5_000, seed: 'prove access' });
const own = { credentials: { username: 'tenant', password: 'of the tenant' } } as const;

describe('an image that the engine got for somebody else', () => {
  const rig = usePullRig();
  let registry: RegistryDouble;
  let name: string;

  beforeEach(async () => {
    registry = await rig.registry({ images: { 'team/app:1': image } });
    name = `${registry.host}/team/app:1`;
    await rig.puller().pullWithFailover(name);
  });

  async function ask(faults: readonly Fault[], options: PullOptions) {
    await registry.setFaults(faults);
    const before = registry.requests.length;
    const puller = rig.puller();
    const outcome = await puller.pullWithFailover(name, { ...own, ...options }).catch((error: unknown) => error);
    return { outcome, asked: registry.requests.slice(before).filter(({ kind }) => kind === 'manifest') };
  }

  it('is given to a caller with other credentials when the registry shows them the manifest', async () => {
    const { outcome, asked } = await ask([], { pullPolicy: 'if-not-present' });
    expect(outcome).to.include({ source: 'cache', digest: image.digest });
    expect(asked.map(({ object }) => object)).to.deep.equal([image.digest]);
  });

  for (const status of [401, 403, 404]) {
    it(`is not given to one whom the registry denies it with ${status}`, async () => {
      const { outcome } = await ask([metadata.status(status)], { pullPolicy: 'if-not-present' });
      expect(isPullExhaustedError(outcome) && outcome.attempts.at(-1)?.reason.code).to.equal(`http-${status}`);
    });

    it(`is not given instead of what was denied with ${status} by whenExhausted`, async () => {
      const { outcome } = await ask([metadata.status(status)], { whenExhausted: 'use-cached' });
      expect(isPullExhaustedError(outcome)).to.equal(true);
    });
  }

  it('is given while the registry cannot be asked: an outage proves nothing against the caller', async () => {
    for (const options of [{ pullPolicy: 'if-not-present' }, { whenExhausted: 'use-cached' }] as const) {
      const { outcome } = await ask([connection.refuse()], options);
      expect(outcome, JSON.stringify(options)).to.include({ source: 'cache', digest: image.digest });
    }
  });

  it('counts for the health of the registry when it is shown to them, as its failures do', async () => {
    const puller = rig.puller({ health: { consecutiveFailures: 2 } });
    for (const faults of [[metadata.status(503)], [], [metadata.status(503)]]) {
      await registry.setFaults(faults);
      await puller.pullWithFailover(name, { ...own, pullPolicy: 'if-not-present' });
    }
    // Two failures, and between them a good answer: they are not consecutive.
    expect(puller.health().map(({ phase, state }) => `${phase} ${state}`)).to.include('metadata closed');
    await puller.pullWithFailover(name, { ...own, pullPolicy: 'if-not-present' });
    expect(puller.health().map(({ phase, state }) => `${phase} ${state}`)).to.include('metadata open');
  });

  it('is given without asking anybody where the policy says never', async () => {
    const { outcome, asked } = await ask([metadata.status(403)], { pullPolicy: 'never' });
    expect(outcome).to.include({ source: 'cache' });
    expect(asked).to.deep.equal([]);
  });

  it('is given without asking anybody to a caller without credentials of its own', async () => {
    await registry.setFaults([metadata.status(403)]);
    const report = await rig.puller().pullWithFailover(name, { pullPolicy: 'if-not-present' });
    expect(report.source).to.equal('cache');
    expect(await failureOf(rig.puller().pullWithFailover(name))).to.have.property('code', 'ERR_PULL_EXHAUSTED');
  });
});
