import { epochMs } from '../clock/time.js';
import { ownOwner } from '../files/process-owner.js';
import type { StateDocument } from '../health/state-document.js';
import type { Incident } from './incident.js';
import { isAbandoned, type KeptIncident, type KeptIncidents } from './incidents-document.js';

/** All incidents together, as JSON; the oldest go first. */
const maxTotalChars = 8_000_000;

/** The incidents of this process and of others that share the state: in memory at once, on disk in the background. */
export class IncidentArchive {
  readonly #document: StateDocument<KeptIncidents> | null;
  readonly #maxIncidents: number;
  #known: KeptIncidents = new Map();
  /** What the disk does not have yet. */
  readonly #unsaved = new Map<string, KeptIncident>();
  #saving: Promise<void> | null = null;

  constructor(document: StateDocument<KeptIncidents> | null, maxIncidents: number) {
    this.#document = document;
    this.#maxIncidents = maxIncidents;
  }

  /** Reads what is on disk. Returns the newest incident that a process left open; from now on it is this one's. */
  async load(): Promise<KeptIncident | null> {
    if (this.#document === null) return null;
    const found = await this.#document.read();
    this.#know(found);
    if (leftOpen(found).length === 0) return null;
    let taken: KeptIncident | null = null;
    const kept = await this.#document.update((incidents) => {
      // Looked at again: another process may have been faster.
      const [newest, ...older] = leftOpen(incidents);
      taken = newest ?? null;
      const closed = older.map((each) => ({ ...each, owner: null, incident: closedWhenSavedLast(each) }));
      const own = newest === undefined ? [] : [{ ...newest, owner: ownOwner(), savedAtMs: epochMs() }];
      return merge(incidents, byId([...closed, ...own]), this.#maxIncidents);
    });
    // What cannot be written is not taken: the next process would find it open once more.
    if (kept === null) return null;
    this.#know(kept);
    return taken;
  }

  /** Holds from now on; the disk follows. */
  keep(incident: Incident): void {
    this.#put({ incident, owner: incident.closedAtMs === null ? ownOwner() : null, savedAtMs: epochMs() });
    void this.#save();
  }

  /** This process goes: the next one may go on with what it leaves open. */
  release(id: string): void {
    const kept = this.#known.get(id);
    if (kept !== undefined) this.#put({ ...kept, owner: null });
  }

  /** Closed ones, and those that nobody writes any more; the newest first. */
  past(currentId: string | null): readonly Incident[] {
    return newestFirst(this.#known)
      .filter((kept) => kept.incident.id !== currentId && (kept.incident.closedAtMs !== null || isAbandoned(kept)))
      .map(({ incident }) => incident);
  }

  /** Resolves when everything is on disk, or could not be written. */
  flush(): Promise<void> {
    return this.#save();
  }

  #put(kept: KeptIncident): void {
    this.#know(byId([kept]));
    if (this.#document !== null) this.#unsaved.set(kept.incident.id, kept);
  }

  #save(): Promise<void> {
    this.#saving ??= this.#saveAll().finally(() => {
      this.#saving = null;
    });
    return this.#saving;
  }

  /** One write carries everything that came while the one before it was under way. */
  async #saveAll(): Promise<void> {
    while (this.#document !== null && this.#unsaved.size > 0) {
      const batch = new Map(this.#unsaved);
      const kept = await this.#document.update((incidents) => merge(incidents, batch, this.#maxIncidents));
      if (kept === null) return;
      for (const [id, saved] of batch) if (this.#unsaved.get(id) === saved) this.#unsaved.delete(id);
      this.#know(kept);
    }
  }

  #know(more: KeptIncidents): void {
    this.#known = merge(this.#known, more, this.#maxIncidents);
  }
}

/** The newest state of each incident, and of those the newest ones. */
function merge(kept: KeptIncidents, added: KeptIncidents, maxIncidents: number): KeptIncidents {
  const merged = new Map(kept);
  for (const [id, each] of added) {
    const other = merged.get(id);
    if (other === undefined || each.savedAtMs >= other.savedAtMs) merged.set(id, each);
  }
  let chars = 0;
  const bounded = newestFirst(merged)
    .slice(0, maxIncidents)
    .filter((each, at) => {
      chars += charsOf(each.incident);
      return at === 0 || chars <= maxTotalChars;
    });
  return byId(bounded);
}

const measured = new WeakMap<Incident, number>();

/** Each is measured once: past ones no longer change. */
function charsOf(incident: Incident): number {
  const known = measured.get(incident);
  if (known !== undefined) return known;
  const chars = JSON.stringify(incident).length;
  measured.set(incident, chars);
  return chars;
}

function byId(incidents: readonly KeptIncident[]): KeptIncidents {
  return new Map(incidents.map((each) => [each.incident.id, each]));
}

function newestFirst(incidents: KeptIncidents): readonly KeptIncident[] {
  return [...incidents.values()].toSorted((a, b) => b.incident.openedAtMs - a.incident.openedAtMs);
}

/** Open ones that nobody writes any more, the newest first. */
function leftOpen(incidents: KeptIncidents): readonly KeptIncident[] {
  return newestFirst(incidents).filter((each) => each.incident.closedAtMs === null && isAbandoned(each));
}

/** How it went on nobody knows. */
function closedWhenSavedLast({ incident, savedAtMs }: KeptIncident): Incident {
  return { ...incident, closedAtMs: Math.max(savedAtMs, incident.openedAtMs) };
}
