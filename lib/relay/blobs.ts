import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { BlobSink } from '../engine/blob-sink.js';
import type { BlobStore } from '../engine/engine.js';
import { EngineError } from '../errors/engine-error.js';
import type { Descriptor } from '../image/descriptor.js';
import { embeddedBytes } from '../failover/blob/embedded-blob.js';
import { deriveAbort, onAbort } from '../policy/deadline.js';
import { startLoopTimer, type LoopTimer } from '../policy/loop-timer.js';
import type { Digest } from '../vocabulary/digest.js';
import { contentRange, readRange, unsatisfiedRange, type ByteSpan } from './byte-range.js';
import { DaemonSink, type DaemonBody } from './daemon-sink.js';
import type { FingerprintKey } from './fingerprint.js';
import { OpenAnswer, type AnswerHead } from './open-answer.js';
import { blobUnknown, refuse } from './refusal.js';
import type { LiveImage } from './served-image.js';
import type { ServedImages } from './served-images.js';

/** A blob that was asked for. */
export interface BlobQuestion {
  readonly method: 'GET' | 'HEAD';
  readonly repository: string;
  readonly digest: Digest;
  readonly range: string | undefined;
}

/**
 * How long a daemon that was given wrong bytes may leave the rest unread before it is hung up on: whoever stops a pull
 * waits for it.
 */
const fillStallMs = 10_000;

/** Answers GET and HEAD for a blob of an image being served. Resolves when the answer has ended, however it did. */
export async function answerBlob(
  images: ServedImages,
  key: FingerprintKey,
  question: BlobQuestion,
  response: ServerResponse,
): Promise<void> {
  const { method, repository, digest } = question;
  const [first] = images.holdersOf(repository, digest);
  const blob = first?.blob(digest)?.descriptor;
  if (first === undefined || blob === undefined) {
    refuse(response, blobUnknown);
    return;
  }
  const { size } = blob;
  const range = method === 'HEAD' ? null : readRange(question.range, size);
  if (range === 'unsatisfiable') {
    refuse(response, {
      status: 416,
      code: 'SIZE_INVALID',
      message: `the blob has ${size} bytes`,
      headers: { 'Content-Range': unsatisfiedRange(size) },
    });
    return;
  }
  const head = headOf(blob, range);
  if (method === 'HEAD') {
    for (const live of [first, ...images.inRepository(repository)]) live.touch();
    response.writeHead(head.status, head.headers);
    response.end();
    return;
  }
  await new BlobAnswer({ images, key, repository, blob, span: range ?? { from: 0, to: size } }, head, response).run();
}

function headOf({ digest, size }: Descriptor, range: ByteSpan | null): AnswerHead {
  const headers: OutgoingHttpHeaders = {
    'Content-Type': 'application/octet-stream',
    'Content-Length': range === null ? size : range.to - range.from,
    'Docker-Content-Digest': digest,
    'Accept-Ranges': 'bytes',
  };
  if (range === null) return { status: 200, headers };
  return { status: 206, headers: { ...headers, 'Content-Range': contentRange(range, size) } };
}

/** What is answered. */
interface AnsweredBlob {
  readonly images: ServedImages;
  readonly key: FingerprintKey;
  readonly repository: string;
  readonly blob: Descriptor;
  readonly span: ByteSpan;
}

/** What one image could do for an answer. */
type Carried =
  /** The daemon has all it asked for. */
  | 'whole'
  /** The daemon has gone. */
  | 'gone'
  /** The image's pull has ended, or cannot have the blob. */
  | 'left';

/** While a pull is the one that brings the bytes of an answer, or is to go on with it, whoever stops it waits. */
interface Turn {
  readonly live: LiveImage;
  /** Idempotent. */
  readonly end: () => void;
}

/** One blob on its way to the daemon, on behalf of whichever pulls want it. */
class BlobAnswer {
  readonly #question: AnsweredBlob;
  readonly #answer: OpenAnswer;
  readonly #sink: DaemonSink;
  /** Those whose activity it is: any of them may have made the daemon ask. */
  readonly #concerned = new Set<LiveImage>();
  readonly #tried = new Set<LiveImage>();
  /** The last one taken. */
  #turn: Turn | null = null;
  /** Runs once nobody brings bytes any more and the daemon still has to take some. */
  #patience: LoopTimer | null = null;

