import { expect } from 'chai';
import { monotonicMs } from '../../lib/clock/time.js';
import { fetchManifest } from '../../lib/failover/manifest/fetch-manifest.js';
import { HedgeGate } from '../../lib/failover/hedge.js';
import { metadata } from '../../lib/testing/index.js';
import { closeHeartRigs, openHeartRig, untilQuiet } from './support/heart-rig.js';
import { failureOf } from '../support/failure-of.js';
import { until } from '../support/until.js';

const tag = { tag: '1' } as const;
const always = { metadataMs: 150, layersMs: Infinity, budget: 1 } as const;
const patient = { metadata: { requestMs: 5_000, totalMs: 5_000 } } as const;

describe('a hedge of metadata', () => {
  afterEach(closeHeartRigs);

  it('is not sent while the registry above answers in time', async () => {
    const rig = await openHeartRig({
      registries: [[metadata.delay({ ms: 30 })], []],
      hedge: { metadataMs: 1_000, layersMs: Infinity, budget: 1 },
    });
    const pull = rig.openPull();
    for (let times = 0; times < 5; times += 1) await fetchManifest(pull.context, tag);
    expect(rig.double('B').connections).to.equal(0);
  });

  it('goes to the next registry when the one above is late, and the first answer is used', async () => {
    const rig = await openHeartRig({
      registries: [[metadata.delay({ ms: 1_500 })], []],
      hedge: always,
      timeouts: patient,
    });
    const pull = rig.openPull();
    const startedAtMs = monotonicMs();
    const fetched = await fetchManifest(pull.context, tag);
    expect(monotonicMs() - startedAtMs).to.be.within(145, 1_200);
    expect(fetched.candidate).to.equal(rig.candidates[1]);
    expect(pull.attempts).to.deep.equal([]);
    expect(pull.ill).to.deep.equal([]);
    const [failover] = pull.sources.failovers;
    expect(failover?.reason).to.include({ cause: 'registry-api', code: 'request-late' });
  });

  it('makes the late one a suspect, which gets no new work until it delivers', async () => {
    const rig = await openHeartRig({
      registries: [[metadata.delay({ ms: 800, times: 1 })], []],
      hedge: always,
      timeouts: patient,
    });
    const pull = rig.openPull();
    await fetchManifest(pull.context, tag);
    expect((await fetchManifest(pull.context, tag)).candidate).to.equal(rig.candidates[1]);
    expect(rig.double('A').requests).to.have.length(1);
    // Its late request went on, and is its way back.
    await until(() => rig.double('A').requests[0]?.outcome === 'complete', 'the late one has answered');
    await until(() => pull.sources.order('metadata')[0] === rig.candidates[0], 'it is trusted again');
    expect((await fetchManifest(pull.context, tag)).candidate).to.equal(rig.candidates[0]);
  });

  it('does not make the one a suspect that was asked last', async () => {
    const rig = await openHeartRig({
      // A answers in the middle between the moment B is asked and the moment C would be.
      registries: [[metadata.delay({ ms: 1_500, times: 1 })], [metadata.delay({ ms: 4_500 })], []],
      hedge: { metadataMs: 1_000, layersMs: Infinity, budget: 1 },
      timeouts: patient,
    });
    const pull = rig.openPull();
    const fetched = await fetchManifest(pull.context, tag);
    expect(rig.double('B').requests).to.have.length(1);
    expect(fetched.candidate).to.equal(rig.candidates[0]);
    expect(pull.sources.order('metadata')).to.deep.equal(rig.candidates);
  });

  it('that won leaves the late one ill only when its limit expires', async () => {
    const rig = await openHeartRig({
      registries: [[metadata.noHeaders()], []],
      hedge: always,
      timeouts: { metadata: { requestMs: 700, totalMs: 700 } },
    });
    const pull = rig.openPull();
    await fetchManifest(pull.context, tag);
    expect(pull.ill).to.deep.equal([]);
    await until(() => pull.ill.length > 0, 'the limit has expired');
    expect(pull.ill).to.deep.equal(['A metadata']);
    await untilQuiet(rig.doubles);
  });

  it("that is still open when everything is ended is ended too, and is nobody's fault", async () => {
    const rig = await openHeartRig({ registries: [[metadata.noHeaders()], []], hedge: always, timeouts: patient });
    const pull = rig.openPull();
    await fetchManifest(pull.context, tag);
    rig.end();
    await untilQuiet(rig.doubles);
    expect(pull.attempts).to.deep.equal([]);
  });

  it('survives the end of the pull that sent it', async () => {
    const rig = await openHeartRig({
      registries: [[metadata.delay({ ms: 600 })], []],
      hedge: always,
      timeouts: patient,
    });
    const pull = rig.openPull();
    await fetchManifest(pull.context, tag);
    pull.abort(new Error('the pull is over'));
    await until(() => rig.double('A').requests[0]?.outcome === 'complete', 'the late one has answered');
  });

  it('is aborted with the rest when the caller aborts', async () => {
    const rig = await openHeartRig({
      registries: [[metadata.noHeaders()], [metadata.noHeaders()]],
      hedge: always,
      timeouts: patient,
    });
    const pull = rig.openPull();
    const failure = failureOf(fetchManifest(pull.context, tag));
    await until(() => rig.double('B').requests.length === 1, 'the hedge is under way');
    const reason = new Error('no more');
    pull.abort(reason);
    expect(await failure).to.equal(reason);
    await untilQuiet(rig.doubles);
    expect(pull.attempts).to.deep.equal([]);
  });

  it('goes on to a third registry when the second is late as well', async () => {
    const rig = await openHeartRig({
      registries: [[metadata.noHeaders()], [metadata.noHeaders()], []],
      hedge: always,
      timeouts: patient,
    });
    const pull = rig.openPull();
    expect((await fetchManifest(pull.context, tag)).candidate).to.equal(rig.candidates[2]);
  });

  it('without a budget is none: the one that is asked gets all of its limit', async () => {
    const rig = await openHeartRig({
      registries: [[metadata.delay({ ms: 600 })], []],
      hedge: { metadataMs: 50, layersMs: Infinity, budget: 0 },
      timeouts: patient,
    });
    // The allowance of a fresh process is used up first.
    for (let times = 0; times < 4; times += 1) await fetchManifest(rig.openPull().context, tag);
    expect(rig.double('B').requests).to.have.length(4);
    const pull = rig.openPull();
    expect((await fetchManifest(pull.context, tag)).candidate).to.equal(rig.candidates[0]);
    expect(rig.double('B').requests).to.have.length(4);
  });

  it('never doubles the load, however many pulls find the registry late', async () => {
    const fetches = 150;
    const budget = 0.1;
    const late = [metadata.delay({ ms: 300 })];
    const rig = await openHeartRig({
      registries: [late, late],
      hedge: { metadataMs: 40, layersMs: Infinity, budget },
      timeouts: patient,
    });
    await Promise.all(Array.from({ length: fetches }, () => fetchManifest(rig.openPull().context, tag)));
    await untilQuiet(rig.doubles);
    const sent = rig.doubles.map(({ requests }) => requests.length);
    const total = sent.reduce((sum, each) => sum + each, 0);
    expect(total - fetches).to.be.within(1, 4 + budget * total);
  });
});

