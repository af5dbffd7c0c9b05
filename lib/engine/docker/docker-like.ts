/** What a request to an engine consists of, as docker-modem takes it. */
export interface DialOptions {
  path: string;
  method: string;
  headers?: Record<string, string>;
  options?: { _query: Record<string, string>; _body: Record<string, never> };
  file?: NodeJS.ReadableStream;
  statusCodes: Record<number, true>;
  isStream: true;
  abortSignal?: AbortSignal;
}

/**
 * A dockerode of version 3, 4 or 5, the host's own. Of all it can do, only the way to the engine is used, which tunnels
 * and certificates, sockets and pipes are hidden behind.
 */
export interface DockerLike {
  readonly modem: {
    dial(options: DialOptions, callback: (error: unknown, answer?: unknown) => void): unknown;
  };
}

/** Tells whether a value can be talked to an engine through. */
export function isDockerLike(value: unknown): value is DockerLike {
  if (typeof value !== 'object' || value === null || !('modem' in value)) return false;
  const { modem } = value;
  return typeof modem === 'object' && modem !== null && 'dial' in modem && typeof modem.dial === 'function';
}
