import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { Command, Option } from 'commander';
import { fileErrorCode } from '../files/file-error.js';
import { openStateStore } from '../health/state-store.js';
import type { Incident } from '../incidents/incident.js';
import {
  countInWords,
  dateInWords,
  durationInWords,
  leftOutOf,
  nameOf,
  outcomeOf,
  summaryOf,
  titleOf,
} from '../incidents/incident-words.js';
import { incidentsDocument, isAbandoned, type KeptIncident } from '../incidents/incidents-document.js';
import { sumOf } from '../incidents/kind-counts.js';
import { type IncidentFormat, incidentFormats, renderIncident } from '../incidents/render-incident.js';
import { storyOf } from '../incidents/timeline.js';
import type { CommandContext } from './command-context.js';
import { readConfigFile } from './config-file.js';
import { UsageError } from './exit-code.js';
import { bad, dim, good, type Line, strong, warning } from './line.js';
import { openScreen, type Screen } from './screen.js';
import { type Cell, tableLines } from './table.js';

interface IncidentFlags {
  readonly stateDir?: string;
  readonly config?: string;
  readonly format?: IncidentFormat;
  readonly out?: string;
}

/** What the end of a file's name says of its format. */
const formatsByExtension: Readonly<Record<string, IncidentFormat>> = {
  '.md': 'markdown',
  '.html': 'html',
  '.json': 'json',
};

/** `pull-failover incident` */
export function incidentCommand(context: CommandContext): Command {
  return new Command('incident')
    .summary('shows when registries failed, what became of the operations, and who did what')
    .description(
      'Shows the incidents that a host recorded in its state: from the first registry that failed until all were well ' +
        'again. Without an id it lists them; with one it tells that one, or writes it down.',
    )
    .argument('[id]', 'an incident of the list, or how its id begins; `last` is the newest')
    .option('--state-dir <directory>', "the host's state (`stateDir` of its puller)")
    .option('--config <file>', "options of the host's puller, as JSON or an ES module, for their `stateDir`")
    .addOption(new Option('--format <format>', 'write it down so, on standard output').choices(incidentFormats))
    .option('--out <file>', 'write it to this file; its name tells the format (.md, .html or .json)')
    .addHelpText(
      'after',
      `
Examples:
  pull-failover incident --state-dir /var/lib/host/pulls
  pull-failover incident last --state-dir /var/lib/host/pulls --out postmortem.html`,
    )
    .action(async (id: string | undefined, flags: IncidentFlags) => {
      const format = formatOf(flags);
      const directory = await stateDirectoryOf(flags);
      const kept = [...(await openStateStore(directory).document(incidentsDocument).read()).values()].toSorted(
        (a, b) => b.incident.openedAtMs - a.incident.openedAtMs,
      );
      if (kept.length === 0 && existsSync(join(directory, `${incidentsDocument.name}.json`))) {
        throw new UsageError(`what ${directory} holds of incidents cannot be read; DEBUG=pull-failover:state says why`);
      }
      if (id === undefined && format === null) {
        list(openScreen(context, { plain: true }), kept, directory);
        return;
      }
      const found = find(kept, id ?? 'last', directory);
      if (format === null) tell(openScreen(context, { plain: true }), found);
      else await write(context, renderIncident(found.incident, format), flags.out);
    });
}

/** Null: it is told on the screen. */
function formatOf({ format, out }: IncidentFlags): IncidentFormat | null {
  if (format !== undefined || out === undefined) return format ?? null;
  const told = formatsByExtension[extname(out).toLowerCase()];
  if (told === undefined) {
    throw new UsageError(`--out ${out}: its name tells no format; end it in .md, .html or .json, or add --format`);
  }
  return told;
}

async function stateDirectoryOf({ stateDir, config }: IncidentFlags): Promise<string> {
  const directory = stateDir ?? (config === undefined ? undefined : (await readConfigFile(config)).stateDir);
  if (typeof directory !== 'string' || directory === '') {
    throw new UsageError('--state-dir, or --config of a host with a stateDir, must say where incidents are recorded');
  }
  return directory;
}

function find(kept: readonly KeptIncident[], id: string, directory: string): KeptIncident {
  const [newest] = kept;
  if (newest === undefined) throw new UsageError(`no incident is recorded in ${directory}`);
  if (id === 'last') return newest;
  const matching = kept.filter(({ incident }) => incident.id.startsWith(id));
  const exact = matching.find(({ incident }) => incident.id === id);
  const [only, another] = matching;
  if (exact !== undefined) return exact;
  if (only !== undefined && another === undefined) return only;
  const ids = (matching.length === 0 ? kept : matching).map(({ incident }) => incident.id).join(', ');
  throw new UsageError(`incident ${id} ${matching.length === 0 ? 'is none of' : 'may be each of'}: ${ids}`);
}

async function write(context: CommandContext, text: string, out: string | undefined): Promise<void> {
  if (out === undefined) {
    context.stdout.write(text);
    return;
  }
  try {
    await writeFile(out, text);
  } catch (error) {
    throw new UsageError(`--out ${out}: cannot be written (${fileErrorCode(error) ?? 'unknown'})`);
  }
  context.stdout.write(`${out}\n`);
}

function list(screen: Screen, kept: readonly KeptIncident[], directory: string): void {
  if (kept.length === 0) {
    screen.print([`No incident is recorded in ${directory}.`]);
    return;
  }
  const rows = kept.map((each): readonly Cell[] => {
    const { incident } = each;
    const { failed, late, saved } = sumOf(incident.totals);
    return [
      incident.id,
      `${dateInWords(incident.openedAtMs)} UTC`,
      lastedOf(each),
      incident.registries.join(', '),
      ...[failed, late, saved].map(String),
    ];
  });
  const headings = ['incident', 'opened', 'lasted', 'registries', 'failed', 'late', 'saved'];
  for (const line of tableLines(headings, rows, [4, 5, 6])) screen.print(line);
}

function lastedOf(kept: KeptIncident): Cell {
  const { closedAtMs, openedAtMs } = kept.incident;
  if (closedAtMs !== null) return durationInWords(closedAtMs - openedAtMs);
  return isAbandoned(kept) ? warning('open when its host ended') : bad('still open');
}

function tell(screen: Screen, kept: KeptIncident): void {
  const { incident } = kept;
  screen.print([strong(titleOf(incident))], 2);
  screen.print([]);
  for (const sentence of summaryOf(incident)) screen.print([sentence], 2);
  if (incident.closedAtMs === null && isAbandoned(kept)) {
    screen.print([warning('The host that recorded it has ended; its next pull goes on with the record.')], 2);
  }
  screen.print([]);
  for (const { atMs, text } of storyOf(incident)) {
    screen.print([dim(`${dateInWords(atMs)}  `), text], storyIndent);
  }
  if (incident.operations.length > 0) {
    screen.print([]);
    screen.print([strong(countInWords(incident.operations.length, 'operation'))]);
    for (const operation of incident.operations) screen.print(operationLine(operation), 2);
  }
  for (const sentence of leftOutOf(incident)) screen.print([dim(sentence)], 2);
}

/** The width of `2017-07-26 18:36:04  `. */
const storyIndent = 21;

function operationLine(operation: Incident['operations'][number]): Line {
  const { outcome, image, engine } = operation;
  const words = outcomeOf(operation);
  const tones = { failed: bad, late: warning, saved: good, aborted: dim, running: dim } as const;
  return [`  ${nameOf(operation)} ${image} on ${engine}: `, tones[outcome](words)];
}
