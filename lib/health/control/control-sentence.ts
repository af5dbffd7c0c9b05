import type { Control, ControlScope } from '../../vocabulary/control.js';

/** What an act does, as an operator would say it: `quay.io/team is not asked for database pulls`. */
export function controlSentence(control: Control): string {
  const { registry, scope, untilMs } = control;
  const until = untilMs === null ? '' : ` until ${new Date(untilMs).toISOString()}`;
  return `${registry} ${effectOf(control)}${scopeWords(scope)}${until}`;
}

/** By whom and why: `ann: layers time out`. */
export function controlOrigin({ actor, reason }: Control): string {
  return reason === '' ? actor : `${actor}: ${reason}`;
}

function effectOf({ act, as }: Control): string {
  switch (act) {
    case 'prefer':
      return 'comes first';
    case 'ban':
      return 'is not asked';
    case 'hold':
      return as === 'open' ? 'counts as ill' : 'counts as well';
  }
}

function scopeWords({ operationKind, replicaSet, phase }: ControlScope): string {
  const what = phase === undefined ? '' : ` for ${phase === 'layers' ? 'layers' : 'manifests'}`;
  const whose = operationKind === undefined ? '' : `${what === '' ? ' for' : ' of'} ${operationKind} pulls`;
  return `${what}${whose}${replicaSet === undefined ? '' : ` in the replica set '${replicaSet}'`}`;
}
