import createDebug from 'debug';
import { redactText } from '../vocabulary/redact.js';
import type { PullEvent } from './pull-event.js';

// The room `log/` is on the same floor, so its area `events` is written to from here.
const debug = createDebug('pull-failover:events');

/** Writes to the log that a listener threw or rejected. Never throws. */
export function logListenerFailure(event: PullEvent, error: unknown): void {
  if (!debug.enabled) return;
  const pullId = 'pullId' in event ? event.pullId : '-';
  try {
    debug('%s', `${pullId} a listener failed type=${event.type} seq=${event.seq}: ${redactText(describe(error))}`);
  } catch {
    // The host may have replaced debug's output; a log line is never worth a pull.
  }
}

/** What was thrown may be anything, also something whose own description throws. */
function describe(error: unknown): string {
  try {
    return String(error);
  } catch {
    return 'not describable';
  }
}
