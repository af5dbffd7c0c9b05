import { expect } from 'chai';
import {
  ProvisioningWorker,
  type ProvisioningOrder,
  type ProvisioningWorkerOptions,
} from '../../lib/drill/provisioning-worker.js';
import { ociLayout, type OciLayout } from '../../lib/engine/layout/oci-layout.js';
import { PullExhaustedError } from '../../lib/errors/pull-exhausted-error.js';
import { createEventBus, type EventBus } from '../../lib/events/event-bus.js';
import type { PullOptions } from '../../lib/puller/options.js';
import type { PullReport } from '../../lib/vocabulary/report.js';

/** A pull that the spec ends when it wants. */
interface OpenPull {
  readonly image: string;
  readonly options: PullOptions;
  succeed(): void;
  fail(error: unknown): void;
}

interface Scene {
  readonly worker: ProvisioningWorker;
  readonly bus: EventBus;
  readonly pulls: readonly OpenPull[];
  readonly abort: AbortController;
}

const report = { digest: 'sha256:00' } as unknown as PullReport;

function setScene(pullsPerHost?: number, start?: ProvisioningWorkerOptions['start']): Scene {
  const bus = createEventBus();
  const abort = new AbortController();
  const pulls: OpenPull[] = [];
  const engines = new Map<string, OciLayout>();
  const engineOf = (host: string): OciLayout => {
    const engine = engines.get(host) ?? ociLayout(`/nowhere/${host}`, { id: host });
    engines.set(host, engine);
    return engine;
  };
  const worker = new ProvisioningWorker({
    puller: {
      events: bus,
      pullWithFailover: (image, options = {}) =>
        new Promise((resolve, reject) => {
          pulls.push({ image, options, succeed: () => resolve(report), fail: reject });
        }),
    },
    engineOf,
    signal: abort.signal,
    ...(pullsPerHost === undefined ? {} : { pullsPerHost }),
    ...(start === undefined ? {} : { start }),
  });
  return { worker, bus, pulls, abort };
}

const order = (id: string, host = 'host-1'): ProvisioningOrder => ({
  id,
  kind: 'database',
  image: `quay.io/aptible/${id}`,
  host,
});

function tell({ bus, pulls }: Scene, index: number, type: 'pull:parked' | 'pull:resumed'): void {
  const { image, options } = pulls[index] ?? { image: '', options: {} };
  const scope = { pullId: `pull-${index}`, image, operation: options.operation ?? null, engine: 'host-1' };
  if (type === 'pull:parked') bus.emit({ type, ...scope, phase: 'layers', reason: null, untilMs: null });
  else bus.emit({ type, ...scope, parkedMs: 5, why: 'circuit-closed' });
}

