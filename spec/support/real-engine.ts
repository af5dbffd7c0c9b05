import Dockerode from 'dockerode';
import type { EngineStore } from '../../lib/engine/docker/engine-traits.js';
import type { PrivateDaemon } from './private-daemon.js';

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
