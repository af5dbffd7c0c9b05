import type { ActStarted, DrillEvent, DrillStarted } from '../drill/drill-event.js';
import type { DrillOutcome } from '../drill/judge.js';
import { drillSpeedUp } from '../drill/stage.js';
import type { PullEvent } from '../events/pull-event.js';
import { showBytes, showCount, showMs } from './amounts.js';
import { bad, dim, good, type Line, strong, warning } from './line.js';
import type { Screen } from './screen.js';
import { tableLines } from './table.js';
import { describeEvent, type Names, plainNames } from './timeline.js';

/** `18:20   +12.3 s  `, the clocks of then and now. */
const clockWidth = 9;
const elapsedWidth = 7;
const clocksWidth: number = clockWidth + elapsedWidth + 2;
/** `docker.io  ` */
const nameWidth = 11;
/** `op-871  ` */
const operationWidth = 8;

/** Tells a drill to people: its acts and events as they come, its numbers at the end. */
export class DrillStory {
  readonly #screen: Screen;
  #names: Names = plainNames;
  #startedAtMs = 0;

  constructor(screen: Screen) {
    this.#screen = screen;
  }

  tell(event: DrillEvent): void {
    switch (event.type) {
      case 'drill:started':
        this.#introduce(event);
        break;
      case 'drill:act-started':
        this.#beginAct(event);
        break;
      case 'drill:engine-found':
        this.#introduceEngine(`is ${event.engine}: ${event.server} is started there and asked`);
        break;
      case 'drill:engine-missing':
        this.#introduceEngine('is not there: no database is started');
        break;
      case 'drill:database-answered':
        this.#tellAt(event.atMs, event.operation, [
          good('✓'),
          ` ${event.server} runs in a container, and answers a PING with ${event.answer}`,
          dim(` after ${showMs(event.elapsedMs)}`),
        ]);
        break;
      default:
        this.#showBar(event);
        this.#tellOf(event);
    }
  }

  conclude(outcome: DrillOutcome): void {
    this.#screen.close();
    this.#print([]);
    this.#print([strong('By the numbers')]);
    this.#print([]);
    const rows = outcome.numbers.map(({ what, in2017, inDrill }) => [what, dim(in2017 ?? '–'), inDrill]);
    for (const line of tableLines(['', '26 July 2017', 'in this drill'], rows)) this.#print(line);
    this.#print([]);
    this.#print([strong('What was fetched from whom')]);
    this.#print([]);
    const transfers = outcome.transfers.map(({ registry, requests, sentBytes, arrivedBytes, agrees, ...effort }) => [
      this.#names.registry(registry),
      String(requests),
      sentBytes.toLocaleString('en-US'),
      arrivedBytes.toLocaleString('en-US'),
      effort.wastedBytes.toLocaleString('en-US'),
      `${effort.hedges.won} / ${effort.hedges.lost}`,
      agrees === null ? dim('a pull failed') : agrees ? good('they agree') : bad('they differ'),
    ]);
    for (const line of tableLines(
      ['registry', 'requests', 'bytes by its log', 'by the events', 'of no use', 'hedges won / lost', ''],
      transfers,
      [1, 2, 3, 4, 5],
    )) {
      this.#print(line);
    }
    this.#print([]);
    this.#printVerdict(outcome);
  }

  #introduce({ standIns, atMs }: DrillStarted): void {
    this.#startedAtMs = atMs;
    this.#names = namesOf(standIns);
    this.#print([strong('The registry outage of 26 July 2017, replayed')]);
    this.#print([]);
    for (const [index, { name, prefix }] of standIns.entries()) {
      const role = index === 0 ? 'asked first' : 'its replica';
      this.#print([`  ${name.padEnd(nameWidth)}`, dim(`is ${prefix} here, ${role}`)]);
    }
  }

  #introduceEngine(what: string): void {
    this.#print([`  ${'docker'.padEnd(nameWidth)}`, dim(what)], nameWidth + 2);
    this.#print(
      [dim(`  Limits are 1/${drillSpeedUp} of the defaults; bytes go over real sockets, into layouts on disk.`)],
      2,
    );
  }

  #beginAct({ clock, title, atMs }: ActStarted): void {
    this.#print([]);
    this.#print([strong(clock.padEnd(clockWidth)), dim(this.#elapsed(atMs)), '  ', strong(title)], clocksWidth);
  }

  #tellOf(event: PullEvent): void {
    const line = describeEvent(event, this.#names);
    if (line === null || event.type === 'replica:missing' || event.type === 'tag:resolved-by-replica') return;
    this.#tellAt(event.atMs, 'operation' in event ? (event.operation?.id ?? '') : '', line);
  }

  #tellAt(atMs: number, id: string, line: Line): void {
    this.#print(
      [' '.repeat(clockWidth), dim(this.#elapsed(atMs)), '  ', id.padEnd(operationWidth), ...line],
      clocksWidth + operationWidth,
    );
  }

  #showBar(event: PullEvent): void {
    switch (event.type) {
      case 'pull:progressed': {
        const { total, fetched, kept, local } = event.bytes;
        const source = event.layers.findLast(
          ({ registry, doneBytes, totalBytes }) => registry !== null && doneBytes < totalBytes,
        );
        if (total === 0) return;
        const doneBytes = Math.min(total, fetched + kept + local);
        this.#screen.bar(event.pullId, {
          label: `  ${(event.operation?.id ?? '').padEnd(operationWidth)}${this.#names.image(event.image).padEnd(18)}`,
          doneBytes,
          totalBytes: total,
          note: source?.registry === null || source === undefined ? '' : this.#names.registry(source.registry),
        });
        break;
      }
      case 'pull:parked':
      case 'pull:succeeded':
      case 'pull:failed':
      case 'pull:aborted':
        this.#screen.bar(event.pullId, null);
        break;
      default:
        break;
    }
  }

  #printVerdict({ ok, problems, images, operations, notRun, durationMs }: DrillOutcome): void {
    const objects = images.reduce((sum, image) => sum + image.objects, 0);
    const bytes = images.reduce((sum, image) => sum + image.bytes, 0);
    this.#print([
      `Read back from disk: ${showCount(images.length, 'image')}, ${showCount(objects, 'object')}, ${showBytes(bytes)}, each compared with its digest.`,
    ]);
    if (notRun !== null) this.#print([warning('! '), `Not run: ${notRun}`], 2);
    if (ok) {
      this.#print([
        good('✓ '),
        `${showCount(operations.length, 'operation')}, none failed, every byte right, nothing left open; ${showMs(durationMs)}.`,
      ]);
      return;
    }
    for (const problem of problems) this.#print([bad('✗ '), this.#names.sentence(problem)], 2);
    this.#print([bad('The drill failed'), ` after ${showMs(durationMs)}.`]);
  }

  #elapsed(atMs: number): string {
    return `+${((atMs - this.#startedAtMs) / 1_000).toFixed(1)} s`.padStart(elapsedWidth);
  }

  #print(line: Line, indent: number = 0): void {
    this.#screen.print(line, indent);
  }
}

function namesOf(standIns: DrillStarted['standIns']): Names {
  const sentence = (text: string): string =>
    standIns.reduce((named, { name, prefix }) => named.replaceAll(prefix, name), text);
  return {
    sentence,
    registry: sentence,
    image: (name) => standIns.reduce((named, { prefix }) => named.replace(`${prefix}/`, ''), name),
  };
}
