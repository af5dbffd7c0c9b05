import type { ServerResponse } from 'node:http';
import type { Answer, AnswerBody } from './answer.js';
import type { Lane } from './link.js';
import type { OpenRequest } from './request-log.js';

/** Where in a body something happens to it; offsets count from its first byte. */
export interface BodyPlan {
  /** From there on at that rate. */
  readonly drip: { readonly at: number; readonly bytesPerSecond: number } | null;
  readonly cut: { readonly at: number; readonly how: 'stall' | 'reset' | 'truncate' } | null;
}

export const untouched: BodyPlan = { drip: null, cut: null };

/** One request and the way back to whoever sent it. */
export interface Exchange {
  readonly response: ServerResponse;
  readonly open: OpenRequest;
  readonly lane: Lane;
  /** Resets the connection. */
  reset(): void;
}

/** A drip wakes up so often, unless its rate is below a byte each time. */
const dripSliceMs = 50;

/**
 * Sends an answer, held back by the reader and by the link, until it ends, the plan cuts it or the client goes.
 * Never rejects because of the client.
 */
export async function sendAnswer(
  exchange: Exchange,
  answer: Answer,
  options: {
    readonly withBody: boolean;
    readonly framing: 'as-announced' | 'chunked' | 'close';
    readonly plan: BodyPlan;
  },
): Promise<void> {
  const { response, open } = exchange;
  if (isGone(response)) {
    open.ended('cut-by-client');
    return;
  }
  if (options.framing === 'close') {
    response.useChunkedEncodingByDefault = false;
    response.shouldKeepAlive = false;
  }
  response.writeHead(answer.status, { ...answer.headers });
  response.flushHeaders();
  open.answered(answer.status);
  const outcome = options.withBody ? await sendBody(exchange, answer.body, options.plan) : 'sent';
  if (outcome === 'sent' && !isGone(response)) await ended(response);
  if (outcome !== 'sent') open.ended('cut-by-fault');
  else open.ended(response.writableFinished ? 'complete' : 'cut-by-client');
}

async function sendBody(exchange: Exchange, body: AnswerBody, plan: BodyPlan): Promise<'sent' | 'cut'> {
  const { response, open, lane } = exchange;
  const cutAt = plan.cut === null || !isReached(plan.cut.at, body) ? Infinity : plan.cut.at;
  let sent = 0;
  if (cutAt > 0) {
    for await (const chunk of body.open()) {
      for (let at = 0; at < chunk.length && sent < cutAt;) {
        const slice = sliceFor(lane, plan, sent, cutAt);
        const part = chunk.subarray(at, Math.min(chunk.length, at + slice.bytes));
        const waitMs = Math.max(lane.takeMs(part.length), slice.dripMs === null ? 0 : slice.dripMs * part.length);
        if (waitMs >= 1) await pause(waitMs, response);
        if (isGone(response)) return 'sent';
        await write(response, part, () => {
          open.sent(part.length);
        });
        at += part.length;
        sent += part.length;
      }
      if (sent >= cutAt || isGone(response)) break;
    }
  }
  if (sent < cutAt || plan.cut === null || isGone(response)) return 'sent';
  await flushed(response);
  switch (plan.cut.how) {
    case 'stall':
      await closed(response);
      return 'cut';
    case 'reset':
      exchange.reset();
      return 'cut';
    case 'truncate':
      response.socket?.destroySoon();
      await closed(response);
      return 'cut';
  }
}

/** A cut at or behind the end cuts nothing, except where an empty body makes both the same. */
function isReached(at: number, body: AnswerBody): boolean {
  return body.length === null || at < body.length;
}

function sliceFor(
  lane: Lane,
  plan: BodyPlan,
  sent: number,
  cutAt: number,
): { readonly bytes: number; readonly dripMs: number | null } {
  const toCut = cutAt - sent;
  if (plan.drip === null) return { bytes: Math.min(lane.sliceBytes, toCut), dripMs: null };
  if (sent < plan.drip.at) return { bytes: Math.min(lane.sliceBytes, toCut, plan.drip.at - sent), dripMs: null };
  const dripBytes = Math.max(1, Math.floor((plan.drip.bytesPerSecond * dripSliceMs) / 1000));
  return { bytes: Math.min(dripBytes, lane.sliceBytes, toCut), dripMs: 1000 / plan.drip.bytesPerSecond };
}

/** Whether nobody is left to answer. */
export function isGone(response: ServerResponse): boolean {
  return response.destroyed || response.socket === null || response.socket.destroyed;
}

/** Waits, but not longer than there is somebody to answer. */
export function pause(ms: number, response: ServerResponse): Promise<void> {
  if (isGone(response)) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      response.off('close', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    response.once('close', done);
  });
}

/** Resolves when the client has gone. */
export function closed(response: ServerResponse): Promise<void> {
  if (isGone(response)) return Promise.resolve();
  return new Promise((resolve) => {
    response.once('close', resolve);
  });
}

/** Resolves when more may be written, which is what holds a fast source back behind a slow reader. */
function write(response: ServerResponse, bytes: Uint8Array, onSent: () => void): Promise<void> | undefined {
  const more = response.write(bytes, (error) => {
    if (error === null || error === undefined) onSent();
  });
  if (more) return undefined;
  return new Promise((resolve) => {
    const done = (): void => {
      response.off('drain', done);
      response.off('close', done);
      resolve();
    };
    response.once('drain', done);
    response.once('close', done);
  });
}

function ended(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      response.off('finish', done);
      response.off('close', done);
      resolve();
    };
    response.once('finish', done);
    response.once('close', done);
    response.end();
  });
}

/** Resolves when everything written has left this process: a reset would throw away what has not. */
function flushed(response: ServerResponse): Promise<void> {
  const { socket } = response;
  if (socket === null || socket.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      response.off('close', done);
      resolve();
    };
    response.once('close', done);
    socket.write('', done);
  });
}
