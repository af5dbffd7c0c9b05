import { randomBytes } from 'node:crypto';
import type Dockerode from 'dockerode';
import { dockerEngine, dockerParts, type DockerEngine } from '../engine/docker/docker-engine.js';
import { formatPlatform, hostPlatform, parsePlatform, runsOn } from '../image/platform.js';
import { abortable, sleep, withDeadline } from '../policy/deadline.js';
import type { TestImage } from '../testing/test-image.js';
import { redactText } from '../vocabulary/redact.js';
import { namespace } from './images.js';
import { makeServerImage } from './server-image.js';
import { findServerProgram, type ServerProgram } from './server-program.js';

/** A Docker or Podman engine of this machine, for one database that is started and asked. */
export interface DatabaseHost {
  /** What orders call it. */
  readonly name: string;
  readonly engine: DockerEngine;
  /** As people know it: `docker 20.10.24, unix:///var/run/docker.sock`. */
  readonly description: string;
  readonly server: ServerProgram;
  /** The repository and tag, as below a registry's host. */
  readonly imageName: string;
  readonly image: TestImage;
  /**
   * Starts a container of an image that was pulled, and asks the server in it until it answers.
   *
   * @returns its answer
   * @throws Error with what the container has written, when it ends or does not answer in time
   */
  ask(reference: string, signal: AbortSignal): Promise<string>;
  /** Removes the container and the image. @returns what is still there, one sentence each. Idempotent. */
  remove(): Promise<readonly string[]>;
  /** Removes what is left, and ends the requests. */
  close(): Promise<void>;
}

/** The engine that a drill may use, or why there is none, and how to get it. */
export type FoundDatabaseHost = DatabaseHost | { readonly missing: string };

/** A local daemon answers in milliseconds; one that takes longer is no help to a drill of half a minute. */
const greetingLimitMs = 5_000;
/** Redis needs a tenth of a second; a busy machine much more. */
const answerLimitMs = 15_000;
const askAgainMs = 100;
const removalLimitMs = 15_000;
const mostRemovals = 10;
const removeAgainMs = 200;
/** Enough to see what a server said last. */
const mostShown = 500;

/** Marks the containers of a drill, for whoever finds one after a machine was switched off. */
const label = 'pull-failover.drill';

/** Looks whether there is an engine that can run a server of this host, and packs that server into an image. */
export async function findDatabaseHost(docker: Dockerode, signal: AbortSignal): Promise<FoundDatabaseHost> {
  const engine = dockerEngine(docker, { id: 'docker-1' });
  const missing = async (why: string): Promise<FoundDatabaseHost> => {
    await engine.close();
    signal.throwIfAborted();
    return { missing: why };
  };
  if (process.platform !== 'linux') {
    return missing(
      `a container needs a server for Linux, and the programs of this machine are for ${process.platform}`,
    );
  }
  try {
    const expired = () => new Error(`it did not answer within ${greetingLimitMs} ms`);
    const { product, version, platform } = await withDeadline({ ms: greetingLimitMs, signal, expired }, (limited) =>
      dockerParts(engine).daemon.traits({ signal: limited }),
    );
    if (!runsOn(parsePlatform(platform), hostPlatform())) {
      const own = formatPlatform(hostPlatform());
      return await missing(
        `the engine at ${engine.address} runs ${platform}, and the servers of this machine are for ${own}`,
      );
    }
    const server = await findServerProgram();
    // Drills may run side by side: what one removes is its own.
    const drillId = randomBytes(4).toString('hex');
    const image = await makeServerImage(server, { [label]: drillId });
    signal.throwIfAborted();
    return new OpenDatabaseHost({
      docker,
      engine,
      description: `${product} ${version}, ${engine.address}`,
      server,
      image,
      drillId,
    });
  } catch (error) {
    const what = redactText(error instanceof Error ? error.message : String(error));
    return missing(
      `no engine can be used at ${engine.address} (${what}): start Docker or Podman there, or set DOCKER_HOST`,
    );
  }
}

interface OwnParts extends Pick<DatabaseHost, 'engine' | 'description' | 'server' | 'image'> {
  readonly docker: Dockerode;
  /** Nobody else's. */
  readonly drillId: string;
}

class OpenDatabaseHost implements DatabaseHost {
  readonly name = 'docker-1';
  readonly engine: DockerEngine;
  readonly description: string;
  readonly server: ServerProgram;
  readonly image: TestImage;
  readonly imageName: string;
  readonly #docker: Dockerode;
  readonly #drillId: string;
  #starting: Promise<Dockerode.Container> | null = null;

