import { stat } from 'node:fs/promises';
import { Command } from 'commander';
import { epochMs } from '../clock/time.js';
import { unlessMissing } from '../files/file-error.js';
import { circuitsDocument, type KeptCircuit } from '../health/circuits-document.js';
import { readControlFile } from '../health/control/control-file.js';
import type { ControlEntry } from '../health/control/control-entry.js';
import { isOver } from '../health/control/placed-control.js';
import { controlsDocument } from '../health/control/stored-controls.js';
import type { Control } from '../vocabulary/control.js';
import type { CommandContext } from './command-context.js';
import { addControlFlags, readControlFlags, type ControlFlags } from './control-flags.js';
import { controlLines, switchLines } from './control-lines.js';
import { UsageError } from './exit-code.js';
import { bad, dim, good, type Line, type Span, strong, warning } from './line.js';
import { openScreen } from './screen.js';
import { showDistance } from './span.js';
import { readStateDocument } from './state-files.js';
import { tableLines } from './table.js';

interface StatusFlags extends ControlFlags {
  readonly stateDir?: string;
  readonly json?: true;
}

/** What operators and registries are up to, as far as files tell; JSON-safe. */
interface Status {
  readonly controlFile: {
    readonly path: string;
    readonly controls: readonly ControlEntry[];
    /** Hosts go on with what it said before; null: it can be used. */
    readonly problem: string | null;
  } | null;
  readonly state: {
    readonly directory: string;
    readonly controls: readonly Control[];
    readonly circuits: readonly KeptCircuit[];
    readonly problems: readonly string[];
  } | null;
}

/** `pull-failover status` */
export function statusCommand(context: CommandContext): Command {
  const command = new Command('status')
    .summary('shows which registries are ill, and what operators say about them')
    .description(
      'Shows what the hosts of a control file are told, and what the host of a state directory knows of its registries. Asks nobody: it needs no network.',
    );
  addControlFlags(command)
    .option('--state-dir <directory>', 'the stateDir of a host, which may be running')
    .option('--json', 'print it as one JSON object')
    .addHelpText(
      'after',
      `
Example:
  pull-failover status --control-file /etc/pull-failover/control.json --state-dir /var/lib/pull-failover`,
    )
    .action(async (flags: StatusFlags) => {
      const { controlFile, stateDir } = await readControlFlags(flags);
      if (controlFile === null && stateDir === null) {
        throw new UsageError('say where to look: --control-file, --state-dir, or a --config with one of them');
      }
      const status: Status = {
        controlFile: controlFile === null ? null : await readSwitches(controlFile),
        state: stateDir === null ? null : await readState(stateDir),
      };
      if (flags.json === true) {
        context.stdout.write(`${JSON.stringify(status)}\n`);
        return;
      }
      const screen = openScreen(context, { plain: true });
      for (const line of statusLines(status, epochMs())) screen.print(line, 2);
    });
  return command;
}

async function readSwitches(path: string): Promise<Status['controlFile']> {
  const found = await readControlFile(path);
  switch (found.kind) {
    case 'missing':
      return { path, controls: [], problem: null };
    case 'refused':
      return { path, controls: [], problem: found.problem };
    case 'read':
      return { path, controls: found.entries, problem: null };
  }
}

/** @throws UsageError */
async function readState(directory: string): Promise<Status['state']> {
  // A mistyped one would look like a host on which all is well.
  const stats = await unlessMissing(stat(directory));
  if (stats?.isDirectory() !== true) throw new UsageError(`--state-dir ${directory} is not a directory`);
  const [controls, circuits] = await Promise.all([
    readStateDocument(directory, controlsDocument),
    readStateDocument(directory, circuitsDocument),
  ]);
  const nowMs = epochMs();
  return {
    directory,
    controls:
      controls.kind === 'read'
        ? [...controls.document.values()]
            .map(({ control }) => control)
            .filter((control) => !isOver(control, nowMs))
            .toSorted((a, b) => b.sinceMs - a.sinceMs)
        : [],
    circuits: circuits.kind === 'read' ? [...circuits.document.values()].toSorted(byRegistry) : [],
    problems: [controls, circuits].flatMap((found) => (found.kind === 'broken' ? found.problem : [])),
  };
}

function byRegistry(a: KeptCircuit, b: KeptCircuit): number {
  return a.registry.localeCompare(b.registry) || b.phase.localeCompare(a.phase);
}

function statusLines({ controlFile, state }: Status, nowMs: number): readonly Line[] {
  return [
    ...(controlFile === null
      ? []
      : [
          [strong('the control file says'), dim(`  ${controlFile.path}`)],
          ...(controlFile.problem === null
            ? switchLines(controlFile.controls, nowMs)
            : [[bad(`  refused, hosts go on with what it said before: ${controlFile.problem}`)]]),
          [],
        ]),
    ...(state === null
      ? []
      : [
          [strong('calls of the host say'), dim(`  ${state.directory}`)],
          ...controlLines(state.controls, nowMs),
          [],
          [strong('registries')],
          ...circuitLines(state.circuits, nowMs),
          ...state.problems.map((problem): Line => [warning(`  ${problem}`)]),
        ]),
  ];
}

function circuitLines(circuits: readonly KeptCircuit[], nowMs: number): readonly Line[] {
  if (circuits.length === 0) return [[dim('  none has failed of late')]];
  return tableLines(
    ['registry', 'phase', 'circuit', 'since', 'why'],
    circuits.map((circuit) => [
      circuit.registry,
      circuit.phase,
      stateOf(circuit, nowMs),
      circuit.sinceMs === 0 ? '' : showDistance(circuit.sinceMs, nowMs),
      circuit.reason?.message ?? '',
    ]),
  );
}

function stateOf({ state, untilMs, limitedUntilMs }: KeptCircuit, nowMs: number): Span {
  const pause =
    limitedUntilMs !== null && limitedUntilMs > nowMs
      ? `, to be left alone until ${showDistance(limitedUntilMs, nowMs)}`
      : '';
  switch (state) {
    case 'closed':
      return pause === '' ? good('closed') : warning(`closed${pause}`);
    case 'half-open':
      return warning(`half-open${pause}`);
    case 'open':
      return untilMs !== null && untilMs > nowMs
        ? bad(`open, tried again ${showDistance(untilMs, nowMs)}${pause}`)
        : warning(`half-open${pause}`);
  }
}
