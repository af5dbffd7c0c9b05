import { mirroredBy } from './registries-conf.js';

/** The registries of a scenario: A is asked first, and is the one that fails. */
export type Place = 'A' | 'B';

/** What a contender is given: where the registries are, and where the image goes. */
export interface Task {
  /** `127.0.0.1:40001`, by place. */
  readonly hosts: Readonly<Record<Place, string>>;
  /** Below the host: `bench/image:1`. */
  readonly image: string;
  /** A directory that does not exist yet. */
  readonly layout: string;
  /** A directory for files that the contender wants to write beforehand. */
  readonly scratch: string;
}

/** A command to run. */
export interface CommandLine {
  readonly program: string;
  readonly args: readonly string[];
  /** Files to write first, by path. */
  readonly files: Readonly<Record<string, string>>;
  /** What the layout's index calls the image afterwards. */
  readonly name: string;
}

/**
 * What a contender's numbers are for.
 *
 * - `measured`: to be compared
 * - `healthy`: what a pull takes where nothing fails; the others are told as multiples of it
 * - `control`: the same tool a second time
 */
export type Role = 'measured' | 'healthy' | 'control';

/** A tool, in the way it is used here. */
export interface Contender {
  readonly title: string;
  readonly tool: 'pull-failover' | 'skopeo';
  readonly role: Role;
  commandLine(task: Task): CommandLine;
}

const builtCommand = 'dist/cli/main.js';

/** What each tool is started with to measure its start alone. */
export const versionCommands: Readonly<Record<Contender['tool'], CommandLine>> = {
  'pull-failover': { program: process.execPath, args: [builtCommand, '--version'], files: {}, name: '' },
  skopeo: { program: 'skopeo', args: ['--version'], files: {}, name: '' },
};

/** The command of the built package, with the registries in order and everything else at its default. */
export function pullFailover(title: string, role: Role = 'measured'): Contender {
  return {
    title,
    tool: 'pull-failover',
    role,
    commandLine: ({ hosts, image, layout }) => {
      const name = `${hosts.A}/${image}`;
      const registries = [hosts.A, hosts.B].flatMap((host) => ['--registry', `${host}/${namespaceOf(image)}`]);
      return {
        program: process.execPath,
        args: [builtCommand, 'pull', name, ...registries, '--platform', 'linux/amd64', '--to', layout],
        files: {},
        name,
      };
    },
  };
}

/** `skopeo copy` into a layout; with two places the first is a mirror of the second in its registries.conf. */
export function skopeo(title: string, places: readonly [Place, Place?], role: Role = 'measured'): Contender {
  return {
    title,
    tool: 'skopeo',
    role,
    commandLine: ({ hosts, image, layout, scratch }) => {
      const [first, second] = places;
      const conf = `${scratch}/registries.conf`;
      const target = `${layout}:1`;
      return {
        program: 'skopeo',
        args: [
          '--registries-conf',
          conf,
          'copy',
          '--insecure-policy',
          '--src-tls-verify=false',
          '--src-no-creds',
          `docker://${hosts[second ?? first]}/${image}`,
          `oci:${target}`,
        ],
        files: { [conf]: second === undefined ? '' : mirroredBy(hosts[first], hosts[second]) },
        name: '1',
      };
    },
  };
}

function namespaceOf(image: string): string {
  return image.slice(0, image.lastIndexOf('/'));
}
