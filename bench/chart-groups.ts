import { spreadText } from './amounts.js';
import type { BarEnd, ChartBar, ChartGroup } from './chart.js';
import type { Placing, Result } from './measure.js';
import { findDone, judgementsOf, limitSeconds } from './report.js';
import type { Summary } from './summary.js';

/** What a chart shows of the results: everybody but the controls, each as a multiple of what its scenario says. */
export function chartGroups(results: readonly Result[]): readonly ChartGroup[] {
  return results.map((result) => {
    const { scenario, placings } = result;
    const isLimit = scenario.chartUnit === 'limit';
    return {
      title: scenario.title,
      unit: isLimit ? 'bytes ÷ bandwidth' : referenceTitle(result),
      scale: isLimit ? 'limit' : scenario.name,
      bars: placings
        .filter(({ entrant }) => entrant.contender.controlOf === null)
        .map((placing) => barOf(result, placing)),
    };
  });
}

/** Of the one that all are compared with, if there is one. */
function referenceTitle({ scenario, placings }: Result): string {
  const references = new Set(placings.map(({ entrant }) => entrant.reference ?? scenario.reference));
  const title = placings.find(({ entrant }) => references.has(entrant.contender.name))?.entrant.contender.title;
  return references.size === 1 && title !== undefined ? title : 'what it is compared with';
}

function barOf(result: Result, placing: Placing): ChartBar {
  const { scenario } = result;
  const { contender, reference = scenario.reference } = placing.entrant;
  const unitSeconds =
    scenario.chartUnit === 'limit' ? limitSeconds(result) : (findDone(result, reference)?.seconds.median ?? null);
  const allowed = judgementsOf(result, placing).flatMap(({ allowedSeconds }) =>
    allowedSeconds === null ? [] : [allowedSeconds],
  );
  return {
    label: contender.title,
    kind: contender.name === reference ? 'reference' : contender.isOurs ? 'ours' : 'other',
    end: endOf(placing.summary, unitSeconds),
    target: unitSeconds === null || allowed.length === 0 ? null : Math.min(...allowed) / unitSeconds,
  };
}

function endOf(summary: Summary, unitSeconds: number | null): BarEnd {
  switch (summary.ending) {
    case 'done': {
      const { median, min, max } = summary.seconds;
      if (unitSeconds === null) return { kind: 'none', note: spreadText(summary.seconds, 2, 's') };
      return { kind: 'measured', value: median / unitSeconds, min: min / unitSeconds, max: max / unitSeconds };
    }
    case 'stopped':
      return { kind: 'open', note: 'hangs' };
    case 'failed':
      return { kind: 'none', note: `fails after ${summary.seconds.median.toFixed(1)} s` };
    case 'wrong':
      return { kind: 'none', note: 'brings wrong content' };
    case 'mixed':
      return { kind: 'none', note: `succeeds in ${summary.done} of ${summary.trials} rounds` };
  }
}
