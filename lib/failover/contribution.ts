import type { Served } from '../vocabulary/report.js';

/** What one registry has contributed to one pull so far. */
export class Contribution {
  readonly #objects = new Set<string>();
  #bytes = 0;
  #wastedBytes = 0;
  /** Connections for blobs that are open now, and the most that were. */
  #connections = 0;
  #mostConnections = 0;
  readonly #hedges = { won: 0, lost: 0 };

  /** Bytes of an object arrived; 0 where nobody tells how many. */
  delivered(object: string, bytes: number): void {
    this.#objects.add(object);
    this.#bytes += bytes;
  }

  /** What came from it: digests and tags. */
  get objects(): ReadonlySet<string> {
    return this.#objects;
  }

  /** So many of the bytes that arrived were of no use. */
  wasted(bytes: number): void {
    this.#wastedBytes += bytes;
  }

  /** A connection for a blob is being used; returns what tells that it is not any more. */
  connected(): () => void {
    this.#connections += 1;
    this.#mostConnections = Math.max(this.#mostConnections, this.#connections);
    return () => {
      this.#connections -= 1;
    };
  }

  /** Connections for blobs that are open now. */
  get connections(): number {
    return this.#connections;
  }

  hedged(how: 'won' | 'lost'): void {
    this.#hedges[how] += 1;
  }

  /** For the report; null of a registry that neither sent anything nor was asked as a hedge. */
  served(registry: string): Served | null {
    const { won, lost } = this.#hedges;
    if (this.#objects.size === 0 && won + lost === 0) return null;
    return {
      registry,
      objects: this.#objects.size,
      bytes: this.#bytes,
      wastedBytes: this.#wastedBytes,
      connections: this.#mostConnections,
      hedges: { won, lost },
    };
  }
}