  constructor({ docker, engine, description, server, image, drillId }: OwnParts) {
    this.#docker = docker;
    this.#drillId = drillId;
    this.engine = engine;
    this.description = description;
    this.server = server;
    this.image = image;
    this.imageName = `${namespace}/database-${drillId}:3.0`;
  }

  async ask(reference: string, signal: AbortSignal): Promise<string> {
    signal.throwIfAborted();
    this.#starting = this.#start(reference);
    const container = await abortable(this.#starting, signal);
    const expired = () => new Error(`${this.server.name} did not answer within ${answerLimitMs} ms`);
    try {
      return await withDeadline({ ms: answerLimitMs, signal, expired }, (limited) =>
        this.#untilAnswered(container, limited),
      );
    } catch (error) {
      signal.throwIfAborted();
      const said = await this.#lastWords(container);
      throw new Error(`${error instanceof Error ? error.message : String(error)}; it said: ${said}`, { cause: error });
    }
  }

  async remove(): Promise<readonly string[]> {
    const expired = () => new Error(`it took more than ${removalLimitMs} ms`);
    try {
      return await withDeadline({ ms: removalLimitMs, expired }, () => this.#remove());
    } catch (error) {
      return [`what was put into ${this.description} could not be removed: ${redactText(String(error))}`];
    }
  }

  async close(): Promise<void> {
    await this.remove();
    await this.engine.close();
  }

  /** Never cut short: a daemon goes on creating a container that nobody waits for, and there it would stay. */
  async #start(reference: string): Promise<Dockerode.Container> {
    const container = await this.#docker.createContainer({
      Image: reference,
      Labels: { [label]: this.#drillId },
      HostConfig: { NetworkMode: 'none' },
    });
    await container.start();
    return container;
  }

  async #untilAnswered(container: Dockerode.Container, signal: AbortSignal): Promise<string> {
    for (;;) {
      signal.throwIfAborted();
      // Nothing can be asked in a container that has ended: why, its state says.
      const answer = await this.#ping(container, signal).catch(() => '');
      if (/\bPONG\b/.test(answer)) return answer.trim();
      const { State: state } = await container.inspect();
      if (!state.Running) throw new Error(`${this.server.name} ended with ${state.ExitCode}`);
      await sleep(askAgainMs, signal);
    }
  }

  async #ping(container: Dockerode.Container, signal: AbortSignal): Promise<string> {
    // With a terminal its output comes as it is, without frames around it.
    const exec = await container.exec({
      Cmd: [...this.server.ping],
      AttachStdout: true,
      Tty: true,
      abortSignal: signal,
    });
    const output = await exec.start({ Tty: true, abortSignal: signal });
    let text = '';
    for await (const chunk of output) text = `${text}${String(chunk)}`.slice(-mostShown);
    return text;
  }

  async #lastWords(container: Dockerode.Container): Promise<string> {
    const log = await container.logs({ stdout: true, stderr: true, tail: 5 }).catch(() => Buffer.alloc(0));
    return redactText(log.toString('utf8').slice(-mostShown)) || 'nothing';
  }

  async #remove(): Promise<readonly string[]> {
    await this.#starting?.catch(() => undefined);
    for (let tries = 1; ; tries += 1) {
      const [containers, images] = [await this.#ownContainers(), await this.#ownImages()];
      if (containers.length === 0 && images.length === 0) return [];
      if (tries > mostRemovals) {
        const left = [...containers.map((id) => `container ${id}`), ...images.map((id) => `image ${id}`)];
        return left.map((what) => `${what} was left behind in ${this.description}`);
      }
      // What is busy now, or gone already, is looked at again.
      await Promise.allSettled(containers.map((id) => this.#docker.getContainer(id).remove({ force: true, v: true })));
      await Promise.allSettled(images.map((id) => this.#docker.getImage(id).remove({ force: true })));
      if (tries > 1) await sleep(removeAgainMs);
    }
  }

  async #ownContainers(): Promise<readonly string[]> {
    const filters = { label: [`${label}=${this.#drillId}`] };
    return (await this.#docker.listContainers({ all: true, filters })).map(({ Id: id }) => id);
  }

  /** By whatever names it has come and gone: those of a pull that was cut short may be others. */
  async #ownImages(): Promise<readonly string[]> {
    const ids: readonly string[] = [this.image.config.digest, this.image.digest];
    const images = await this.#docker.listImages();
    return images
      .filter(
        ({ Id: id, RepoTags: tags, RepoDigests: digests }) =>
          ids.includes(id) || [...(tags ?? []), ...(digests ?? [])].some((name) => name.includes(this.#drillId)),
      )
      .map(({ Id: id }) => id);
  }
}
