import type { Command } from 'commander';
import type { ControlledSet } from '../health/control/control-places.js';
import type { PullerOptions } from '../puller/options.js';
import { parseReplicaSets, type ReplicaSetsOptions } from '../registries/replica-set.js';
import { readConfigFile } from './config-file.js';

/** Where operators' switches are, as far as the command line says. */
export interface ControlFlags {
  readonly controlFile?: string;
  readonly config?: string;
}

/** Where they are, once the configuration was read. */
export interface ControlPlaces {
  readonly controlFile: string | null;
  readonly stateDir: string | null;
  /** Null: nobody said which registries there are. */
  readonly sets: readonly ControlledSet[] | null;
}

/** Adds the flags of every command that works on switches. */
export function addControlFlags(command: Command): Command {
  return command
    .option('--control-file <file>', 'the file that hosts watch for what operators say')
    .option('--config <file>', 'options of the library, as JSON or an ES module; flags win');
}

/** Lays the flags over the configuration file. @throws UsageError, InvalidOptionError */
export async function readControlFlags(flags: ControlFlags & { readonly stateDir?: string }): Promise<ControlPlaces> {
  const config: PullerOptions = flags.config === undefined ? {} : await readConfigFile(flags.config);
  const { registries, replicaSets, stateDir, controlFile } = config;
  return {
    controlFile: flags.controlFile ?? pathOf(controlFile),
    stateDir: flags.stateDir ?? pathOf(stateDir),
    sets: registries === undefined && replicaSets === undefined ? null : setsOf({ registries, replicaSets }),
  };
}

/** The file is checked by the puller; here it may hold anything. */
function pathOf(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}

function setsOf(options: ReplicaSetsOptions): readonly ControlledSet[] {
  return parseReplicaSets(options).sets.map(({ name, registries }) => ({
    name,
    registries: registries.filter(({ contact }) => contact).map(({ prefix }) => prefix),
  }));
}