describe('HedgeGate', () => {
  it('waits at least a second, and three times what nineteen of twenty answers take', () => {
    const gate = new HedgeGate({ metadataMs: null, layersMs: Infinity, budget: 0.1 });
    expect(gate.delayMs('quay.io')).to.equal(1_000);
    const answered = gate.asked('quay.io');
    answered();
    expect(gate.delayMs('quay.io')).to.equal(1_000);
  });

  it('takes the delay that was given, also none', () => {
    expect(new HedgeGate({ metadataMs: Infinity, layersMs: Infinity, budget: 1 }).delayMs('quay.io')).to.equal(
      Infinity,
    );
    expect(new HedgeGate({ metadataMs: 7, layersMs: Infinity, budget: 1 }).delayMs('quay.io')).to.equal(7);
  });

  it('gives no more than its share, however it is asked', () => {
    const gate = new HedgeGate({ metadataMs: 1, layersMs: Infinity, budget: 0.25 });
    let taken = 0;
    for (let asked = 1; asked <= 1_000; asked += 1) {
      gate.asked('quay.io');
      while (gate.take()) taken += 1;
      expect(taken).to.be.at.most(4 + asked * 0.25);
    }
    expect(taken).to.be.at.least(250);
  });

  it('does not save up more than a burst', () => {
    const gate = new HedgeGate({ metadataMs: 1, layersMs: Infinity, budget: 1 });
    for (let asked = 0; asked < 100; asked += 1) gate.asked('quay.io');
    let taken = 0;
    while (gate.take()) taken += 1;
    expect(taken).to.equal(4);
  });
});
