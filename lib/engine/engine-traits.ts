/**
 * How an engine keeps images; what differs between them is decided by this word alone.
 *
 * - `graph`: Docker's classic store
 * - `containerd`: Docker's containerd image store
 * - `podman`: containers/storage
 */
export type EngineStore = 'graph' | 'containerd' | 'podman';

/** What a daemon is, and what it trusts. */
export interface EngineTraits {
  readonly product: 'docker' | 'podman';
  /** As the engine tells it: `20.10.24+dfsg1`, `4.3.1`. */
  readonly version: string;
  readonly store: EngineStore;
  /** Tells daemons apart; another one after it was installed anew. */
  readonly daemonId: string;
  /** `os/architecture`. */
  readonly platform: string;
  /** Networks in which it takes plain HTTP from registries; Docker's default is `127.0.0.0/8` and `::1/128`. */
  readonly insecureCidrs: readonly string[];
  /** Registries, `host[:port]`, that it takes plain HTTP or any certificate from. */
  readonly insecureRegistries: readonly string[];
  /** The proxies that it pulls through itself, without their credentials; null where there is none. */
  readonly httpProxy: string | null;
  readonly httpsProxy: string | null;
  readonly noProxy: string | null;
}
