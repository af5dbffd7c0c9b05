import type { IncomingHttpHeaders } from 'node:http';
import { parseRange } from './byte-range.js';
import type { Place } from './fault-script.js';
import type { LoggedRequest } from './request-log.js';
import { isRepositoryName, isTag, type RequestTarget } from './request-target.js';

/** The rules that a client broke, beyond what most registries would mind. */
export type ViolationRule =
  | 'method'
  | 'body'
  | 'host'
  | 'path'
  | 'repository'
  | 'reference'
  | 'accept'
  | 'accept-encoding'
  | 'range'
  | 'authorization'
  | 'signature';

/** A request that a client should not have sent. */
export interface Violation {
  readonly rule: ViolationRule;
  readonly detail: string;
  readonly request: LoggedRequest;
}

/** A request as the rules see it. */
export interface StrictRequest {
  readonly method: string;
  readonly headers: IncomingHttpHeaders;
  readonly place: Place;
  readonly target: RequestTarget;
  /** The hosts this server is asked by. */
  readonly hosts: readonly string[];
  readonly authKind: 'none' | 'basic' | 'bearer';
}

/** What a request did wrong, or null. Storage answers and registries alike get only what they asked for. */
export function violationOf(request: StrictRequest): { readonly rule: ViolationRule; readonly detail: string } | null {
  const { method, headers, place, target } = request;
  const broken = (rule: ViolationRule, detail: string): { rule: ViolationRule; detail: string } => ({ rule, detail });

  const methods = target.kind === 'token' ? ['GET', 'POST'] : ['GET', 'HEAD'];
  if (!methods.includes(method)) return broken('method', `${method} is not for a puller`);
  if (method !== 'POST' && hasBody(headers)) return broken('body', `${method} with a body`);
  if (!request.hosts.includes(headers.host ?? '')) return broken('host', `Host is ${headers.host ?? 'missing'}`);
  if (parseRange(headers.range) === 'malformed') return broken('range', `Range is ${headers.range ?? ''}`);

  if (place === 'storage') {
    if (headers.authorization !== undefined) return broken('authorization', 'Authorization was sent to the storage');
    return isUnencoded(headers) ? null : broken('accept-encoding', 'a blob must be asked for unencoded');
  }
  if (target.kind === 'unknown') return broken('path', 'no such path in the distribution specification');
  if ('repository' in target && !isRepositoryName(target.repository)) {
    return broken('repository', `not a repository name: ${target.repository}`);
  }
  if (target.kind === 'blob') {
    if (target.digest === null) return broken('reference', `not a digest: ${target.reference}`);
    if (!isUnencoded(headers)) return broken('accept-encoding', 'a blob must be asked for unencoded');
  } else if (headers.range !== undefined) {
    return broken('range', 'only blobs have ranges');
  }
  if (target.kind === 'manifest') {
    if (target.digest === null && !isTag(target.reference)) {
      return broken('reference', `neither a tag nor a digest: ${target.reference}`);
    }
    if (headers.accept === undefined || headers.accept === '*/*') {
      return broken('accept', 'a manifest must be asked for by its media types');
    }
  }
  return authorizationViolation(request);
}

function authorizationViolation(request: StrictRequest): { rule: ViolationRule; detail: string } | null {
  const { authorization } = request.headers;
  if (authorization === undefined) return null;
  const scheme = authorization.split(' ')[0]?.toLowerCase();
  // The token service of a Bearer registry is the one place there where a password belongs.
  const expected = request.target.kind === 'token' && request.authKind === 'bearer' ? 'basic' : request.authKind;
  if (scheme === expected) return null;
  const detail =
    expected === 'none' ? 'nobody asked for Authorization' : `not ${scheme ?? ''} but ${expected} was asked for`;
  return { rule: 'authorization', detail };
}

function hasBody(headers: IncomingHttpHeaders): boolean {
  return headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0';
}

function isUnencoded(headers: IncomingHttpHeaders): boolean {
  const codings = (headers['accept-encoding'] ?? 'identity').split(',').map((coding) => coding.trim());
  return codings.every((coding) => coding === 'identity');
}
