import { Readable, type Transform } from 'node:stream';
import { createBrotliCompress, createDeflate, createGzip } from 'node:zlib';
import { type Answer, type AnswerBody, wholeBody } from './answer.js';
import { type ByteRange, contentRange, parseContentRange } from './byte-range.js';
import type { ContentCoding, FaultPosition, RequestFault } from './fault.js';
import { type BodyPlan, untouched } from './send-answer.js';

/** The range that is served instead of the one asked for. */
export function faultedRange(faults: readonly RequestFault[], asked: ByteRange | null): ByteRange | null {
  let range = asked;
  for (const fault of faults) {
    if (range === null) return null;
    if (fault.kind === 'ignore-range') range = null;
    else if (fault.kind === 'short-range') {
      range = { start: range.start, end: Math.min(range.end ?? Infinity, range.start + fault.maxBytes - 1) };
    } else if (fault.kind === 'wrong-range') {
      const by = Math.max(fault.byBytes ?? 1, -range.start);
      range = { start: range.start + by, end: range.end === null ? null : Math.max(range.start, range.end) + by };
    }
  }
  return range;
}

/** A true answer spoiled by faults, and how it is sent. */
export interface SpoiledAnswer {
  readonly answer: Answer;
  readonly framing: 'as-announced' | 'chunked' | 'close';
  readonly plan: BodyPlan;
}

/** Spoils a true answer, in the order of the faults. `asked` is the range before any fault. */
export async function spoil(
  faults: readonly RequestFault[],
  truth: Answer,
  asked: ByteRange | null,
  withBody: boolean,
): Promise<SpoiledAnswer> {
  let answer = truth;
  let framing: SpoiledAnswer['framing'] = truth.body.length === null ? 'chunked' : 'as-announced';
  let plan = untouched;
  for (const fault of faults) {
    switch (fault.kind) {
      case 'wrong-bytes':
        answer = { ...answer, body: withWrongByte(answer.body, fault) };
        break;
      case 'wrong-length':
        answer = withWrongLength(answer, fault.byBytes);
        break;
      case 'wrong-range':
        if (fault.header === 'as-asked' && asked !== null) answer = withRangeAsAsked(answer, asked);
        break;
      case 'unknown-total':
        answer = withHeader(answer, 'content-range', answer.headers['content-range']?.replace(/\/\d+$/, '/*'));
        break;
      case 'content-encoding':
        answer = encoded(answer, fault.encoding);
        framing = 'chunked';
        break;
      case 'no-content-length':
        answer = withHeader(answer, 'content-length', undefined);
        framing = fault.framing ?? 'chunked';
        break;
      case 'wrong-digest-header':
        answer = withHeader(answer, 'docker-content-digest', `sha256:${'0123456789abcdef'.repeat(4)}`);
        break;
      case 'no-digest-header':
        answer = withHeader(answer, 'docker-content-digest', undefined);
        break;
      case 'malformed-json':
        if (withBody) answer = await withBytes(answer, (bytes) => bytes.subarray(0, Math.floor(bytes.length / 2)));
        break;
      case 'wrong-content':
        if (withBody) answer = await withBytes(answer, otherManifest);
        break;
      case 'stall':
      case 'reset':
      case 'truncate': {
        const at = offsetOf(fault, answer.body);
        if (at !== null && at < (plan.cut?.at ?? Infinity)) plan = { ...plan, cut: { at, how: fault.kind } };
        break;
      }
      case 'drip': {
        const at = offsetOf(fault, answer.body);
        if (at !== null) plan = { ...plan, drip: { at, bytesPerSecond: fault.bytesPerSecond } };
        break;
      }
      default:
        break;
    }
  }
  return { answer, framing, plan };
}

/** Where in the response a position of the object lies; null when the size is needed and nobody knows it. */
function offsetOf(position: FaultPosition, body: AnswerBody): number | null {
  if (position.of === 'response') return position.afterBytes ?? 0;
  if (position.afterShare === undefined) return Math.max(0, (position.afterBytes ?? 0) - body.start);
  return body.total === null ? null : Math.max(0, Math.floor(body.total * position.afterShare) - body.start);
}

