import type { Candidate } from '../candidate.js';
import type { HeartContext } from '../context.js';
import type { Permit } from '../permit.js';
import type { WantedBlob } from './assembly.js';
import type { BlobWindow, Stretch } from './blob-window.js';
import type { Flight } from './flight.js';

/** A blob is worth several connections from so many ranges on. */
const fewRanges = 4;

/** Of the rest of a blob no smaller range is asked for: a request would weigh as much. */
const leastRangeBytes: number = 256 * 1024;

/** What read-ahead needs of the fetch that it is part of. */
export interface ReadAheadPort {
  /** Who may be asked for more, best first. */
  readonly sources: () => readonly Candidate[];
  /** Asks one of them for a stretch of the blob. */
  readonly start: (candidate: Candidate, from: number, to: number) => Flight;
}

/**
 * Asks for what comes after the bytes that are waited for, over as many connections as have proven to be of use, as far
 * ahead as the window allows. Each flight ahead holds a permit for its connection, and memory for all of its bytes.
 */
export class ReadAhead {
  readonly #context: HeartContext;
  readonly #blob: WantedBlob;
  readonly #window: BlobWindow;
  readonly #port: ReadAheadPort;
  /** Memory that is held for what has not been taken yet. */
  readonly #leases = new Map<Flight, Permit>();
  #rangeBytes: number;

  constructor(context: HeartContext, blob: WantedBlob, window: BlobWindow, port: ReadAheadPort) {
    this.#context = context;
    this.#blob = blob;
    this.#window = window;
    this.#port = port;
    this.#rangeBytes = context.transfer.settings.rangeBytes;
  }

  /** Whether the rest of the blob is large enough for ranges. */
  get isWorthIt(): boolean {
    const { settings } = this.#context.transfer;
    return settings.connectionsPerBlob > 1 && this.#blob.size >= fewRanges * settings.rangeBytes;
  }

  /** Up to where whoever brings the byte at `offset` is to be asked: all the rest while it is alone. */
  endOf(offset: number): number {
    const next = this.#window.nextStart(offset) ?? this.#blob.size;
    return this.isWorthIt && this.#target() > 1 ? Math.min(next, offset + this.#rangeBytes) : next;
  }

  /** Starts whatever may be under way beside the flight that brings the byte at `offset`. */
  fill(offset: number): void {
    this.#forgetTaken();
    if (!this.isWorthIt) return;
    const target = this.#target();
    for (let open = this.#window.open.length; open < target; open += 1) {
      if (!this.#startOne(offset, target)) return;
    }
  }

  clear(): void {
    for (const lease of this.#leases.values()) lease.release();
    this.#leases.clear();
  }

  #startOne(offset: number, target: number): boolean {
    const { claim, budget } = this.#context.transfer;
    const candidate = this.#leastBusy();
    if (candidate === null) return false;
    const stretch = this.#nextStretch(offset, target);
    if (stretch === null) return false;
    const lease = budget.tryWindow(claim, stretch.to - stretch.from);
    if (lease === null) return false;
    const permit = budget.tryConnection(claim);
    if (permit === null) {
      lease.release();
      return false;
    }
    const before = this.#window.covering(stretch.from);
    const flight = this.#port.start(candidate, stretch.from, stretch.to);
    this.#leases.set(flight, lease);
    // One that was overtaken may stay open for long, and must not keep others waiting.
    flight.whenLetGo(() => permit.release());
    before?.shorten(stretch.from);
    this.#rangeBytes = Math.min(this.#rangeBytes * 2, this.#largestRange(target));
    return true;
  }

  /** The first stretch nobody was asked for; where one flight was asked for all the rest, a part of its rest. */
  #nextStretch(offset: number, target: number): Stretch | null {
    const { size } = this.#blob;
    const end = Math.min(size, offset + this.#context.transfer.settings.windowBytes);
    // Towards the end everybody gets as much of the rest as the others, or the last one would be waited for alone.
    const fairRest = Math.max(leastRangeBytes, Math.ceil((size - offset) / target));
    const length = Math.min(this.#rangeBytes, this.#largestRange(target), fairRest);
    const gap = this.#window.gap(offset, end);
    if (gap !== null) return { from: gap.from, to: Math.min(gap.to, gap.from + length) };
    const all = this.#window.open.find((flight) => flight.to === size && size - flight.arrived > 2 * length);
    if (all === undefined) return null;
    const from = Math.max(all.arrived, offset) + length;
    return from + length > end ? null : { from, to: from + length };
  }

  #largestRange(target: number): number {
    const { windowBytes, rangeBytes } = this.#context.transfer.settings;
    return Math.max(rangeBytes, Math.floor(windowBytes / target));
  }

  /** The one that has the fewest connections of those that it may have. */
  #leastBusy(): Candidate | null {
    const open = this.#window.open;
    const shares = this.#port.sources().map((candidate) => ({
      candidate,
      share: open.filter((flight) => flight.candidate === candidate).length / this.#mostOf(candidate),
    }));
    const least = shares.toSorted((a, b) => a.share - b.share)[0];
    return least === undefined || least.share >= 1 ? null : least.candidate;
  }

  #target(): number {
    const sum = this.#port.sources().reduce((all, candidate) => all + this.#mostOf(candidate), 0);
    return Math.max(1, Math.min(sum, this.#context.transfer.settings.connectionsPerBlob));
  }

  #mostOf({ registry }: Candidate): number {
    return this.#context.transfer.ramps.of(registry).connections;
  }

  #forgetTaken(): void {
    for (const [flight, lease] of this.#leases) {
      if (flight.claimedBytes > 0) continue;
      lease.release();
      this.#leases.delete(flight);
    }
  }
}