  constructor(question: AnsweredBlob, head: AnswerHead, response: ServerResponse) {
    this.#question = question;
    this.#answer = new OpenAnswer(response, head, () => {
      this.#patience?.restart();
      for (const live of this.#concerned) live.touch();
    });
    const body: DaemonBody = {
      write: (bytes) => this.#write(bytes),
      end: (bytes) => this.#answer.end(bytes),
    };
    this.#sink = new DaemonSink(body, question.span, question.key, () => {
      for (const live of this.#concerned) live.spoiled(question.blob.digest);
    });
  }

  #write(bytes: Uint8Array): Promise<void> {
    const write = (given: Uint8Array): Promise<void> => this.#answer.write(given);
    const live = this.#turn?.live;
    return live?.isLive === true ? live.order.give(this.#question.blob.digest, bytes, write, live.over) : write(bytes);
  }

  async run(): Promise<void> {
    const { repository, images, blob } = this.#question;
    const leave = images
      .inRepository(repository)
      .filter((live) => live.blob(blob.digest) !== null)
      .map((live) => this.#concern(live));
    try {
      await this.#bring(leave);
    } finally {
      this.#patience?.cancel();
      for (const done of leave) done();
    }
  }

  /** Lets one pull after another go on with the answer, until it is whole or nobody is left who could. */
  async #bring(leave: (() => void)[]): Promise<void> {
    let turn = this.#takeTurn(leave);
    while (turn !== null) {
      const carried = await this.#carry(turn.live);
      const following = carried === 'left' ? this.#following(turn, leave) : null;
      if (following === null) await this.#finish(carried);
      turn.end();
      turn = following;
    }
    // Whoever was to go on with what has ended by itself.
    this.#turn?.end();
  }

  /** The turn of the next pull that could go on; null when there is none. */
  #takeTurn(leave: (() => void)[]): Turn | null {
    const live = this.#next();
    if (live === null) return null;
    this.#tried.add(live);
    // Somebody brings bytes again: that has limits of its own.
    this.#patience?.cancel();
    this.#patience = null;
    if (!this.#concerned.has(live)) leave.push(this.#concern(live));
    const release = live.hold();
    const stopListening = onAbort(live.over, () => this.#left(turn, leave));
    const turn: Turn = {
      live,
      end: () => {
        stopListening();
        release();
      },
    };
    this.#turn = turn;
    return turn;
  }

  /** Whose turn it is after this one: whoever took over when its pull ended, or whoever is left. */
  #following(turn: Turn, leave: (() => void)[]): Turn | null {
    const taken = this.#turn;
    if (taken === null || taken === turn) return this.#takeTurn(leave);
    if (taken.live.isLive) return taken;
    taken.end();
    return this.#takeTurn(leave);
  }

  /** A pull has ended in its turn while the daemon may not be reading: neither waits for the other. */
  #left(turn: Turn, leave: (() => void)[]): void {
    if (this.#takeTurn(leave) !== null) turn.end();
    else if (this.#sink.given === 'unsuspected' && this.#answer.isBegun) this.#answer.destroy();
    else this.#hurry();
  }

  /** From here on the daemon has to keep reading, or it is hung up on. */
  #hurry(): void {
    this.#patience ??= startLoopTimer(fillStallMs, () => this.#answer.destroy());
  }

  #concern(live: LiveImage): () => void {
    this.#concerned.add(live);
    return live.enter(this.#answer);
  }

  #next(): LiveImage | null {
    const { images, repository, blob } = this.#question;
    const holders = images.holdersOf(repository, blob.digest);
    return (
      holders.find((live) => !this.#tried.has(live) && live.blob(blob.digest)?.descriptor.size === blob.size) ?? null
    );
  }

  async #carry(live: LiveImage): Promise<Carried> {
    const { digest } = this.#question.blob;
    const blob = live.blob(digest)?.descriptor ?? this.#question.blob;
    using work = deriveAbort(live.over, this.#answer.gone);
    try {
      // What an earlier pull has given of it stays given: it is compared with what comes now.
      await this.#sink.restart();
      const content = embeddedBytes(live.image.context.image, blob);
      if (content === null) {
        const { context, shared, shareKey } = live.image;
        await shared.fetch({ ...context, signal: work.signal }, { blob, key: shareKey, store: storeOf(this.#sink) });
      } else {
        await this.#sink.write(content);
        await this.#sink.commit();
      }
      return 'whole';
    } catch (error) {
      if (this.#answer.gone.aborted) return 'gone';
      if (!live.over.aborted) live.lacks(digest, error);
      return 'left';
    }
  }

  async #finish(carried: Carried): Promise<void> {
    const { blob, span } = this.#question;
    switch (carried) {
      case 'whole':
        // Of a part before the end, the daemon has to ask for the rest.
        if (this.#sink.given === 'spoiled' || span.to < blob.size) return;
        for (const live of this.#concerned) live.delivered(blob.digest);
        return;
      case 'gone':
        return;
      case 'left':
        if (this.#sink.given !== 'unsuspected') await this.#fill();
        else if (this.#answer.isBegun) this.#answer.destroy();
        else refuse(this.#answer.giveBack(), blobUnknown);
    }
  }

  /** The daemon has bytes that may be wrong, and must not keep them. */
  async #fill(): Promise<void> {
    this.#hurry();
    try {
      await this.#sink.fill();
    } catch {
      // It has gone, or was hung up on.
    }
  }
}

/** A daemon takes a blob once and gives nothing back. */
function storeOf(sink: BlobSink): BlobStore {
  return {
    hasBlob: async () => false,
    openBlob: async () => sink,
    // oxlint-disable-next-line require-yield
    streamBlob: async function* (digest) {
      throw new EngineError('relay', `${digest} was given to a daemon, which gives nothing back`);
    },
  };
}
