import { expect } from 'chai';
import fc from 'fast-check';
import type { Candidate } from '../../lib/failover/candidate.js';
import type { FailedTry } from '../../lib/failover/failed-try.js';
import type { SourcesListener } from '../../lib/failover/object-listeners.js';
import { retellTo } from '../../lib/failover/shared/echo.js';
import { Sources } from '../../lib/failover/sources.js';
import type { Judgement } from '../../lib/health/verdict.js';
import { type RegistryPhase, registryPhases } from '../../lib/vocabulary/phase.js';
import type { Verdict } from '../../lib/vocabulary/reason.js';
import { openNotebook, type Notebook } from './support/heart-rig.js';

const names = ['A', 'B', 'C'] as const;

function open(): { readonly sources: Sources; readonly notebook: Notebook; readonly candidates: readonly Candidate[] } {
  const candidates = names.map((registry): Candidate => ({
    registry,
    repository: 'team/app',
    resolves: true,
    isAuthority: registry === 'A',
    // Sources only tell candidates apart.
    client: { registry } as unknown as Candidate['client'],
  }));
  const notebook = openNotebook();
  return {
    sources: new Sources({ metadata: candidates, layers: candidates }, notebook.observer),
    notebook,
    candidates,
  };
}

function judgementOf(verdict: Verdict): Judgement {
  return {
    verdict,
    reason: { cause: verdict === 'next' ? 'not-replicated' : 'registry-storage', code: 'stalled', message: verdict },
    ...(verdict === 'limited' ? { retryAfterMs: 60_000 } : {}),
  };
}

function failureOf(candidate: Candidate, phase: RegistryPhase, verdict: Verdict, object = 'sha256:x'): FailedTry {
  return { candidate, phase, object, judgement: judgementOf(verdict), startedAtMs: 0, bytes: 0 };
}

/** Tells another pull's view of everything about one object, as one that shares its fetch is told. */
function telling(sources: Sources, object: string): SourcesListener {
  return { ...retellTo(sources, object), movedOver: () => {} };
}

/** What is said of a registry that did nothing. */
const nothing = { objects: 0, bytes: 0, wastedBytes: 0, connections: 0, hedges: { won: 0, lost: 0 } } as const;

const orderIn = (sources: Sources, phase: RegistryPhase): string =>
  sources
    .order(phase)
    .map(({ registry }) => registry)
    .join('');

