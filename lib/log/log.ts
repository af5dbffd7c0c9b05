import createDebug from 'debug';
import { redactText } from '../vocabulary/redact.js';

/** What a line is about. */
export type LogArea = 'pull' | 'registry' | 'auth' | 'layers' | 'health' | 'engine' | 'layout' | 'state' | 'events';

/**
 * Every namespace this library writes to, `pull-failover:<area>`, and what it says there. The `debug` package prints
 * them to stderr: `DEBUG=pull-failover:*` all, `DEBUG=pull-failover:registry,pull-failover:health` these two.
 */
export const logAreas: Readonly<Record<LogArea, string>> = {
  pull: 'what is decided about a pull: plan, joins, parking, its end',
  registry: 'every exchange with a registry: what was asked, the answer, how long it took',
  auth: 'challenges, tokens and where credentials came from; never what they are',
  layers: 'blobs: where each comes from, where it goes on after a failure, how much was kept',
  health: 'causes, verdicts and circuits',
  engine: 'what a daemon is, and what it says that is not understood',
  layout: 'what is written to and found in an OCI image layout',
  state: 'what is remembered in stateDir',
  events: 'listeners that threw or rejected',
};

export type LogFields = Readonly<Record<string, string | number | boolean | null>>;

/** Writes lines of one area. Never throws; costs one comparison while nobody asked for the area. */
export interface Log {
  /**
   * @param pullId the pull this is about, or null when it is about none
   * @param message what happened, in words
   * @param fields what a reader would search for, as `key=value`
   */
  (pullId: string | null, message: string, fields?: LogFields): void;
  /** Whether anybody reads it; for a caller to whom even the fields are expensive. */
  readonly enabled: boolean;
}

/**
 * Opens the log of one area, `pull-failover:<area>`. Each line begins with the pull's id (`-` for none); everything
 * passes the redaction, so that no credential, token or signed URL gets out.
 */
export function createLog(area: LogArea): Log {
  const debug = createDebug(`pull-failover:${area}`);
  const log = (pullId: string | null, message: string, fields: LogFields = {}): void => {
    try {
      // A format of its own: a `%s` in a peer's text must stay text.
      if (debug.enabled) debug('%s', formatLine(pullId, message, fields));
    } catch {
      // The host may have replaced debug's output; a log line is never worth a pull.
    }
  };
  return Object.defineProperty(log, 'enabled', { get: () => debug.enabled }) as Log;
}

function formatLine(pullId: string | null, message: string, fields: LogFields): string {
  const pairs = Object.entries(fields).map(([key, value]) => redactText(`${key}=${formatValue(value)}`));
  return [pullId === null ? '-' : redactText(pullId), redactText(message), ...pairs].join(' ');
}

function formatValue(value: string | number | boolean | null): string {
  return typeof value === 'string' && /[\s"=]|^$/.test(value) ? JSON.stringify(value) : String(value);
}
