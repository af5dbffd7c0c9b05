import { expect } from 'chai';
import { engineFailure } from '../../../lib/engine/docker/engine-failure.js';
import type { EngineStore } from '../../../lib/engine/docker/engine-traits.js';
import { DirectBlame, type DirectFinding } from '../../../lib/routes/direct/direct-blame.js';
import { followDirectPull } from '../../../lib/routes/direct/direct-phases.js';

const of = { registry: 'A', object: '1', givesManifests: false };

/** What a daemon says when its own way to a registry, or its trust in it, is what fails. */
const ownWay: Readonly<Record<string, string>> = {
  'a resolver that fails': 'Get "https://quay.io/v2/": dial tcp: lookup quay.io on 127.0.0.53:53: server misbehaving',
  'a network that is unreachable': 'Get "https://quay.io/v2/": dial tcp 10.1.2.3:443: connect: network is unreachable',
  'a connection that is refused': 'Get "https://quay.io/v2/": dial tcp 10.1.2.3:443: connect: connection refused',
  'a certificate that it does not trust': 'Get "https://quay.io/v2/": x509: certificate signed by unknown authority',
};

function failed(
  blame: DirectBlame,
  text: string,
  store: EngineStore = 'graph',
  registry: string = of.registry,
): DirectFinding {
  return blame.failed(
    { kind: 'failed', failure: engineFailure({ text }), phases: followDirectPull(store) },
    { ...of, registry },
    false,
    false,
  );
}

function wrongBytes(given: string): string {
  return `failed commit on ref "layer-sha256:aa": unexpected commit digest sha256:${given}, expected sha256:aa: failed precondition`;
}

describe('the blame for what an engine could not pull', () => {
  for (const [what, text] of Object.entries(ownWay)) {
    it(`is nobody's for ${what}, until another registry shows that the engine was not at fault`, () => {
      const blame = new DirectBlame('graph', false);
      const finding = failed(blame, text);
      expect(finding).to.have.nested.property('told.judgement.verdict', 'next');
      expect(finding).to.have.nested.property('told.isUnproven', true);
      expect(blame.convicted('B', false).map(({ registry, phase }) => [registry, phase])).to.deep.equal([
        ['A', 'metadata'],
      ]);
      expect(blame.convicted('B', true)).to.deep.equal([]);
    });

    it(`is not even then its own for ${what}, where it was what served at last`, () => {
      const blame = new DirectBlame('graph', false);
      failed(blame, text);
      expect(blame.convicted('A', true)).to.deep.equal([]);
    });
  }

  it("is the registry's for what it has answered", () => {
    const blame = new DirectBlame('graph', false);
    const text = 'received unexpected HTTP status: 503 Service Unavailable';
    expect(failed(blame, text)).to.have.nested.property('told.judgement.verdict', 'ill');
    expect(blame.convicted('B', true)).to.deep.equal([]);
  });

  it("for wrong bytes is the registry's only when another one has brought layers", () => {
    const blame = new DirectBlame('containerd', true);
    const text = wrongBytes('bb');
    expect(failed(blame, text, 'containerd')).to.have.nested.property('told.isUnproven', true);
    expect(blame.convicted('B', false)).to.deep.equal([]);
    failed(blame, text, 'containerd');
    expect(blame.convicted('B', true).map(({ registry, phase }) => [registry, phase])).to.deep.equal([['A', 'layers']]);
  });

  it('for wrong bytes that the engine holds of one registry falls on no other, which it has asked for nothing', () => {
    const blame = new DirectBlame('containerd', false);
    expect(failed(blame, wrongBytes('bb'), 'containerd')).to.include({ kind: 'next', afterMs: 1_000 });
    const waits = [1, 2, 3].map(() => failed(blame, wrongBytes('bb'), 'containerd', 'B'));
    expect(waits).to.deep.equal([1_000, 2_000, 4_000].map((afterMs) => ({ kind: 'again', told: null, afterMs })));
    // Not for ever: they may both have a copy of the same wrong bytes.
    expect(failed(blame, wrongBytes('bb'), 'containerd', 'B')).to.have.nested.property('told.isUnproven', true);
    expect(blame.convicted('C', true).map(({ registry }) => registry)).to.deep.equal(['A', 'B']);
  });

  it('for other wrong bytes falls on the registry that gave them, at once', () => {
    const blame = new DirectBlame('containerd', false);
    failed(blame, wrongBytes('bb'), 'containerd');
    expect(failed(blame, wrongBytes('cc'), 'containerd', 'B')).to.have.nested.property('told.isUnproven', true);
    expect(blame.convicted('C', true).map(({ registry }) => registry)).to.deep.equal(['A', 'B']);
  });
});