const statesOf = ({ worker }: Scene): readonly string[] =>
  worker.records.map((record) => `${record.order.id} ${record.state}`);
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('the provisioning worker', () => {
  it('pulls what an operation needs, in its name and into its host', () => {
    const scene = setScene();
    scene.worker.submit(order('op-1', 'host-7'));
    const [pull] = scene.pulls;
    expect(pull?.image).to.equal('quay.io/aptible/op-1');
    expect(pull?.options.operation).to.deep.equal({ kind: 'database', id: 'op-1' });
    expect(pull?.options.engine?.id).to.equal('host-7');
    expect(pull?.options.signal).to.equal(scene.abort.signal);
    expect(statesOf(scene)).to.deep.equal(['op-1 pulling']);
  });

  it('marks it provisioned with its report, or failed with a sentence for whoever is on call', async () => {
    const scene = setScene();
    scene.worker.submit(order('op-1'));
    scene.worker.submit(order('op-2'));
    scene.pulls[0]?.succeed();
    scene.pulls[1]?.fail(new PullExhaustedError({ image: 'quay.io/aptible/op-2', phase: 'layers', attempts: [] }));
    await scene.worker.whenDone();
    expect(statesOf(scene)).to.deep.equal(['op-1 provisioned', 'op-2 failed']);
    expect(scene.worker.records[0]?.report).to.equal(report);
    expect(scene.worker.records[1]?.failure).to.match(/^No registry could serve quay\.io\/aptible\/op-2/);
  });

  it('has provisioned what it was to start once that runs, and failed when it does not', async () => {
    const started: string[] = [];
    const scene = setScene(2, async ({ id }, { digest }) => {
      started.push(`${id} ${digest}`);
      if (id === 'op-2') throw new Error('it ended with 1');
    });
    scene.worker.submit(order('op-1'));
    scene.worker.submit(order('op-2'));
    for (const pull of scene.pulls) pull.succeed();
    await scene.worker.whenDone();
    expect(started).to.deep.equal(['op-1 sha256:00', 'op-2 sha256:00']);
    expect(statesOf(scene)).to.deep.equal(['op-1 provisioned', 'op-2 failed']);
    expect(scene.worker.records[1]?.failure).to.include('it ended with 1');
    expect(scene.worker.records[1]?.report).to.equal(null);
  });

  it('asks for the platform of an order, where it names one', () => {
    const scene = setScene();
    scene.worker.submit(order('op-1'));
    scene.worker.submit({ ...order('op-2'), platform: 'linux/arm64' });
    expect(scene.pulls.map(({ options }) => options.platform)).to.deep.equal([undefined, 'linux/arm64']);
  });

  it('pulls two images at a time on each host, unless told otherwise, and the next one when there is room', async () => {
    for (const [given, atOnce] of [
      [undefined, 2],
      [1, 1],
    ] as const) {
      const scene = setScene(given);
      for (const id of ['op-1', 'op-2', 'op-3']) scene.worker.submit(order(id));
      expect(scene.pulls).to.have.length(atOnce);
      scene.worker.submit(order('op-4', 'host-2'));
      expect(scene.pulls.map(({ image }) => image)).to.include('quay.io/aptible/op-4');
      scene.pulls[0]?.succeed();
      await turn();
      expect(scene.pulls).to.have.length(atOnce + 2);
    }
  });

  it('gives the place of a parked operation to the next one, and knows when it goes on', async () => {
    const scene = setScene(1);
    scene.worker.submit(order('op-1'));
    scene.worker.submit(order('op-2'));
    tell(scene, 0, 'pull:parked');
    expect(statesOf(scene)).to.deep.equal(['op-1 parked', 'op-2 pulling']);
    tell(scene, 0, 'pull:resumed');
    expect(statesOf(scene)).to.deep.equal(['op-1 pulling', 'op-2 pulling']);
    for (const pull of scene.pulls) pull.succeed();
    await scene.worker.whenDone();
  });

  it('is settled with some operations when they have ended or are parked, and done when all have ended', async () => {
    const scene = setScene();
    scene.worker.submit(order('op-1'));
    scene.worker.submit(order('op-2'));
    const told: string[] = [];
    void scene.worker.whenSettled(['op-1']).then(() => told.push('op-1 settled'));
    void scene.worker.whenDone().then(() => told.push('done'));
    scene.pulls[1]?.succeed();
    await turn();
    expect(told).to.deep.equal([]);
    tell(scene, 0, 'pull:parked');
    await turn();
    expect(told).to.deep.equal(['op-1 settled']);
    tell(scene, 0, 'pull:resumed');
    scene.pulls[0]?.succeed();
    await turn();
    expect(told).to.deep.equal(['op-1 settled', 'done']);
    await scene.worker.whenSettled(['op-1', 'op-2']);
  });

  it('ends waiting with the reason of its signal', async () => {
    const scene = setScene();
    scene.worker.submit(order('op-1'));
    const reason = new Error('enough');
    const waiting = [scene.worker.whenSettled(['op-1']), scene.worker.whenDone()];
    scene.abort.abort(reason);
    const ends = await Promise.allSettled([...waiting, scene.worker.whenDone()]);
    expect(ends.map((end) => end.status === 'rejected' && end.reason === reason)).to.deep.equal([true, true, true]);
  });

  it('takes no notice of pulls that are not its own, nor of any once it is closed', () => {
    const scene = setScene();
    scene.worker.submit(order('op-1'));
    const scope = { pullId: 'x', image: 'x', engine: 'x', phase: 'layers', reason: null, untilMs: null } as const;
    scene.bus.emit({ type: 'pull:parked', ...scope, operation: null });
    scene.bus.emit({ type: 'pull:parked', ...scope, operation: { kind: 'database', id: 'op-9' } });
    expect(statesOf(scene)).to.deep.equal(['op-1 pulling']);
    scene.worker.close();
    tell(scene, 0, 'pull:parked');
    expect(statesOf(scene)).to.deep.equal(['op-1 pulling']);
  });

  it('takes each operation once', () => {
    const scene = setScene();
    scene.worker.submit(order('op-1'));
    expect(() => scene.worker.submit(order('op-1'))).to.throw(TypeError, 'op-1');
  });
});
