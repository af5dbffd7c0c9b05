import type { LayerProgress, PullEvent } from '../events/pull-event.js';
import type { Reference } from '../image/reference.js';
import { dockerHub } from '../image/registry-host.js';
import type { Digest } from '../vocabulary/digest.js';
import type { PullReport } from '../vocabulary/report.js';
import { progressBar, type ProgressLine } from './progress-line.js';

/** Where lines go; of those with the same key only the last one matters. */
export type TellLine = (line: ProgressLine, key?: string) => void;

type LayerState = 'announced' | 'exists' | 'complete';

/** Tells one pull in a Docker daemon's words, made from a puller's events. */
export class PullLines {
  readonly #reference: Reference;
  readonly #tell: TellLine;
  readonly #layers = new Map<Digest, LayerState>();
  /** What happened before the first line, which is Docker's. */
  readonly #early: ProgressLine[] = [];
  #hasBegun = false;

  constructor(reference: Reference, tell: TellLine) {
    this.#reference = reference;
    this.#tell = tell;
  }

  /** Whether it is known what the image consists of; a daemon answers no sooner. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  hear(event: PullEvent): void {
    switch (event.type) {
      case 'phase:started':
        if (event.phase !== 'metadata') this.#begin();
        if (event.phase === 'extract') this.#tellExtraction();
        break;
      case 'pull:progressed':
        if (event.phase === 'metadata') break;
        this.#begin();
        for (const layer of event.layers) this.#tellLayer(layer);
        break;
      case 'pull:failed-over':
        this.#remark(`Failed over from ${event.from} to ${event.to} (${event.phase}): ${event.reason.message}`);
        break;
      case 'pull:route-changed':
        this.#remark(`Going on by ${event.to} instead of ${event.from}: ${event.reason.message}`);
        break;
      case 'pull:parked':
        this.#remark(`Waiting for a registry${event.reason === null ? '' : `: ${event.reason.message}`}`, 'parked');
        break;
      case 'pull:resumed':
        this.#remark(`Trying again (${event.why.replaceAll('-', ' ')})`, 'parked');
        break;
      case 'pull:served-from-cache':
        this.#remark(`Using the image that is here (${event.why.replaceAll('-', ' ')})`);
        break;
      default:
        break;
    }
  }

  /** @param warning what the caller has to know, as a daemon says it: after the status */
  succeed(report: PullReport, warning: string | null): void {
    this.#begin();
    const isNew = [...this.#layers.values()].some((state) => state !== 'exists');
    for (const [digest, state] of this.#layers) {
      if (state !== 'exists') this.#tell({ status: 'Pull complete', progressDetail: {}, id: shortDigest(digest) });
    }
    this.#tell({ status: `Digest: ${report.digest}` });
    const what = isNew ? 'Downloaded newer image for' : 'Image is up to date for';
    this.#tell({ status: `Status: ${what} ${familiarName(this.#reference)}` });
    if (warning !== null) this.#tell({ status: `WARNING: ${warning}` });
  }

  /** The last line, as a daemon writes it. */
  fail(message: string): void {
    this.#tell({ errorDetail: { message }, error: message });
  }

  #begin(): void {
    if (this.#hasBegun) return;
    this.#hasBegun = true;
    const { path, tag, digest } = this.#reference;
    const id = digest === null ? (tag ?? '') : familiarName(this.#reference);
    this.#tell({ status: `Pulling from ${path}`, id });
    for (const line of this.#early.splice(0)) this.#tell(line);
  }

  #remark(status: string, key?: string): void {
    if (this.#hasBegun) this.#tell({ status }, key);
    else if (key === undefined) this.#early.push({ status });
  }

  #tellLayer({ digest, totalBytes, doneBytes, registry }: LayerProgress): void {
    const id = shortDigest(digest);
    const state = this.#layers.get(digest);
    const isHere = doneBytes >= totalBytes;
    if (state === undefined && isHere && registry === null) {
      this.#layers.set(digest, 'exists');
      this.#tell({ status: 'Already exists', progressDetail: {}, id });
      return;
    }
    if (state === undefined) {
      this.#layers.set(digest, 'announced');
      this.#tell({ status: 'Pulling fs layer', progressDetail: {}, id });
    }
    if (state === 'exists' || state === 'complete') return;
    if (isHere) {
      this.#layers.set(digest, 'complete');
      this.#tell({ status: 'Download complete', progressDetail: {}, id });
    } else if (doneBytes > 0) {
      const progressDetail = { current: doneBytes, total: totalBytes };
      this.#tell({ status: 'Downloading', progressDetail, progress: progressBar(doneBytes, totalBytes), id }, id);
    }
  }

  #tellExtraction(): void {
    for (const [digest, state] of this.#layers) {
      if (state === 'complete') this.#tell({ status: 'Extracting', progressDetail: {}, id: shortDigest(digest) });
    }
  }
}

/** What people call an image: `redis:7`, `quay.io/team/app@sha256:…`. */
function familiarName({ host, path, tag, digest }: Reference): string {
  const name = host === dockerHub ? path.replace(/^library\//, '') : `${host}/${path}`;
  return digest === null ? `${name}:${tag ?? 'latest'}` : `${name}@${digest}`;
}

function shortDigest(digest: Digest): string {
  return digest.slice(digest.indexOf(':') + 1).slice(0, 12);
}
