/** Where images go: one OCI image layout on disk. Ends with `close()`. */
export interface Engine {
  /** What events and reports call it; two engines of one puller have different ones. */
  readonly id: string;
  readonly kind: 'oci-layout';
  /** Ends what is open, keeps what was written, and waits until nothing is under way. Idempotent. */
  close(): Promise<void>;
}
