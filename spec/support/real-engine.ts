import Dockerode from 'dockerode';
import type { EngineStore } from '../../lib/engine/docker/engine-traits.js';
import type { PrivateDaemon } from './private-daemon.js';
import { until } from './until.js';

/** A real engine of our own; closing it ends everything it started, and removes what it kept. */
export interface RealEngine extends AsyncDisposable {
  readonly socketPath: string;
  readonly docker: Dockerode;
  readonly store: EngineStore;
  /** A process, as the host counts, in whose namespaces the daemon runs. */
  readonly processId: number;
  /** Its data root, as the host can read it. */
  readonly dataRoot: string;
  log(): string;
  /** Ends it at once, as a machine without memory would; what it had not finished stays as it is. */
  kill(): Promise<void>;
  /** Ends it in good order where it runs, and starts it again. */
  restart(): Promise<void>;
  /** Lets it do nothing, as if it hung, until `resume`. */
  suspend(): Promise<void>;
  resume(): Promise<void>;
  close(): Promise<void>;
}

/** What specs need of a daemon that was started. */
export function realEngine(daemon: PrivateDaemon, store: EngineStore): RealEngine {
  return {
    socketPath: daemon.socketPath,
    docker: new Dockerode({ socketPath: daemon.socketPath }),
    store,
    processId: daemon.processId,
    dataRoot: daemon.dataRoot,
    log: daemon.log,
    kill: () => daemon.end('KILL'),
    restart: async () => {
      await daemon.end('TERM');
      await daemon.start();
    },
    suspend: () => daemon.signal('STOP'),
    resume: () => daemon.signal('CONT'),
    close: daemon.close,
    [Symbol.asyncDispose]: daemon.close,
  };
}

/**
 * Takes every image of an engine away, by its names first: one with several is not removed by its identifier. Podman
 * cannot list images while one goes away, nor can anybody remove what another request removes: then it is done again.
 */
export async function removeImages({ docker }: Pick<RealEngine, 'docker'>): Promise<void> {
  let problem: unknown = null;
  const isEmpty = async (): Promise<boolean> => {
    try {
      for (const { Id, RepoTags } of await docker.listImages({ all: true })) {
        const names = (RepoTags ?? []).filter((name) => !name.startsWith('<none>'));
        for (const name of [...names, Id]) await removeImage(docker, name);
      }
      return (await docker.listImages({ all: true })).length === 0;
    } catch (error) {
      problem = error;
      return false;
    }
  };
  await until(isEmpty, 'every image is gone').catch((error: unknown) => {
    throw new Error(String(error), { cause: problem });
  });
}

async function removeImage(docker: Dockerode, name: string): Promise<void> {
  try {
    await docker.getImage(name).remove({ force: true });
  } catch (error) {
    if ((error as { readonly statusCode?: number }).statusCode !== 404) throw error;
  }
}
