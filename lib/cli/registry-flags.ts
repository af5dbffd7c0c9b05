import type { Command } from 'commander';
import type { PullerOptions } from '../puller/options.js';
import type { RegistryOptions } from '../registries/registry.js';
import { readConfigFile } from './config-file.js';
import { UsageError } from './exit-code.js';

/** Which registries there are, as far as the command line says. */
export interface RegistryFlags {
  readonly registry?: readonly string[];
  readonly plainHttp?: readonly string[];
  readonly stateDir?: string;
  readonly controlFile?: string;
  readonly config?: string;
}

/** Adds the flags that every command about images takes. */
export function addRegistryFlags(command: Command): Command {
  return command
    .option('--registry <prefix>', 'a place to pull from, such as quay.io/team; repeat it, in order of priority', all)
    .option('--plain-http <prefix>', 'speak HTTP without TLS to this one of them; repeatable', all)
    .option('--state-dir <directory>', 'where digests, circuits and incidents are remembered from pull to pull')
    .option('--control-file <file>', "operators' switches, as `switch` writes them")
    .option('--config <file>', 'options of the library, as JSON or an ES module; flags win');
}

function all(value: string, previous: readonly string[] | undefined): readonly string[] {
  return [...(previous ?? []), value];
}

/**
 * Lays the flags over the configuration file. A registry that the file describes too keeps what the file says of it,
 * such as its credentials.
 *
 * @throws UsageError
 */
export async function readRegistryFlags(flags: RegistryFlags): Promise<PullerOptions> {
  const fromFile: PullerOptions = flags.config === undefined ? {} : await readConfigFile(flags.config);
  const { registries: inFile, replicaSets: setsInFile, ...rest } = fromFile;
  const state = {
    ...(flags.stateDir === undefined ? {} : { stateDir: flags.stateDir }),
    ...(flags.controlFile === undefined ? {} : { controlFile: flags.controlFile }),
  };
  const plainHttp = new Set(flags.plainHttp);
  if (flags.registry === undefined && plainHttp.size === 0) return { ...fromFile, ...state };

  if (flags.registry === undefined && setsInFile !== undefined) {
    throw new UsageError('--plain-http needs --registry, or registries in the file: in replicaSets it is said there');
  }
  const described = [...listOf(inFile), ...listOf(setsInFile).flatMap((set) => listOf(set.registries))];
  const descriptionOf = (prefix: string): string | RegistryOptions =>
    described.find((registry) => prefixOf(registry) === prefix) ?? prefix;
  const wanted = flags.registry?.map(descriptionOf) ?? listOf(inFile);
  const registries = wanted.map((registry) => {
    const prefix = prefixOf(registry);
    if (!plainHttp.delete(prefix)) return registry;
    return { ...(typeof registry === 'string' ? {} : registry), prefix, plainHttp: true };
  });
  const [unknown] = plainHttp;
  if (unknown !== undefined) {
    throw new UsageError(`--plain-http ${unknown} is none of the registries: ${wanted.map(prefixOf).join(', ')}`);
  }
  return { ...rest, ...state, registries };
}

/** The file is checked by the puller; until then it may hold anything. */
function listOf<T>(value: readonly T[] | undefined): readonly T[] {
  return Array.isArray(value) ? (value as readonly T[]) : [];
}

function prefixOf(registry: string | RegistryOptions): string {
  return typeof registry === 'string' ? registry : registry.prefix;
}
