import { EngineError } from '../errors/engine-error.js';
import { HostFaultError } from '../errors/host-fault-error.js';
import { UnsupportedImageError } from '../errors/unsupported-image-error.js';
import type { Evidence } from '../vocabulary/evidence.js';
import { redactText } from '../vocabulary/redact.js';
import { faultOfText, type EngineFault } from './engine-error-table.js';

/** What an engine, or the way to it, said as something failed. */
export interface EngineSaid {
  /** In its own words, as they came. */
  readonly text: string;
  /** Of the HTTP answer; null where there was none, or where it had begun well. */
  readonly statusCode?: number | null;
  /** Of the socket: `ECONNREFUSED`, `EACCES`. */
  readonly code?: string;
  /** The answer ended before its end. */
  readonly lost?: boolean;
}

/** A failure of an engine's API, of whatever kind; `fault` says which. */
export class EngineFailure extends Error {
  override readonly name = 'EngineFailure';
  readonly fault: EngineFault;
  /** What the engine said, redacted. */
  readonly text: string;
  readonly statusCode: number | null;
  /** The stream or socket ended without an answer: the daemon may have died. */
  readonly isLost: boolean;
  /** Of the socket, where it is the one that failed. */
  readonly socketCode: string | null;

  constructor(fault: EngineFault, said: EngineSaid) {
    const text = redactText(said.text).trim();
    super(text === '' ? `the engine failed (${said.code ?? said.statusCode ?? fault})` : text);
    this.fault = fault;
    this.text = text;
    this.statusCode = said.statusCode ?? null;
    this.isLost = said.lost ?? false;
    this.socketCode = said.code ?? null;
  }
}

const unreachableCodes: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOENT',
  'EACCES',
  'EPERM',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTSOCK',
  'ENOTDIR',
]);

const lostCodes: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE', 'ECONNABORTED']);

/** Makes a failure of what an engine said, and finds out what it is about. */
export function engineFailure(said: EngineSaid): EngineFailure {
  const { code = '' } = said;
  if (unreachableCodes.has(code)) return new EngineFailure('unreachable', said);
  if (said.lost === true || lostCodes.has(code)) return new EngineFailure('daemon', { ...said, lost: true });
  return new EngineFailure(faultOfText(said.text), said);
}

/**
 * What a pull ends with when an engine failed and no registry is at fault.
 *
 * @param engineId the engine's id
 * @param object what it was about: an image, a layer
 */
export function hostErrorOf(
  failure: EngineFailure,
  engineId: string,
  object: string,
): HostFaultError | EngineError | UnsupportedImageError {
  switch (failure.fault) {
    case 'disk':
      return new HostFaultError(
        {
          cause: 'host-disk',
          code: /no space left|quota exceeded/i.test(failure.text) ? 'disk-full' : 'disk-failed',
          message: `the disk of engine ${engineId} failed as it took ${object}: ${failure.text}`,
        },
        failure,
      );
    case 'unreachable':
    case 'daemon':
      return new HostFaultError(
        { cause: 'engine', code: 'engine-failed', message: `engine ${engineId} cannot be used: ${failure.message}` },
        failure,
      );
    case 'platform':
      return new UnsupportedImageError(object, 'no-such-platform', failure.text, failure);
    case 'type':
      return new UnsupportedImageError(object, 'not-an-image', failure.text, failure);
    case 'caller':
    case 'integrity':
    case 'rate-limit':
    case 'registry-noise':
    case 'denied':
    case 'missing':
    case 'tls':
    case 'network':
    case 'server':
    case 'cancelled':
    case 'extract':
    case 'unknown':
      return new EngineError(engineId, `it could not take ${object}: ${failure.message}`, failure);
  }
}

/** What a failure says about the registry that an engine pulled from by itself; null where it is not the registry's. */
export function registryEvidenceOf(failure: EngineFailure): Evidence | null {
  switch (failure.fault) {
    case 'integrity':
      return { kind: 'content', code: 'digest-mismatch', from: 'registry' };
    case 'platform':
      return { kind: 'image', code: 'platform-missing' };
    case 'type':
      return { kind: 'image', code: 'image-unsupported' };
    case 'rate-limit':
      return { kind: 'status', status: 429, from: 'registry', specCodes: [] };
    case 'registry-noise':
      return { kind: 'status', status: 503, from: 'registry', specCodes: [] };
    case 'denied':
      return { kind: 'status', status: 403, from: 'registry', specCodes: ['DENIED'] };
    case 'missing':
      return { kind: 'status', status: 404, from: 'registry', specCodes: [] };
    case 'tls':
      return { kind: 'tls', code: 'failed' };
    case 'network':
      return { kind: 'connection', code: 'closed', reused: false, bytes: 0, lateMs: 0 };
    case 'server':
      return { kind: 'status', status: 503, from: 'registry', specCodes: [] };
    case 'caller':
    case 'disk':
    case 'daemon':
    case 'unreachable':
    case 'cancelled':
    case 'extract':
    case 'unknown':
      return null;
  }
}
