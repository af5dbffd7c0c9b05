import { EngineError } from '../../errors/engine-error.js';
import { HostFaultError } from '../../errors/host-fault-error.js';
import { UnsupportedImageError } from '../../errors/unsupported-image-error.js';
import type { Evidence } from '../../vocabulary/evidence.js';
import { redactText } from '../../vocabulary/redact.js';
import type { RegistryFault } from './engine-error-row.js';
import { type EngineFault, type EngineFinding, findEngineError } from './engine-error-table.js';

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
  /** Of the engine's disk, where it is the one that failed: `ENOSPC`. */
  readonly diskErrno: string | null;
  /** What it says of the registry that the engine pulled from by itself; null where it is not the registry's. */
  readonly evidence: Evidence | null;

  constructor(fault: EngineFault, said: EngineSaid, found: Partial<EngineFinding> = {}) {
    const text = redactText(said.text).trim();
    super(text === '' ? `the engine failed (${said.code ?? said.statusCode ?? fault})` : text);
    this.fault = fault;
    this.text = text;
    this.statusCode = said.statusCode ?? null;
    this.isLost = said.lost ?? false;
    this.socketCode = said.code ?? null;
    this.diskErrno = found.errno ?? null;
    this.evidence = found.registry ?? null;
  }
}

/** Nobody is there, or it is not for us: no such name, no such socket, no right to it, no trust in its certificate. */
const unreachable: RegExp =
  /^(?:ECONNREFUSED|ENOENT|EACCES|EPERM|ENOTFOUND|EAI_\w+|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|EHOSTDOWN|ENOTSOCK|ENOTDIR|EADDRNOTAVAIL|EPROTO|HPE_\w+|CERT_\w+|ERR_TLS_\w+|ERR_SSL_\w+|UNABLE_TO_\w+|(?:DEPTH_ZERO_)?SELF_SIGNED_\w+)$/;

/** Ends of a connection that had been there. */
const lost: RegExp = /^(?:ECONNRESET|EPIPE|ECONNABORTED|ERR_STREAM_PREMATURE_CLOSE|ERR_STREAM_DESTROYED)$/;

/** Makes a failure of what an engine said, and finds out what it is about. */
export function engineFailure(said: EngineSaid): EngineFailure {
  const { code = '' } = said;
  if (said.lost === true || lost.test(code)) return new EngineFailure('daemon', { ...said, lost: true });
  if (unreachable.test(code)) return new EngineFailure('unreachable', said);
  const found = findEngineError(said.text);
  return new EngineFailure(found.fault, said, found);
}

/**
 * What a pull ends with when an engine failed and no registry is at fault: a `HostFaultError` when its disk is full or it
 * cannot be reached, an `UnsupportedImageError` when it is the image, else an `EngineError`.
 *
 * @param engineId the engine's id
 * @param object what it was about: an image, a layer
 */
export function hostErrorOf(
  failure: EngineFailure,
  engineId: string,
  object: string,
): HostFaultError | EngineError | UnsupportedImageError {
  const { fault, message, diskErrno } = failure;
  switch (fault) {
    case 'disk': {
      const isFull = diskErrno === 'ENOSPC' || diskErrno === 'EDQUOT';
      // Not the disk: the engine has no descriptor or memory left to reach it with.
      const isEngine = diskErrno === 'EMFILE' || diskErrno === 'ENOMEM';
      return new HostFaultError(
        {
          cause: isEngine ? 'engine' : 'host-disk',
          code: isFull ? 'disk-full' : 'disk-failed',
          message: `${isFull ? 'the disk is full' : 'the disk failed'} as engine ${engineId} took ${object}: ${message}`,
        },
        failure,
      );
    }
    case 'unreachable':
      return engineFault(`engine ${engineId} cannot be reached: ${message}${adviceFor(failure)}`, failure);
    case 'daemon':
      return engineFault(
        failure.isLost
          ? `engine ${engineId} went away as it took ${object}: ${message}`
          : `engine ${engineId} failed by itself as it took ${object}: ${message}`,
        failure,
      );
    case 'platform':
      return new UnsupportedImageError(
        object,
        'no-such-platform',
        `engine ${engineId}, ${object}: ${message}`,
        failure,
      );
    case 'type':
      return new UnsupportedImageError(object, 'not-an-image', `engine ${engineId}, ${object}: ${message}`, failure);
    case 'extract':
      return new EngineError(
        engineId,
        `it cannot unpack ${object}, though its bytes are right (older engines know no zstd): ${message}`,
        failure,
      );
    case 'integrity':
      return new EngineError(engineId, `it holds other bytes than it was given for ${object}: ${message}`, failure);
    case 'cancelled':
      return new EngineError(
        engineId,
        `another pull that ${object} shared a layer with was ended: ${message}`,
        failure,
      );
    case 'caller':
      return new EngineError(engineId, `it refused the request for ${object}: ${message}`, failure);
    case 'unknown':
      break;
    default:
      fault satisfies RegistryFault;
  }
  return new EngineError(engineId, `it could not take ${object}: ${message}`, failure);
}

function engineFault(message: string, failure: EngineFailure): HostFaultError {
  return new HostFaultError({ cause: 'engine', code: 'engine-failed', message }, failure);
}

/** What to do about an engine that cannot be reached, by what the socket said. */
const reachAdvice: readonly (readonly [code: RegExp, advice: string])[] = [
  [/^(?:EACCES|EPERM)$/, 'this process may not open the socket; run it as root or as a member of the group `docker`'],
  [/^(?:ENOENT|ENOTSOCK|ENOTDIR)$/, 'there is no such socket; start the engine, or say where it is with DOCKER_HOST'],
  [/^ECONNREFUSED$/, 'nobody listens there; start the engine'],
  [/^(?:ENOTFOUND|EAI_\w+)$/, 'its name does not resolve; check DOCKER_HOST'],
  [/^(?:EPROTO|HPE_\w+|ERR_SSL_\w+)$/, 'one side speaks TLS and the other does not; check DOCKER_TLS_VERIFY'],
  [/^(?:CERT_|ERR_TLS_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_)/, 'its certificate is not trusted; check DOCKER_CERT_PATH'],
];

function adviceFor({ socketCode }: EngineFailure): string {
  const found = socketCode === null ? undefined : reachAdvice.find(([code]) => code.test(socketCode));
  return found === undefined ? '' : ` (${found[1]})`;
}

/** What a failure says about the registry that an engine pulled from by itself; null where it is not the registry's. */
export function registryEvidenceOf(failure: EngineFailure): Evidence | null {
  return failure.evidence;
}
