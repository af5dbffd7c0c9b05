import type { EngineImage, ListedImage } from './engine-image.js';
import type { EngineProgress } from './progress-stream.js';
import type { EngineTraits } from './engine-traits.js';

/** A user of a registry, as Docker's API spells it. */
export interface DaemonUser {
  readonly username: string;
  readonly password: string;
  /** The registry's `host:port`: a containerd store gives them to no other. */
  readonly serveraddress: string;
}

/** What a daemon is to show a registry, or its token service; Podman passes no `registrytoken` on. */
export type DaemonCredentials =
  | DaemonUser
  | { readonly identitytoken: string; readonly serveraddress: string }
  | { readonly registrytoken: string; readonly serveraddress: string };

/** One pull that the daemon does by itself. */
export interface DaemonPull {
  /** `host[:port]/path`, without tag and digest. */
  readonly name: string;
  /** A tag or a digest. */
  readonly object: string;
  /** `os/architecture[/variant]`. */
  readonly platform: string;
  /** Null: it asks as nobody. */
  readonly credentials: DaemonCredentials | null;
  /** Sent as the client's name; Docker repeats it to the registry. */
  readonly userAgent?: string;
  /** The registry is on the daemon's loopback and speaks plain HTTP: Podman has to be told so. */
  readonly plainHttp?: boolean;
}

/**
 * One engine's API, whatever its version. Every call rejects with an `EngineFailure`, or with the signal's own reason;
 * ending the signal ends the request.
 */
export interface DockerDaemon {
  /** Where it is, without credentials: `unix:///var/run/docker.sock`, `tcp://10.0.0.5:2376`. */
  readonly address: string;
  /** Asked once, then remembered until `fresh` or until the daemon was lost. */
  traits(options: { readonly signal?: AbortSignal; readonly fresh?: boolean }): Promise<EngineTraits>;
  /** What is remembered of them; null before it was asked, and after it was lost. */
  readonly knownTraits: EngineTraits | null;
  /** When it last answered anything, an error too, in milliseconds of `monotonicMs`; `-Infinity` before the first time. */
  readonly lastAnswerAtMs: number;
  /** Null when it has no such image. */
  inspect(reference: string, signal?: AbortSignal): Promise<EngineImage | null>;
  list(signal?: AbortSignal): Promise<readonly ListedImage[]>;
  /** Gives an image one more name. */
  tag(source: string, target: { readonly name: string; readonly tag: string }, signal?: AbortSignal): Promise<void>;
  /** Takes a name away, and the image with its last one; one that is not there is no error. */
  untag(reference: string, signal?: AbortSignal): Promise<void>;
  /** Ends well only after the engine has said that the image is there. */
  pull(request: DaemonPull, signal: AbortSignal): AsyncIterable<EngineProgress>;
  /** Sends an image archive; ends well only after the engine has taken all of it. */
  load(archive: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncIterable<EngineProgress>;
  /** Resolves when it answers again; rejects with the last failure after `withinMs`. */
  whenBack(withinMs: number, signal: AbortSignal): Promise<void>;
}
