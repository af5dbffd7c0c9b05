import type { PullEvent, PullPlanned, PullProgressed } from '../events/pull-event.js';
import { createThroughput } from '../policy/throughput.js';
import type { PullEngine } from '../puller/pull-engine.js';
import type { PullReport } from '../vocabulary/report.js';
import { showBytes, showMs } from './amounts.js';
import { dim, good, type Line, strong, warning } from './line.js';
import type { Screen } from './screen.js';
import { describeEvent, describeSources, plainNames, shortObject } from './timeline.js';

/** `+12.3 s  ` */
const elapsedWidth = 8;
const labelWidth = 21;
/** Long enough to be read, short enough to be true. */
const rateWindowMs = 3_000;

/** Tells one pull to people: its plan, its failovers, a bar for each layer on its way, and what came of it. */
export class PullStory {
  readonly #screen: Screen;
  readonly #engine: PullEngine;
  readonly #rate = createThroughput(rateWindowMs);
  readonly #bars = new Set<string>();
  #startedAtMs = 0;
  #fetched = 0;

  constructor(screen: Screen, engine: PullEngine) {
    this.#screen = screen;
    this.#engine = engine;
  }

  tell(event: PullEvent): void {
    switch (event.type) {
      case 'pull:started':
        this.#startedAtMs = event.atMs;
        this.#print([strong(event.image)]);
        break;
      case 'pull:planned':
        this.#tellPlan(event);
        break;
      case 'pull:progressed':
        this.#showBars(event);
        break;
      case 'pull:aborted':
        this.#tellAt(event.atMs, [
          warning('interrupted'),
          // What an engine keeps of a pull that ended is its own business.
          dim(this.#engine.kind === 'docker' ? '' : ': what has arrived is kept, the next pull goes on from there'),
        ]);
        break;
      case 'pull:succeeded':
      case 'pull:failed':
        // Told at the end: here, and by whoever explains the failure.
        break;
      default: {
        const line = describeEvent(event, plainNames);
        if (line !== null) this.#tellAt(event.atMs, line);
      }
    }
    if (event.type === 'pull:parked' || event.type === 'pull:aborted' || event.type === 'pull:failed')
      this.#clearBars();
  }

  conclude(report: PullReport): void {
    this.#clearBars();
    this.#screen.close();
    const { timings, digest, platform, reference, resolution } = report;
    this.#print([good('✓'), ` in ${showMs(timings.totalMs)}: ${describeSources(report, plainNames)}`], 2);
    this.#print([`  ${digest}`, dim(` (${platform}, ${resolution.replaceAll('-', ' ')})`)], 2);
    this.#print([`  ${this.#engine.kind === 'oci-layout' ? `oci:${this.#engine.directory}:` : ''}${reference}`], 2);
  }

  #tellPlan({ replicaSet, candidates, order, route, routeReason }: PullPlanned): void {
    const asked = order.layers.join(', then ');
    this.#print(
      replicaSet === null
        ? [
            dim('  from '),
            candidates.map(({ registry }) => registry).join(),
            warning(' alone: it is below none of the registries given'),
          ]
        : [dim('  from '), asked],
      7,
    );
    if (this.#engine.kind === 'docker') this.#print([dim('  by '), route, dim(`: ${routeReason}`)], 5);
  }

  #tellAt(atMs: number, line: Line): void {
    const elapsed = `+${((atMs - this.#startedAtMs) / 1_000).toFixed(1)} s`.padStart(elapsedWidth);
    this.#print([dim(elapsed), '  ', ...line], elapsedWidth + 2);
  }

  #showBars({ bytes, layers }: PullProgressed): void {
    if (bytes.total === 0) return;
    this.#rate.add(Math.max(0, bytes.fetched - this.#fetched));
    this.#fetched = bytes.fetched;
    const doneBytes = Math.min(bytes.total, bytes.fetched + bytes.kept + bytes.local);
    this.#bar('', {
      label: '  all'.padEnd(labelWidth),
      doneBytes,
      totalBytes: bytes.total,
      note: `${showBytes(doneBytes)} of ${showBytes(bytes.total)}, ${showBytes(this.#rate.bytesPerSecond())}/s`,
      isSummary: true,
    });
    for (const { digest, totalBytes, doneBytes: done, registry } of layers) {
      if (done >= totalBytes) this.#bar(digest, null);
      else if (done > 0) {
        const label = `  ${shortObject(digest)}`.padEnd(labelWidth);
        this.#bar(digest, { label, doneBytes: done, totalBytes, note: registry ?? '' });
      }
    }
  }

  #bar(key: string, state: Parameters<Screen['bar']>[1]): void {
    this.#screen.bar(key, state);
    if (state === null) this.#bars.delete(key);
    else this.#bars.add(key);
  }

  #clearBars(): void {
    for (const key of [...this.#bars]) this.#bar(key, null);
  }

  #print(line: Line, indent: number = 0): void {
    this.#screen.print(line, indent);
  }
}
