import { expect } from 'chai';
import {
  createAttribution,
  sightMemoryMs,
  type Attribution,
  type ProvenFault,
  type SeenFailure,
} from '../../../lib/health/attribution.js';
import { culpritOf } from '../../../lib/health/cause.js';
import type { Finding } from '../../../lib/vocabulary/finding.js';
import type { Cause, Reason } from '../../../lib/vocabulary/reason.js';
import { startFakeTime, type FakeTime } from '../../support/fake-time.js';

const registry = 'quay.io/aptible';
const stalled: Reason = { cause: 'registry-storage', code: 'stalled', message: 'it stopped' };

describe('whose fault a failure is', () => {
  let time: FakeTime;
  let proven: ProvenFault[];
  let attribution: Attribution;

  beforeEach(() => {
    time = startFakeTime();
    proven = [];
    attribution = createAttribution((fault) => proven.push(fault));
  });
  afterEach(() => time.restore());

  const failure = (engine: string, viaEngine: boolean, more: Partial<SeenFailure> = {}): SeenFailure => ({
    registry,
    phase: 'layers',
    engine,
    viaEngine,
    reason: stalled,
    isCounted: !viaEngine,
    ...more,
  });
  const failed = (...args: Parameters<typeof failure>): readonly [Finding['fault'], Finding['evidence']] => {
    const { fault, evidence } = attribution.failed(failure(...args));
    return [fault, evidence];
  };
  const succeeded = (engine: string, viaEngine: boolean): void =>
    attribution.succeeded({ registry, phase: 'layers', engine, viaEngine });

  it('is no registry’s for every cause that no registry is to blame for, and such a failure says nothing of it', () => {
    for (const cause of Object.keys(culpritOf) as Cause[]) {
      if (culpritOf[cause] === 'registry') continue;
      const reason: Reason = { cause, code: 'unexpected', message: cause };
      expect(failed('host-1', false, { reason }), cause).to.deep.equal(['host', 'none']);
      expect(failed('host-2', true, { reason }), cause).to.deep.equal(['host', 'none']);
    }
    expect(failed('host-3', false)).to.deep.equal(['unproven', 'own-process']);
  });

  it('is the registry’s where it does not have what is wanted, which speaks for nobody’s illness', () => {
    const reason: Reason = { cause: 'not-replicated', code: 'http-404', message: 'it is not there' };
    expect(failed('host-1', true, { reason })[0]).to.equal('registry');
    expect(failed('host-2', true, { reason })[0]).to.equal('registry');
    expect(proven).to.deep.equal([]);
    expect(failed('host-3', true)).to.deep.equal(['unproven', 'none']);
  });

  for (const viaEngine of [false, true]) {
    const how = viaEngine ? 'by engines' : 'by this process';
    it(`is unproven the first time, and the registry’s when a second engine has seen it (${how})`, () => {
      expect(failed('host-1', viaEngine)).to.deep.equal(['unproven', viaEngine ? 'none' : 'own-process']);
      expect(failed('host-1', viaEngine), 'again the same one').to.deep.equal([
        'unproven',
        viaEngine ? 'none' : 'own-process',
      ]);
      expect(failed('host-2', viaEngine)).to.deep.equal(['registry', 'two-engines']);
      expect(failed('host-1', viaEngine)).to.deep.equal(['registry', 'two-engines']);
    });

    it(`is the registry’s when a probe of this process fails as well, before or after (${how})`, () => {
      failed('host-1', viaEngine);
      attribution.probed(registry, 'layers', 'ill');
      expect(attribution.last(registry, 'layers')).to.deep.include({ fault: 'registry', evidence: 'probe' });
      expect(failed('host-1', viaEngine)).to.deep.equal(['registry', 'probe']);
    });
  }

  it('is the host’s when one engine fails by itself and others succeed at the same registry', () => {
    succeeded('host-2', true);
    expect(failed('host-1', true)).to.deep.equal(['host', 'others-succeed']);
    expect(attribution.failed(failure('host-1', true)).because).to.equal('host-2 got what it wanted there');
  });

  it('is the host’s when what an engine cannot fetch, this process can, for the same engine too', () => {
    succeeded('host-1', false);
    expect(failed('host-1', true)).to.deep.equal(['host', 'others-succeed']);
    attribution.probed(registry, 'layers', 'good');
    expect(failed('host-3', true)).to.deep.equal(['host', 'probe']);
  });

  it('is never one engine’s where this process has fetched itself', () => {
    succeeded('host-2', false);
    expect(failed('host-1', false)).to.deep.equal(['unproven', 'others-succeed']);
    attribution.probed(registry, 'layers', 'good');
    expect(failed('host-1', false)).to.deep.equal(['unproven', 'probe']);
  });

  it('is not decided by how the one that failed had fared before', () => {
    succeeded('host-1', true);
    expect(failed('host-1', true)).to.deep.equal(['unproven', 'none']);
  });

  it('goes by who saw it last where others disagree', () => {
    failed('host-2', true);
    succeeded('host-3', true);
    expect(failed('host-1', true)).to.deep.equal(['host', 'others-succeed']);
    failed('host-2', true, { isCounted: true });
    expect(failed('host-1', true)).to.deep.equal(['registry', 'two-engines']);
    attribution.probed(registry, 'layers', 'good');
    expect(failed('host-1', true)).to.deep.equal(['host', 'probe']);
  });

  it('is one phase’s and one registry’s alone', () => {
    failed('host-1', true);
    expect(failed('host-2', true, { phase: 'metadata' })).to.deep.equal(['unproven', 'none']);
    expect(failed('host-2', true, { registry: 'docker.io/aptible' })).to.deep.equal(['unproven', 'none']);
  });

  it('forgets after five minutes what others saw', async () => {
    failed('host-1', true);
    attribution.probed(registry, 'layers', 'ill');
    await time.passMs(sightMemoryMs - 1);
    expect(failed('host-2', true)[0]).to.equal('registry');
    await time.passMs(sightMemoryMs);
    expect(attribution.last(registry, 'layers')).to.equal(null);
    expect(failed('host-3', true)).to.deep.equal(['unproven', 'none']);
  });

  describe('once it is proven', () => {
    const reasons = (): readonly string[] => proven.map(({ reason }) => reason.message);
    const saying = (message: string): Partial<SeenFailure> => ({ reason: { ...stalled, message } });

    it('is told of every failure that no circuit had heard of, once', () => {
      failed('host-1', true, saying('first'));
      expect(proven).to.deep.equal([]);
      failed('host-2', true, saying('second'));
      expect(reasons()).to.deep.equal(['first', 'second']);
      expect(proven[0]).to.deep.include({ registry, phase: 'layers' });
      expect(proven[0]?.finding.evidence).to.equal('two-engines');
      attribution.probed(registry, 'layers', 'ill');
      expect(proven).to.have.length(2);
    });

    it('is not told of one that its circuit has heard of, nor of one that is the host’s', () => {
      failed('host-1', false, saying('counted'));
      failed('host-2', true, saying('not counted'));
      expect(reasons()).to.deep.equal(['not counted']);
      succeeded('host-3', true);
      failed('host-1', true, saying('its own'));
      attribution.probed(registry, 'layers', 'ill');
      expect(reasons()).to.deep.equal(['not counted']);
    });

    it('is told by a probe that fails', () => {
      failed('host-1', true, saying('first'));
      attribution.probed(registry, 'layers', 'good');
      expect(proven).to.deep.equal([]);
      attribution.probed(registry, 'layers', 'ill');
      expect(reasons()).to.deep.equal(['first']);
      expect(proven[0]?.finding).to.deep.include({ fault: 'registry', evidence: 'probe' });
    });

    it('is not told of one that lies too far back', async () => {
      failed('host-1', true, saying('old'));
      await time.passMs(sightMemoryMs);
      failed('host-2', true, saying('new'));
      attribution.probed(registry, 'layers', 'ill');
      expect(reasons()).to.deep.equal(['new']);
    });
  });

  it('remembers a bounded number of registries and engines', () => {
    for (let count = 0; count < 3_000; count += 1) {
      attribution.failed(failure(`host-${count}`, true, { registry: `tenant-${count}.example` }));
      attribution.failed(failure(`host-${count}`, false));
    }
    expect(attribution.last('tenant-0.example', 'layers')).to.equal(null);
    expect(attribution.last('tenant-2999.example', 'layers')).to.not.equal(null);
  });
});