describe('Sources', () => {
  it('never lose a candidate, whatever happens to them', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.tuple(
            fc.nat(2),
            fc.constantFrom(...registryPhases),
            fc.constantFrom<Verdict>('again', 'next', 'ill', 'limited'),
            fc.constantFrom('fail', 'suspect', 'trust', 'last', 'demote'),
          ),
          { maxLength: 20 },
        ),
        (steps) => {
          const { sources, candidates } = open();
          for (const [index, phase, verdict, what] of steps) {
            const candidate = candidates[index];
            if (candidate === undefined) continue;
            if (what === 'fail') sources.failed(failureOf(candidate, phase, verdict));
            else if (what === 'suspect') sources.suspect(candidate, phase);
            else if (what === 'trust') sources.trust(candidate, phase);
            else if (what === 'last') sources.sendLast(candidate, phase);
            else sources.demote(candidate.registry, phase);
            for (const each of registryPhases) {
              expect(sources.order(each).toSorted((a, b) => (a.registry < b.registry ? -1 : 1))).to.deep.equal(
                candidates,
              );
            }
          }
        },
      ),
    );
  });

  it('go last when they failed, the one that failed longest ago first', () => {
    const { sources, candidates } = open();
    const [a, b, c] = candidates;
    if (a === undefined || b === undefined || c === undefined) throw new Error('there are three');
    sources.failed(failureOf(a, 'layers', 'ill'));
    expect(orderIn(sources, 'layers')).to.equal('BCA');
    sources.failed(failureOf(c, 'layers', 'ill'));
    expect(orderIn(sources, 'layers')).to.equal('BAC');
    sources.failed(failureOf(a, 'layers', 'ill'));
    expect(orderIn(sources, 'layers')).to.equal('BCA');
    expect(orderIn(sources, 'metadata')).to.equal('ABC');
  });

  it('stay where they are when they lack an object, or ask for time', () => {
    for (const verdict of ['next', 'limited', 'again'] as const) {
      const { sources, candidates } = open();
      const [a] = candidates;
      if (a === undefined) throw new Error('there is one');
      sources.failed(failureOf(a, 'layers', verdict));
      expect(orderIn(sources, 'layers')).to.equal('ABC');
      expect(sources.limitedUntilMs(a, 'layers') === null).to.equal(verdict !== 'limited');
    }
  });

  it('come after the trusted and before the failed while they are suspect', () => {
    const { sources, candidates } = open();
    const [a, b] = candidates;
    if (a === undefined || b === undefined) throw new Error('there are two');
    sources.failed(failureOf(b, 'metadata', 'ill'));
    sources.suspect(a, 'metadata');
    expect(orderIn(sources, 'metadata')).to.equal('CAB');
    sources.trust(a, 'metadata');
    expect(orderIn(sources, 'metadata')).to.equal('ACB');
  });

  it('are ill once per phase, and lack an object once', () => {
    const { sources, candidates, notebook } = open();
    const [a] = candidates;
    if (a === undefined) throw new Error('there is one');
    for (let times = 0; times < 3; times += 1) {
      sources.failed(failureOf(a, 'layers', 'ill'));
      sources.failed(failureOf(a, 'metadata', 'ill'));
      sources.failed(failureOf(a, 'layers', 'next', 'sha256:one'));
      sources.failed(failureOf(a, 'layers', 'next', 'sha256:two'));
    }
    expect(notebook.of('ill').map(([, phase]) => phase)).to.deep.equal(['layers', 'metadata']);
    expect(notebook.of('replicaMissing').map(([, , object]) => object)).to.deep.equal(['sha256:one', 'sha256:two']);
    expect(sources.attempts).to.have.length(12);
    expect(notebook.of('attemptFailed')).to.have.length(12);
  });

  it('that were ill are not good, whatever they delivered', () => {
    const { sources, candidates } = open();
    const [a, b, c] = candidates;
    if (a === undefined || b === undefined || c === undefined) throw new Error('there are three');
    sources.delivered(a, 'layers', 'sha256:x', 10);
    sources.delivered(b, 'layers', 'sha256:x', 10);
    sources.failed(failureOf(b, 'layers', 'ill'));
    expect([a, b, c].map((candidate) => sources.isGood(candidate, 'layers'))).to.deep.equal([true, false, false]);
    expect(sources.isGood(a, 'metadata')).to.equal(false);
  });

  it('that are in doubt are neither good nor ill, until they are convicted, which is told once', () => {
    const { sources, notebook, candidates } = open();
    const [a] = candidates;
    if (a === undefined) throw new Error('there is one');
    sources.delivered(a, 'layers', 'sha256:x', 10);
    sources.delivered(a, 'metadata', '1', 10);
    expect(sources.isGood(a, 'layers')).to.equal(true);
    const { reason } = judgementOf('ill');
    sources.doubt(a, 'layers', reason);
    expect(notebook.of('doubted')).to.deep.equal([['A', 'layers', reason]]);
    expect(sources.isGood(a, 'layers')).to.equal(false);
    expect(sources.isGood(a, 'metadata')).to.equal(true);
    expect(notebook.of('ill')).to.deep.equal([]);
    sources.convict(a, 'layers', reason);
    sources.convict(a, 'layers', reason);
    expect(notebook.of('ill')).to.deep.equal([['A', 'layers', reason]]);
    expect(sources.isGood(a, 'layers')).to.equal(false);
  });

  it('tell those who share a fetch, and those who share it with them, of each event once', () => {
    const [one, other, third] = [open(), open(), open()];
    one.sources.listen('sha256:x', telling(other.sources, 'sha256:x'));
    const stop = other.sources.listen('sha256:x', telling(third.sources, 'sha256:x'));
    const [a] = one.candidates;
    if (a === undefined) throw new Error('there is one');
    one.sources.failed(failureOf(a, 'layers', 'ill'));
    one.sources.delivered(a, 'layers', 'sha256:x', 7);
    one.sources.failed(failureOf(a, 'layers', 'ill', 'sha256:another'));
    expect(third.sources.attempts).to.have.length(1);
    expect(orderIn(third.sources, 'layers')).to.equal('BCA');
    expect(third.sources.served).to.deep.equal([{ ...nothing, registry: 'A', objects: 1, bytes: 7 }]);
    // Health hears of it from the pull that saw it, and from nobody else.
    expect([one, other, third].map(({ notebook }) => notebook.of('ill').length)).to.deep.equal([1, 0, 0]);
    stop();
    one.sources.delivered(a, 'layers', 'sha256:x', 7);
    expect(third.sources.served[0]?.bytes).to.equal(7);
  });

  it('name everybody who served something, also where nobody tells how many bytes', () => {
    const { sources, candidates } = open();
    const [a, b] = candidates;
    if (a === undefined || b === undefined) throw new Error('there are three');
    sources.delivered(a, 'metadata', 'sha256:m', 5);
    sources.delivered(b, 'layers', 'sha256:x', 0);
    expect(sources.served).to.deep.equal([
      { ...nothing, registry: 'A', objects: 1, bytes: 5 },
      { ...nothing, registry: 'B', objects: 1, bytes: 0 },
    ]);
  });

  it('say of each registry what it sent, what of it was of no use, and how its hedges ended', () => {
    const { sources, candidates } = open();
    const [a, b, c] = candidates;
    if (a === undefined || b === undefined || c === undefined) throw new Error('there are three');
    for (const object of ['sha256:x', 'sha256:x', 'sha256:y']) sources.delivered(a, 'layers', object, 100);
    sources.wasted(a, 'sha256:x', 30);
    sources.wasted(a, 'sha256:y', 3);
    for (const how of ['won', 'lost', 'won'] as const) sources.hedged(b, 'sha256:x', how);
    // Asked, and never heard of: it contributed nothing.
    sources.connected(c, 'sha256:x')();
    expect(sources.served).to.deep.equal([
      { ...nothing, registry: 'A', objects: 2, bytes: 300, wastedBytes: 33 },
      { ...nothing, registry: 'B', hedges: { won: 2, lost: 1 } },
    ]);
  });

  it('count the most connections that a registry had at the same time, not how many there were', () => {
    const { sources, candidates } = open();
    const [a] = candidates;
    if (a === undefined) throw new Error('there are three');
    sources.delivered(a, 'layers', 'sha256:x', 1);
    for (let turn = 0; turn < 3; turn += 1) {
      const ends = [sources.connected(a, 'sha256:x'), sources.connected(a, 'sha256:y')];
      expect(sources.connectionsTo(a)).to.equal(2);
      for (const end of ends) end();
    }
    expect(sources.connectionsTo(a)).to.equal(0);
    expect(sources.served[0]?.connections).to.equal(2);
  });

  describe('tell a pull that shares a fetch', () => {
    const share = () => {
      const [one, other] = [open(), open()];
      const [a] = one.candidates;
      const [own] = other.candidates;
      if (a === undefined || own === undefined) throw new Error('there are three');
      const listen = () => one.sources.listen('sha256:x', telling(other.sources, 'sha256:x'));
      const seen = () => other.sources.served[0];
      return { one: one.sources, other: other.sources, a, own, listen, seen };
    };

    it('of hedges and waste, of its object alone and while it takes part', () => {
      const { one, a, listen, seen } = share();
      const stop = listen();
      one.hedged(a, 'sha256:x', 'won');
      one.wasted(a, 'sha256:x', 5);
      one.hedged(a, 'sha256:y', 'won');
      one.wasted(a, 'sha256:y', 5);
      stop();
      one.hedged(a, 'sha256:x', 'lost');
      one.wasted(a, 'sha256:x', 5);
      expect(seen()).to.deep.equal({ ...nothing, registry: 'A', wastedBytes: 5, hedges: { won: 1, lost: 0 } });
    });

    it('of the connections that it finds, and of those that come, until they end or it leaves', () => {
      const { one, other, a, own, listen, seen } = share();
      const [early, ended] = [one.connected(a, 'sha256:x'), one.connected(a, 'sha256:x')];
      one.connected(a, 'sha256:y');
      ended();
      expect(other.connectionsTo(own)).to.equal(0);
      const stop = listen();
      expect(other.connectionsTo(own)).to.equal(1);
      const late = one.connected(a, 'sha256:x');
      expect(other.connectionsTo(own)).to.equal(2);
      early();
      expect(other.connectionsTo(own)).to.equal(1);
      stop();
      stop();
      expect(other.connectionsTo(own)).to.equal(0);
      late();
      expect(other.connectionsTo(own)).to.equal(0);
      one.delivered(a, 'layers', 'sha256:x', 1);
      expect(seen()).to.equal(undefined);
    });

    it('though somebody else, who had left before, leaves once more', () => {
      const { one, a, listen, seen } = share();
      const stop = listen();
      stop();
      listen();
      stop();
      one.delivered(a, 'layers', 'sha256:x', 9);
      expect(seen()?.bytes).to.equal(9);
    });

    it('of nothing at a registry that is not in its plan', () => {
      const { one, other } = share();
      const stranger = { ...open().candidates[0]!, registry: 'Z' };
      const retelling = retellTo(other, 'sha256:x');
      retelling.connected(stranger)();
      retelling.hedged(stranger, 'won');
      retelling.wasted(stranger, 1);
      retelling.delivered(stranger, 1);
      retelling.failed(failureOf(stranger, 'layers', 'ill'));
      expect([one.served, other.served]).to.deep.equal([[], []]);
    });
  });
});
