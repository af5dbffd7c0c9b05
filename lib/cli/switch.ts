import { Command, Option } from 'commander';
import { epochMs } from '../clock/time.js';
import { fileErrorCode } from '../files/file-error.js';
import { ownActor } from '../health/control/control-actor.js';
import { idOf, parseControlEntry, type ControlEntry } from '../health/control/control-entry.js';
import { readControlFile, updateControlFile } from '../health/control/control-file.js';
import { desertedBy, nameDeserted, refuseUnknownPlace } from '../health/control/control-places.js';
import type { ControlAct, ControlScope } from '../vocabulary/control.js';
import { registryPhases, type RegistryPhase } from '../vocabulary/phase.js';
import type { CommandContext } from './command-context.js';
import { addControlFlags, readControlFlags, type ControlFlags, type ControlPlaces } from './control-flags.js';
import { controlOfEntry, entryOrigin, entrySentence, switchLines } from './control-lines.js';
import { UsageError } from './exit-code.js';
import { dim, good, type Line, strong } from './line.js';
import { openScreen } from './screen.js';
import { parseSpan } from './span.js';

interface SwitchFlags extends ControlFlags {
  readonly ban?: true;
  readonly hold?: 'open' | 'closed';
  readonly for?: number;
  readonly reason?: string;
  readonly actor?: string;
  readonly replicaSet?: string;
  readonly phase?: RegistryPhase;
  readonly finish?: true;
  readonly force?: true;
  readonly release?: readonly string[];
  readonly list?: true;
  readonly json?: true;
}

/** What stands for every kind of operation. */
const everyKind = 'all';

/** `pull-failover switch` */
export function switchCommand(context: CommandContext): Command {
  const command = new Command('switch')
    .summary('puts a registry first, or takes it out, on every host that watches the file')
    .description(
      'Writes what operators want into the control file. Every host that watches it obeys within a second or so, for the pulls under way too.',
    )
    .argument('[kind]', `the kind of operation it is for, such as database, or ${everyKind}`)
    .argument('[prefix]', 'the registry, such as docker.io/team: it comes first from now on');
  addControlFlags(command)
    .addOption(new Option('--ban', 'do not ask this registry at all, instead of first').conflicts('hold'))
    .addOption(
      new Option('--hold <state>', 'have its circuit count as open (asked last) or closed').choices(['open', 'closed']),
    )
    .option(
      '--for <time>',
      'ends by itself after 90s, 30m, 2h, 1h30m or 2d; without it, when it is released',
      parseSpan,
    )
    .option('--reason <text>', 'why, for whoever finds it: hosts show it in plans, events and incidents')
    .option('--actor <name>', 'who says so (whoever runs this command)')
    .option('--replica-set <name>', 'for the images of this replica set only')
    .addOption(new Option('--phase <phase>', 'for this phase only').choices([...registryPhases]))
    .option('--finish', 'let requests under way end, instead of moving them at the next byte')
    .option('--force', 'ban it also where no other registry is left')
    .option('--release <id>', 'end what is in the file under this id; repeatable', all)
    .option('--list', 'show what is in the file')
    .option('--json', 'print what is in the file afterwards as one JSON object')
    .addHelpText(
      'after',
      `
Examples:
  pull-failover switch database docker.io/team --for 2h --reason "layers of quay.io time out" --control-file F
  pull-failover switch all quay.io/team --ban --for 30m --control-file F
  pull-failover switch --release ban-4f1c0a9b2d3e --control-file F`,
    )
    .action(async (kind: string | undefined, prefix: string | undefined, flags: SwitchFlags) => {
      const places = await readControlFlags(flags);
      const { controlFile } = places;
      if (controlFile === null) throw new UsageError('--control-file, or a --config with a controlFile, is missing');
      const { entries, told } = await run(controlFile, kind, prefix, flags, places);
      if (flags.json === true) {
        context.stdout.write(`${JSON.stringify({ controlFile, version: 1, controls: entries })}\n`);
        return;
      }
      const screen = openScreen(context, { plain: true });
      for (const line of told) screen.print(line, 2);
    });
  return command;
}

function all(value: string, previous: readonly string[] | undefined): readonly string[] {
  return [...(previous ?? []), value];
}

/** What the file holds afterwards, and what to tell of it. */
interface Outcome {
  readonly entries: readonly ControlEntry[];
  readonly told: readonly Line[];
}

async function run(
  path: string,
  kind: string | undefined,
  prefix: string | undefined,
  flags: SwitchFlags,
  places: ControlPlaces,
): Promise<Outcome> {
  const acts = [kind !== undefined, flags.release !== undefined, flags.list === true].filter(Boolean);
  if (acts.length !== 1) {
    throw new UsageError('say one of: a kind and a registry, --release with an id, --list');
  }
  if (flags.list === true) return list(path);
  if (flags.release !== undefined) return release(path, flags.release);
  if (kind === undefined || prefix === undefined)
    throw new UsageError('the registry is missing: switch <kind> <prefix>');
  return begin(path, entryOf(kind, prefix, flags, places), places);
}

