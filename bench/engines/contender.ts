import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { verifyImage } from '../../lib/drill/verify-layout.js';
import type { TestImage } from '../../lib/testing/index.js';
import { isInstalled } from '../../spec/support/real-parts.js';
import { type Place, type Role, skopeo } from '../contender.js';
import { mirroredBy } from '../registries-conf.js';
import { runProcess } from '../run-process.js';
import type { Trial } from '../summary.js';
import { startEmbedded } from './embedded.js';
import { type EngineChoice, engines } from './engine-choice.js';

/** An image that is pulled. */
export interface NamedImage {
  /** Below the host: `bench/image:1`. */
  readonly name: string;
  readonly image: TestImage;
}

/** What a contender is given: where the registries are, and what is pulled, all of it at once. */
export interface EngineTask {
  readonly hosts: Readonly<Record<Place, string>>;
  readonly images: readonly NamedImage[];
  /** With its host: a small image at a registry that is well. */
  readonly warmUp: string;
  /** A directory for files that the contender wants to write. */
  readonly scratch: string;
  readonly capSeconds: number;
}

/** What became of it, and why when it failed. */
export type EngineTrial = Omit<Trial, 'sentBytes'> & { readonly complaint: string };

/** A way to bring images into an engine; each trial starts with an engine that has never seen them. */
export interface EngineContender {
  readonly title: string;
  /** Whose numbers are compared with the targets. */
  readonly subject: 'pull-failover' | 'docker pull' | 'another tool';
  /** Numbers of one engine are told as multiples of what the engine itself takes. */
  readonly engine: string;
  readonly role: Role;
  /** What has to be there that is not, and how to get it; null when all is. */
  missing(): string | null;
  /** @throws Error when an image is said to be complete and is not */
  run(task: EngineTask): Promise<EngineTrial>;
}

const execute = promisify(execFile);

/** The built library in a process of its own, with the registries in order, through its relay. */
export function throughRelay(title: string, choice: EngineChoice, role: Role = 'measured'): EngineContender {
  return embedded(title, 'pull-failover', choice, ['A', 'B'], role);
}

/** What `docker pull` asks of the engine; with two places the first is a mirror of the second in its configuration. */
export function byEngine(
  title: string,
  choice: EngineChoice,
  places: readonly [Place, Place?],
  role: Role = 'measured',
): EngineContender {
  return embedded(title, 'engine', choice, places, role);
}

function embedded(
  title: string,
  puller: 'pull-failover' | 'engine',
  choice: EngineChoice,
  places: readonly [Place, Place?],
  role: Role,
): EngineContender {
  const engine = engines[choice];
  const subject = puller === 'pull-failover' ? puller : choice === 'podman' ? 'another tool' : 'docker pull';
  return {
    title,
    subject,
    engine: engine.title,
    role,
    missing: engine.missing,
    run: async ({ hosts, images, warmUp, capSeconds }) => {
      const [first, second] = places;
      const isMirrored = puller === 'engine' && second !== undefined;
      await using daemon = await engine.start(isMirrored ? mirroredBy(hosts[first], hosts[second]) : null);
      const host = hosts[isMirrored ? second : first];
      await using process = await startEmbedded({
        puller,
        socketPath: daemon.socketPath,
        registries: (['A', 'B'] as const).map((place) => `${hosts[place]}/bench`),
        warmUp,
      });
      const run = await process.pull(
        images.map(({ name }) => `${host}/${name}`),
        capSeconds,
      );
      if (run.ending === 'done') {
        for (const { name, image } of images) {
          // An engine gives the image this id only if every layer unpacks to what the config says of it.
          const { Id: id } = await daemon.docker.getImage(`${host}/${name}`).inspect();
          const expected = choice === 'containerd' ? image.digest : image.config.digest;
          if (!expected.endsWith(id)) throw new Error(`${title}: ${name} is ${id} instead of ${expected}`);
        }
      }
      return { ...run, maxRssBytes: null };
    },
  };
}

/** `ctr images pull --hosts-dir`: A before B, as containerd is told to survive a registry. */
export function ctr(title: string): EngineContender {
  const engine = engines.docker;
  return {
    title,
    subject: 'another tool',
    engine: 'containerd',
    role: 'measured',
    missing: () => engine.missing() ?? (isInstalled('ctr') ? null : 'ctr (apt-get install containerd)'),
    run: async ({ hosts, images, scratch, capSeconds }) => {
      // The containerd of a daemon of ours: one less to start and to end.
      await using daemon = await engine.start(null);
      const socket = `/proc/${daemon.processId}/root/run/docker/containerd/containerd.sock`;
      const hostsDirectory = join(scratch, 'hosts');
      await mkdir(join(hostsDirectory, hosts.B), { recursive: true });
      await writeFile(join(hostsDirectory, hosts.B, 'hosts.toml'), hostsFile(hosts));
      const [{ name, image }] = onlyOne(images);
      const reference = `${hosts.B}/${name}`;
      const { complaint, ending, seconds } = await runProcess(
        {
          program: 'ctr',
          args: ['-a', socket, 'images', 'pull', '--hosts-dir', hostsDirectory, '--platform', 'linux/amd64', reference],
          files: {},
          name: reference,
        },
        capSeconds,
      );
      if (ending === 'done') {
        const { stdout } = await execute('ctr', ['-a', socket, 'images', 'check', `name==${reference}`]);
        if (!stdout.includes(image.digest) || !/\bcomplete\b/.test(stdout)) throw new Error(`${title}: ${stdout}`);
      }
      // What the command takes is not what containerd takes.
      return { ending, seconds, complaint, cpuSeconds: null, maxRssBytes: null, rssGrowthBytes: null };
    },
  };
}

/** `skopeo copy` into a layout, which is read back: it has no engine. */
export function skopeoCopy(title: string, places: readonly [Place, Place?]): EngineContender {
  const contender = skopeo(title, places);
  return {
    title,
    subject: 'another tool',
    engine: 'skopeo',
    role: 'measured',
    missing: () => (isInstalled('skopeo') ? null : 'skopeo (apt-get install skopeo)'),
    run: async ({ hosts, images, scratch, capSeconds }) => {
      const [{ name, image }] = onlyOne(images);
      const layout = join(scratch, 'layout');
      const command = contender.commandLine({ hosts, image: name, layout, scratch });
      const { complaint, ending, seconds, cpuSeconds } = await runProcess(command, capSeconds);
      if (ending === 'done') {
        const wanted = { host: title, name: command.name, image: name, expected: image };
        const { problems } = await verifyImage(layout, wanted);
        if (problems.length > 0) throw new Error(problems.join('\n'));
      }
      return { ending, seconds, complaint, cpuSeconds, maxRssBytes: null, rssGrowthBytes: null };
    },
  };
}

/** containerd's hosts.toml: hosts are asked in their order, and then the server itself. */
function hostsFile(hosts: EngineTask['hosts']): string {
  return `server = "http://${hosts.B}"
[host."http://${hosts.A}"]
  capabilities = ["pull", "resolve"]
`;
}

function onlyOne<T>(all: readonly T[]): readonly [T] {
  const [first] = all;
  if (first === undefined || all.length > 1) throw new Error('this contender pulls one image');
  return [first];
}
