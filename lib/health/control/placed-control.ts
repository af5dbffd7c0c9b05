import { isDeepStrictEqual } from 'node:util';
import { epochMs } from '../../clock/time.js';
import type { OperatorChanged } from '../../events/pull-event.js';
import type { Control } from '../../vocabulary/control.js';
import type { DeclaredControl, WantedControl } from './control-entry.js';
import { controlOrigin, controlSentence } from './control-sentence.js';

/** An act, and its place among those of the same millisecond: the higher is the newer. */
export interface PlacedControl {
  readonly control: Control;
  readonly order: number;
}

/** Something that changed, as `operator:changed` tells it. */
export type ControlChange = Pick<OperatorChanged, 'change' | 'control' | 'message'>;

/** Whether an act has ended by itself. */
export function isOver({ untilMs }: Pick<Control, 'untilMs'>, nowMs: number): boolean {
  return untilMs !== null && untilMs <= nowMs;
}

/** The order of what is in force. */
export function newestFirst(a: PlacedControl, b: PlacedControl): number {
  return b.control.sinceMs - a.control.sinceMs || b.order - a.order;
}

/** What has not ended by itself. */
export function withoutOver<T extends PlacedControl>(
  placed: ReadonlyMap<string, T>,
  nowMs: number,
): ReadonlyMap<string, T> {
  return new Map([...placed].filter(([, { control }]) => !isOver(control, nowMs)));
}

/** What was not said, or was not asked. */
type Circumstances = Pick<Control, 'actor' | 'sinceMs' | 'origin'>;

/** An act that is in force from now on. */
export function controlOf(wanted: WantedControl, { id, ...rest }: Circumstances & Pick<Control, 'id'>): Control {
  const { act, registry, scope, reason, actor, untilMs, inFlight, as, force } = wanted;
  return Object.freeze({
    id,
    act,
    registry,
    scope: Object.freeze(scope),
    reason,
    actor: actor ?? rest.actor,
    sinceMs: rest.sinceMs,
    untilMs,
    inFlight,
    as,
    force,
    origin: rest.origin,
  });
}

/** Turns a declared state into what is in force; an entry that was there before keeps its beginning. */
export function declare(
  declared: readonly DeclaredControl[],
  before: ReadonlyMap<string, PlacedControl>,
  { actor, sinceMs, origin }: Circumstances,
): ReadonlyMap<string, PlacedControl> {
  const nowMs = epochMs();
  return new Map(
    declared
      .map((wanted, index) => {
        const { id } = wanted;
        const knownMs = before.get(id)?.control.sinceMs;
        const saidMs = wanted.sinceMs ?? knownMs ?? sinceMs;
        // Said under a clock that is ahead: it must not come before all that is said until then.
        const begunMs = saidMs > nowMs ? (knownMs ?? nowMs) : saidMs;
        const control = controlOf(wanted, { id, actor, sinceMs: begunMs, origin });
        return [id, { control, order: -1 - index }] as const;
      })
      .filter(([, { control }]) => !isOver(control, nowMs)),
  );
}

/** What is to be told when one state follows another. */
export function changesBetween(
  before: ReadonlyMap<string, PlacedControl>,
  after: ReadonlyMap<string, PlacedControl>,
): readonly ControlChange[] {
  const ended = [...before].filter(([id]) => !after.has(id));
  const begun = [...after].filter(([id, { control }]) => !isDeepStrictEqual(before.get(id)?.control, control));
  return [
    ...ended.map(([, { control }]) => changeOf('released', control)),
    ...begun.map(([, { control }]) => changeOf('set', control)),
  ];
}

export function changeOf(change: 'set' | 'released' | 'expired', control: Control): ControlChange {
  const what = { set: '', released: 'released: ', expired: 'over: ' }[change];
  return { change, control, message: `${what}${controlSentence(control)} (${controlOrigin(control)})` };
}
