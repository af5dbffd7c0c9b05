import { expect } from 'chai';
import type { RegistryClient } from '../../lib/distribution/client.js';
import { ExchangeError } from '../../lib/distribution/wire-error.js';
import { fetchManifest } from '../../lib/failover/manifest/fetch-manifest.js';
import { sleep } from '../../lib/policy/deadline.js';
import { reasonToPullDirectly } from '../../lib/puller/attempt-direct.js';
import { connection, type Fault, metadata } from '../../lib/testing/index.js';
import { closeHeartRigs, type HeartPull, type HeartRig, openHeartRig } from '../failover/support/heart-rig.js';
import { failureOf } from '../support/failure-of.js';

describe('an engine is left to pull by itself', () => {
  afterEach(closeHeartRigs);

  const openRig = (registries: readonly (readonly Fault[])[]): Promise<HeartRig> =>
    openHeartRig({ registries, hedge: { metadataMs: 50, layersMs: Infinity, budget: 1 } });
  const reasonOf = async ({ context }: HeartPull): Promise<string | null> => {
    const error = await failureOf(fetchManifest(context, { tag: '1' }));
    return reasonToPullDirectly(context, error)?.code ?? null;
  };

  it('where this process reaches no registry', async () => {
    const rig = await openRig([[connection.refuse()], [connection.refuse()]]);
    expect(await reasonOf(rig.openPull())).to.equal('connection-refused');
  });

  it('where it takes long to find out that it reaches none, so that the next one was asked too', async () => {
    const rig = await openRig([[], []]);
    for (const candidate of rig.candidates) {
      const timedOut = new ExchangeError('nobody answered', {
        evidence: { kind: 'connection', code: 'timed-out', reused: false, bytes: 0, lateMs: 0 },
        phase: 'metadata',
      });
      const getManifest: RegistryClient['getManifest'] = async ({ onConnection }) => {
        onConnection?.(true);
        await sleep(300);
        throw timedOut;
      };
      Object.assign(candidate, { client: { ...candidate.client, getManifest } });
    }
    const pull = rig.openPull();
    expect(await reasonOf(pull)).to.equal('connection-timed-out');
    expect(pull.sources.served.map(({ hedges }) => hedges)).to.deep.equal([{ won: 0, lost: 1 }]);
  });

  it('not where a registry answered, whatever it said', async () => {
    for (const answer of [metadata.status(500), metadata.html()]) {
      const rig = await openRig([[connection.refuse()], [answer]]);
      expect(await reasonOf(rig.openPull())).to.equal(null);
    }
  });
});
