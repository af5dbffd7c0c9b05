import type { ServerResponse } from 'node:http';
import { type Answer, errorAnswer } from './answer.js';
import { delayOf, replacementOf } from './replace-answer.js';
import { faultedRange, spoil } from './spoil-answer.js';
import type { ByteRange } from './byte-range.js';
import type { RequestFault, FaultGroup } from './fault.js';
import type { FaultScript, Place } from './fault-script.js';
import type { Link } from './link.js';
import type { OriginConnection } from './origin.js';
import type { OpenRequest, RequestKind } from './request-log.js';
import { closed, type Exchange, pause, sendAnswer, untouched } from './send-answer.js';

/** A request that is let in, and may now be struck by faults. */
export interface Servable {
  readonly response: ServerResponse;
  readonly connection: OriginConnection;
  readonly open: OpenRequest;
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  readonly kind: RequestKind;
  readonly place: Place;
  /** Who sends the bytes of blobs here. */
  readonly bytesFrom: Place;
  readonly repository: string | null;
  readonly object: string | null;
  readonly range: ByteRange | null;
}

/** Where true answers come from. */
export interface Truth {
  answer(range: ByteRange | null): Answer | Promise<Answer>;
  /** A redirect to a signed URL that has expired, or null where there is nothing to redirect to (any more). */
  expiredRedirect(): Answer | null | Promise<Answer | null>;
}

/** Answers one request, as true as the faults in force let it be. */
export async function serve(request: Servable, script: FaultScript, link: Link, truth: Truth): Promise<void> {
  const { response, connection, open, method } = request;
  const exchange: Exchange = { response, open, lane: connection.lane, reset: () => connection.reset() };
  const group = groupOf(request.kind);
  const faults: readonly RequestFault[] = group === null ? [] : script.strike({ ...request, group });
  open.struck(faults);

  const delayMs = link.answerDelayMs(connection.takeFirst()) + delayOf(faults);
  if (delayMs > 0) await pause(delayMs, response);

  const withBody = method !== 'HEAD';
  const kind = group === 'layers' ? 'blob' : group === 'token' ? 'token' : group === 'ping' ? 'ping' : 'manifest';
  const replacement = replacementOf(faults, { kind, place: request.place, target: request.target });
  switch (replacement?.kind) {
    case 'silence':
      await closed(response);
      open.ended('cut-by-fault');
      return;
    case 'hang-up':
      response.socket?.destroySoon();
      open.ended('cut-by-fault');
      return;
    case 'answer':
      await sendAnswer(exchange, replacement.answer, { withBody, framing: 'as-announced', plan: untouched });
      return;
    case 'expired-redirect': {
      const answer = await truth.expiredRedirect();
      if (answer === null) break;
      await sendAnswer(exchange, answer, { withBody, framing: 'as-announced', plan: untouched });
      return;
    }
    case undefined:
      break;
  }

  const answer = await truth.answer(faultedRange(faults, request.range));
  const spoiled = isGood(answer)
    ? await spoil(faults, answer, request.range, withBody)
    : { answer, framing: framingOf(answer), plan: untouched };
  await sendAnswer(exchange, spoiled.answer, { withBody, framing: spoiled.framing, plan: spoiled.plan });
}

/** Answers without any fault: what is turned away before it is served. */
export async function turnAway(
  request: Pick<Servable, 'response' | 'connection' | 'open' | 'method'>,
  answer: Answer,
): Promise<void> {
  const { response, connection, open } = request;
  const exchange: Exchange = { response, open, lane: connection.lane, reset: () => connection.reset() };
  await sendAnswer(exchange, answer, {
    withBody: request.method !== 'HEAD',
    framing: framingOf(answer),
    plan: untouched,
  });
}

/** An answer for what this server itself could not do. */
export function failureAnswer(error: unknown): Answer {
  return errorAnswer(500, 'UNKNOWN', `the test kit failed: ${error instanceof Error ? error.message : String(error)}`);
}

/** Errors and redirects are sent as they are: faults of content need content. */
function isGood(answer: Answer): boolean {
  return answer.status === 200 || answer.status === 206;
}

function framingOf(answer: Answer): 'as-announced' | 'chunked' {
  return answer.body.length === null ? 'chunked' : 'as-announced';
}

function groupOf(kind: RequestKind): Exclude<FaultGroup, 'connection'> | null {
  switch (kind) {
    case 'blob':
    case 'storage':
      return 'layers';
    case 'manifest':
      return 'metadata';
    case 'token':
      return 'token';
    case 'ping':
      return 'ping';
    case 'tags':
    case 'catalog':
    case 'unknown':
      return null;
  }
}
