import { parseControlEntry, idOf, type ControlEntry } from '../health/control/control-entry.js';
import { controlOrigin, controlSentence } from '../health/control/control-sentence.js';
import type { Control } from '../vocabulary/control.js';
import { dim, type Line } from './line.js';
import { showDistance } from './span.js';
import { tableLines } from './table.js';

/** An entry of a control file, as hosts understand it. */
export function controlOfEntry(entry: ControlEntry): Control {
  const { id, actor, sinceMs, ...rest } = parseControlEntry(entry, 'entry');
  return {
    ...rest,
    id: id ?? idOf(rest),
    actor: actor ?? 'nobody said who',
    sinceMs: sinceMs ?? 0,
    origin: 'file',
  };
}

/** What an entry does, in a sentence. */
export function entrySentence(entry: ControlEntry): string {
  return controlSentence(controlOfEntry(entry));
}

/** By whom and why. */
export function entryOrigin(entry: ControlEntry): string {
  return controlOrigin(controlOfEntry(entry));
}

/** Entries of a control file, as a table. */
export function switchLines(entries: readonly ControlEntry[], nowMs: number): readonly Line[] {
  return controlLines(entries.map(controlOfEntry), nowMs);
}

/** What operators say, as a table. */
export function controlLines(controls: readonly Control[], nowMs: number): readonly Line[] {
  if (controls.length === 0) return [[dim('  nothing')]];
  return tableLines(
    ['what', 'ends', 'by whom and why', 'id'],
    controls.map((control) => [
      controlSentence({ ...control, untilMs: null }),
      control.untilMs === null
        ? 'when released'
        : control.untilMs <= nowMs
          ? 'is over'
          : showDistance(control.untilMs, nowMs),
      controlOrigin(control),
      control.id,
    ]),
  );
}
