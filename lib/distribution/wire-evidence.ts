import { errors } from 'undici';
import { fileErrorCode } from '../files/file-error.js';
import type { Answerer, Evidence } from '../vocabulary/evidence.js';
import { AddressRefusedError } from './address-guard.js';
import type { Arrived } from './connection.js';
import { MalformedAnswerError } from './connection.js';
import { DialError } from './dial.js';
import type { ReachTry } from './reach.js';
import { TunnelError } from './tunnel.js';

/** What is known beside the error. */
export interface WireCircumstances extends Arrived {
  readonly answerer: Answerer;
  /** Without a proxy, what is known of the way there. */
  readonly reach: ReachTry;
}

type ConnectionCode = Extract<Evidence, { kind: 'connection' }>['code'];

const connectionCodes: Readonly<Record<string, ConnectionCode>> = {
  ECONNREFUSED: 'refused',
  ECONNRESET: 'reset',
  ECONNABORTED: 'reset',
  EPIPE: 'reset',
  ETIMEDOUT: 'timed-out',
  ERR_SOCKET_CONNECTION_TIMEOUT: 'timed-out',
  EHOSTUNREACH: 'unreachable',
  ENETUNREACH: 'unreachable',
  EHOSTDOWN: 'unreachable',
  ENETDOWN: 'unreachable',
  EADDRNOTAVAIL: 'unreachable',
  EACCES: 'unreachable',
  EPERM: 'unreachable',
  EAFNOSUPPORT: 'unreachable',
  UND_ERR_SOCKET: 'closed',
  UND_ERR_DESTROYED: 'closed',
  UND_ERR_CLOSED: 'closed',
  UND_ERR_ABORTED: 'closed',
  ERR_STREAM_DESTROYED: 'closed',
  ERR_STREAM_PREMATURE_CLOSE: 'closed',
};

/** This process, or this host, has nothing left to open a socket with. */
const hostCodes: readonly string[] = ['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM'];

/** OpenSSL's, Node's and the verifier's words for what is wrong with TLS. */
const tlsCode =
  /^(ERR_TLS_|ERR_SSL_|ERR_OSSL_|CERT_|CRL_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH_|EPROTO$)/;

/** Turns an error of the network, of TLS or of undici into what was seen. */
export function evidenceOfWireError(thrown: unknown, seen: WireCircumstances): Evidence {
  const stage = thrown instanceof DialError ? thrown.stage : 'exchange';
  const error = thrown instanceof DialError ? thrown.cause : thrown;
  const code = mostTellingCode(error);
  if (error instanceof AddressRefusedError) return refused(seen.answerer);
  if (hostCodes.includes(code)) return { kind: 'disk', errno: code };
  if (error instanceof TunnelError) {
    return error.status === null ? { kind: 'proxy' } : { kind: 'proxy', status: error.status };
  }
  if (stage === 'proxy') return { kind: 'proxy' };
  if (isMalformed(error, seen.headArrived)) return { kind: 'content', code: 'malformed-response', from: seen.answerer };
  if (code === 'ENOTFOUND' || code === 'ENODATA') return seen.reach.unresolved('not-found');
  if (code.startsWith('EAI_') || (error as { syscall?: unknown } | null)?.syscall === 'getaddrinfo') {
    return seen.reach.unresolved('failed');
  }
  const connection = isCutShort(error) ? 'closed' : connectionCodes[code];
  if (connection !== undefined) {
    const { reused, bytes, lateMs } = seen;
    if (stage === 'connect') {
      if (connection === 'timed-out' || connection === 'unreachable') return seen.reach.unreached(connection, lateMs);
      // A refusal comes from somebody.
      seen.reach.reached();
    }
    return { kind: 'connection', code: connection, reused, bytes, lateMs };
  }
  if (stage === 'tls' || tlsCode.test(code)) return { kind: 'tls', code: code === '' ? nameOf(error) : code };
  return { kind: 'unexpected', name: nameOf(error) };
}

function refused(answerer: Answerer): Evidence {
  return answerer === 'token-service'
    ? { kind: 'auth', code: 'realm-untrusted' }
    : { kind: 'redirect', code: 'redirect-private' };
}

/** The connection ended in the middle of a body: undici says it in one of two ways, as the framing was. */
function isCutShort(error: unknown): boolean {
  return (
    error instanceof errors.ResponseContentLengthMismatchError ||
    // It gives no code to this one.
    (error instanceof errors.HTTPParserError && error.message.includes('Invalid EOF state'))
  );
}

function isMalformed(error: unknown, headArrived: boolean): boolean {
  if (error instanceof MalformedAnswerError || error instanceof errors.HeadersOverflowError) return true;
  // Before the head is through, undici takes whatever is wrong behind a Content-Length for a wrong length.
  if (error instanceof errors.ResponseContentLengthMismatchError) return !headArrived;
  if (error instanceof errors.HTTPParserError) return !isCutShort(error);
  // What undici asserts of a head is the peer's to break: a status below 100, a 101 without an upgrade.
  if (mostTellingCode(error) === 'ERR_ASSERTION') return !headArrived;
  // An answer nobody asked for, an upgrade, a "100 Continue": undici has one code for these and for a lost socket.
  return error instanceof errors.SocketError && /^bad (response|upgrade)$/.test(error.message);
}

/** The code of an error; of several addresses that were tried, the one that says most. Empty where there is none. */
function mostTellingCode(error: unknown): string {
  if (error instanceof AggregateError) {
    const codes = error.errors.map(mostTellingCode);
    const telling = codes.find((code) => code === 'ECONNREFUSED') ?? codes.find((code) => code !== 'ENETUNREACH');
    return telling ?? codes[0] ?? '';
  }
  return fileErrorCode(error) ?? '';
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : typeof error;
}
