/** One line of what an engine says while it pulls or loads. */
export interface EngineProgress {
  /** `Pulling fs layer`, `Downloading`, `Status: Downloaded newer image for …`; empty where a line has none. */
  readonly status: string;
  /** The first 12 hexadecimal digits of a layer's digest, or whatever the line is about; null where it is about the pull. */
  readonly id: string | null;
  /** Bytes, or seconds where `unit` says so; null where the line has no number. */
  readonly current: number | null;
  readonly total: number | null;
  readonly unit: 'bytes' | 'seconds';
}