function withHeader(answer: Answer, name: string, value: string | undefined): Answer {
  const { [name]: _replaced, ...others } = answer.headers;
  return { ...answer, headers: value === undefined ? others : { ...others, [name]: value } };
}

function withWrongByte(body: AnswerBody, where: { readonly atByte?: number; readonly atShare?: number }): AnswerBody {
  const atByte =
    where.atShare === undefined
      ? (where.atByte ?? 0)
      : Math.min(Math.floor((body.total ?? 0) * where.atShare), (body.total ?? 1) - 1);
  const wrongAt = atByte - body.start;
  return {
    ...body,
    async *open() {
      let at = 0;
      for await (const chunk of body.open()) {
        const within = wrongAt - at;
        at += chunk.length;
        if (within < 0 || within >= chunk.length) {
          yield chunk;
          continue;
        }
        const wrong = Uint8Array.from(chunk);
        wrong[within] = (wrong[within] ?? 0) ^ 0x55;
        yield wrong;
      }
    },
  };
}

function withWrongLength(answer: Answer, byBytes: number): Answer {
  const { body } = answer;
  if (body.length === null) return answer;
  const length = Math.max(0, body.length + byBytes);
  const range = parseContentRange(answer.headers['content-range']);
  const spoiled: Answer = {
    ...withHeader(answer, 'content-length', String(length)),
    body: {
      ...body,
      length,
      total: body.total === null ? null : Math.max(0, body.total + byBytes),
      async *open() {
        let left = length;
        for await (const chunk of body.open()) {
          if (left === 0) return;
          const part = chunk.subarray(0, left);
          left -= part.length;
          yield part;
        }
        if (left > 0) yield new Uint8Array(left);
      },
    },
  };
  if (range === null) return spoiled;
  const { from, to } = range.span;
  const header = contentRange(
    { from, to: Math.max(from + 1, to + byBytes) },
    range.total === null ? null : range.total + byBytes,
  );
  return withHeader(spoiled, 'content-range', header);
}

function withRangeAsAsked(answer: Answer, asked: ByteRange): Answer {
  const range = parseContentRange(answer.headers['content-range']);
  if (range === null || answer.body.length === null) return answer;
  const span = { from: asked.start, to: asked.start + answer.body.length };
  return withHeader(answer, 'content-range', contentRange(span, range.total));
}

const encoders: Readonly<Record<ContentCoding, () => Transform>> = {
  gzip: () => createGzip({ level: 1 }),
  deflate: () => createDeflate({ level: 1 }),
  br: () => createBrotliCompress(),
};

function encoded(answer: Answer, encoding: ContentCoding): Answer {
  const { body } = answer;
  const plain = withHeader(withHeader(answer, 'content-length', undefined), 'content-encoding', encoding);
  return {
    ...plain,
    body: {
      ...body,
      length: null,
      async *open() {
        const source = Readable.from(body.open(), { objectMode: false });
        const encoder = encoders[encoding]();
        source.once('error', (error) => encoder.destroy(error));
        try {
          for await (const chunk of source.pipe(encoder)) yield chunk as Uint8Array;
        } finally {
          source.destroy();
          encoder.destroy();
        }
      },
    },
  };
}

/** Replaces a small body, which is read whole for it. */
async function withBytes(answer: Answer, change: (bytes: Uint8Array) => Uint8Array): Promise<Answer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of answer.body.open()) chunks.push(chunk);
  const bytes = change(Buffer.concat(chunks));
  return { ...withHeader(answer, 'content-length', String(bytes.length)), body: wholeBody(bytes) };
}

/** The same document with one annotation more: valid, and of another digest. */
function otherManifest(bytes: Uint8Array): Uint8Array {
  const document = JSON.parse(Buffer.from(bytes).toString('utf8')) as Readonly<Record<string, unknown>>;
  return Buffer.from(JSON.stringify({ ...document, annotations: { 'example.org/wrong': 'content' } }));
}