async function list(path: string): Promise<Outcome> {
  const found = await readControlFile(path);
  if (found.kind === 'refused') throw new UsageError(`--control-file ${path}: ${found.problem}`);
  const entries = found.kind === 'missing' ? [] : found.entries;
  return { entries, told: switchLines(entries, epochMs()) };
}

async function release(path: string, ids: readonly string[]): Promise<Outcome> {
  const ended: ControlEntry[] = [];
  const entries = await write(path, (before) => {
    const known = before.map(idOfEntry);
    const unknown = ids.find((id) => !known.includes(id));
    if (unknown !== undefined) {
      throw new UsageError(
        `--release ${unknown} is not in ${path}; ${known.length === 0 ? 'nothing is' : `there are: ${known.join(', ')}`}`,
      );
    }
    ended.splice(0, ended.length, ...before.filter((entry) => ids.includes(idOfEntry(entry))));
    return before.filter((entry) => !ids.includes(idOfEntry(entry)));
  });
  return { entries, told: ended.map((entry) => [good('released '), entrySentence(entry)]) };
}

async function begin(
  path: string,
  entry: ControlEntry & { readonly id: string },
  { sets }: ControlPlaces,
): Promise<Outcome> {
  const { id } = entry;
  const entries = await write(path, (before) => {
    // Said again, it begins again: what was said before of the same would only outlast it.
    const after = [...before.filter((other) => idOfEntry(other) !== id), entry];
    const deserted = sets === null ? null : desertedBy(controlOfEntry(entry), after.map(controlOfEntry), sets);
    if (deserted !== null) {
      throw new UsageError(`nobody else would be left for ${nameDeserted(deserted)}; --force bans it all the same`);
    }
    return after;
  });
  return {
    entries,
    told: [
      [strong(entrySentence(entry)), dim(` (${entryOrigin(entry)})`)],
      [dim(`in ${path} as ${id}; to end it: pull-failover switch --release ${id} --control-file ${quoted(path)}`)],
    ],
  };
}

/** As a shell takes it for one word. */
function quoted(path: string): string {
  return /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
}

/** @throws UsageError, InvalidOptionError */
function entryOf(
  kind: string,
  prefix: string,
  flags: SwitchFlags,
  { sets }: ControlPlaces,
): ControlEntry & { readonly id: string } {
  const act: ControlAct = flags.hold !== undefined ? 'hold' : flags.ban === true ? 'ban' : 'prefer';
  if (flags.force === true && act !== 'ban') throw new UsageError('--force is for --ban');
  if (act === 'hold' && kind !== everyKind) {
    throw new UsageError(`--hold is for ${everyKind} kinds: a circuit is the same for all pulls`);
  }
  if (act === 'hold' && flags.replicaSet !== undefined) {
    throw new UsageError('--replica-set is not for --hold: a circuit is the same for all pulls');
  }
  const scope: ControlScope = {
    ...(kind === everyKind ? {} : { operationKind: kind }),
    ...(flags.replicaSet === undefined ? {} : { replicaSet: flags.replicaSet }),
    ...(flags.phase === undefined ? {} : { phase: flags.phase }),
  };
  const nowMs = epochMs();
  const wanted = parseControlEntry(
    {
      act,
      registry: prefix,
      scope,
      reason: flags.reason ?? '',
      actor: flags.actor ?? commandActor(),
      ...(flags.finish === true ? { inFlight: 'finish' } : {}),
      ...(flags.hold === undefined ? {} : { as: flags.hold }),
      ...(flags.force === true ? { force: true } : {}),
    },
    '',
  );
  if (sets !== null) {
    refuseUnknownPlace(wanted, sets, (key) => (key === 'registry' ? '<prefix>' : '--replica-set'));
  }
  const { registry, reason, actor, inFlight, as, force } = wanted;
  return {
    id: idOf(wanted),
    act,
    registry,
    ...(Object.keys(scope).length === 0 ? {} : { scope }),
    ...(reason === '' ? {} : { reason }),
    ...(actor === null ? {} : { actor }),
    sinceMs: nowMs,
    // For people, who read the file too.
    ...(flags.for === undefined ? {} : { until: new Date(nowMs + flags.for).toISOString() }),
    ...(inFlight === 'finish' ? { inFlight } : {}),
    ...(as === null ? {} : { as }),
    ...(force ? { force } : {}),
  };
}

function idOfEntry(entry: ControlEntry): string {
  const wanted = parseControlEntry(entry, 'entry');
  return wanted.id ?? idOf(wanted);
}

/** Behind `sudo` is a person. */
function commandActor(): string {
  const person = process.env['SUDO_USER'];
  return person === undefined || person === '' ? ownActor() : person;
}

async function write(
  path: string,
  change: (before: readonly ControlEntry[]) => readonly ControlEntry[],
): Promise<readonly ControlEntry[]> {
  try {
    return await updateControlFile(path, change);
  } catch (error) {
    const code = fileErrorCode(error);
    if (code === null || code.startsWith('ERR_')) throw error;
    throw new UsageError(`--control-file ${path}: cannot be written (${code})`);
  }
}
