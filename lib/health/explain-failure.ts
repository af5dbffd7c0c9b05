import { isEngineError, type EngineError } from '../errors/engine-error.js';
import { isHostFaultError } from '../errors/host-fault-error.js';
import { isImageNotCachedError } from '../errors/image-not-cached-error.js';
import { isImageRefusedError } from '../errors/image-refused-error.js';
import { isInvalidOptionError } from '../errors/invalid-option-error.js';
import { isInvalidReferenceError } from '../errors/invalid-reference-error.js';
import { isNotConfiguredError } from '../errors/not-configured-error.js';
import { isParkCancelledError } from '../errors/park-cancelled-error.js';
import { isPullDeadlineError, type PullDeadlineError } from '../errors/pull-deadline-error.js';
import { isPullExhaustedError, type PullExhaustedError } from '../errors/pull-exhausted-error.js';
import { isPullFailoverError } from '../errors/pull-failover-error.js';
import { isPullerClosedError } from '../errors/puller-closed-error.js';
import { isReplicaDivergedError } from '../errors/replica-diverged-error.js';
import { isUnsupportedImageError, type UnsupportedImageError } from '../errors/unsupported-image-error.js';
import type { Cause, ReasonCode } from '../vocabulary/reason.js';
import { redactText } from '../vocabulary/redact.js';
import type { Attempt } from '../vocabulary/report.js';
import { culpritOf } from './cause.js';
import { evidenceOfHostError } from './host-fault.js';
import { judge } from './verdict.js';

/** What an operator does about each cause. */
const adviceFor: Readonly<Record<Cause, string>> = {
  'registry-api': 'look at the status page of the registry, and list a replica of it',
  'registry-storage':
    'the storage of the registry is failing even if its API answers: look at its status page, and list a replica of it',
  credentials: 'check that the credentials of this host may read the repository there',
  'rate-limit': 'wait, use credentials with a higher limit, or list a replica first that has one',
  'not-replicated': 'check the name, and copy the image to where it is missing',
  content: 'do not use what it serves: compare the digests, and copy the image there again',
  tls: "check the registry's certificate, the clock of this host, and the registry's `ca` option",
  proxy: 'check the proxy, and HTTPS_PROXY and NO_PROXY of this process; no registry is to blame',
  dns: 'check the name of the registry and the DNS zone it is in',
  'network-egress': 'check the network and the resolver of this host; no registry is to blame',
  'host-disk': 'make room on or repair the disk of this host; no registry is to blame',
  'host-process': 'look at this process (load, memory, open files, suspension); no registry is to blame',
  engine: 'look at the engine and its log; no registry is to blame',
  caller: 'nothing is wrong with a registry',
};

const adviceForProblem: Readonly<Record<UnsupportedImageError['problem'], string>> = {
  'schema-1': 'push it again with a Docker of this decade',
  'no-such-platform': 'ask for a platform it was built for, or build it for this one',
  'not-an-image': 'it is an artifact of another kind: check the name',
  malformed: 'push it again',
  'too-large': 'no registry may serve such a manifest: build it anew',
  'foreign-layer': 'allow its foreign URLs for the registry (`allowForeignUrls`), or push it with its layers',
};

/** What is seen of a registry from which not even a refusal comes. */
const unreachedCodes: ReadonlySet<ReasonCode> = new Set([
  'connection-timed-out',
  'host-unreachable',
  'dns-failed',
  'dns-not-found',
]);

/** Registries told of in one sentence; the error itself lists every attempt. */
const maxClauses = 4;

/**
 * Puts a failure in one sentence that an operator would write: what failed, the evidence, what to do about it.
 * Takes whatever a pull rejected with, a caller's own abort reason and foreign values too. Never throws, and never
 * shows a credential, token or signed URL.
 */
export function explainFailure(error: unknown): string {
  let text: string;
  try {
    text = explain(error);
  } catch {
    text = 'the pull was ended with a value that cannot be read';
  }
  const sentence = text.replace(/[.;,\s]+$/, '');
  // A registry's prefix at the beginning stays as it is written everywhere else.
  const isWord = /^[a-z]+(?=\s)/.test(sentence);
  return `${isWord ? sentence.charAt(0).toUpperCase() + sentence.slice(1) : sentence}.`;
}

/** A text of an error, as it may be shown, ready to be followed by more. */
function said(text: string): string {
  return redactText(text).replace(/[.;,\s]+$/, '');
}

function explain(error: unknown): string {
  if (isPullExhaustedError(error)) return explainExhausted(error);
  if (isPullDeadlineError(error)) return explainDeadline(error);
  if (isHostFaultError(error)) return `${said(error.reason.message)}: ${adviceFor[error.reason.cause]}`;
  if (isEngineError(error)) return explainEngine(error);
  if (isUnsupportedImageError(error)) return `${said(error.message)}: ${adviceForProblem[error.problem]}`;
  if (isReplicaDivergedError(error)) {
    return `${said(error.message)}: find out which of the two is meant, then push it to both, or allow what is meant by these options`;
  }
  if (isImageNotCachedError(error)) {
    return `${said(error.message)}: pull it beforehand, or allow registries by another pullPolicy`;
  }
  if (isImageRefusedError(error)) {
    if (error.option === 'ban')
      return `${said(error.message)}: release a ban that is not meant any more, or let it expire`;
    return `${said(error.message)}: the host's own option ${error.option} says so, no registry was asked`;
  }
  if (isInvalidOptionError(error)) return `${said(error.message)}: correct the option ${error.option}`;
  if (isInvalidReferenceError(error)) return `${said(error.message)}: correct the name, no registry was asked`;
  if (isNotConfiguredError(error)) return said(error.message);
  if (isParkCancelledError(error)) return `${said(error.message)} by an operator: ask again when it is wanted`;
  if (isPullerClosedError(error)) return `${said(error.message)}; nothing is wrong with a registry`;
  // Of another installed version, with classes that this one does not have.
  if (isPullFailoverError(error)) return `${said(error.message)} (${error.code})`;
  return explainForeign(error);
}

function explainExhausted(error: PullExhaustedError): string {
  const last = lastOfEachRegistry(error.attempts);
  const failed = isOutOfReach(last) ? 'this host reached no registry for' : 'no registry could serve';
  const what = `${failed} ${error.image} (${error.phase})`;
  if (last.length === 0) return `${what}, since none may be asked: check the list of registries and what is banned`;
  const retry =
    error.retryAfterMs === undefined ? '' : `; it is worth asking again in ${Math.ceil(error.retryAfterMs / 1_000)} s`;
  return `${what}: ${clauses(last)}; ${adviceFor[mainCause(last)]}${retry}`;
}

function explainDeadline(error: PullDeadlineError): string {
  const last = lastOfEachRegistry(error.attempts);
  const what = `pulling ${error.image} was given up after ${error.timeoutMs} ms (${error.limit})`;
  return last.length === 0
    ? `${what}, although no registry had failed: allow more time, or find out what slows the transfer`
    : `${what}: ${clauses(last)}; ${adviceFor[mainCause(last)]}`;
}

/** A full disk under the engine is the engine's complaint, but not its fault. */
function explainEngine(error: EngineError): string {
  return `${said(error.message)}: ${adviceFor[hostCauseOf(error) ?? 'engine']}`;
}

function hostCauseOf(error: unknown): Cause | null {
  const evidence = evidenceOfHostError(error);
  return evidence === null ? null : judge({ evidence, phase: 'extract' }, { registry: '', object: '' }).reason.cause;
}

/** Not `instanceof Error`: an abort's own reason is of Node's realm, also where Jest gives a test file an `Error` of its own. */
function isErrorLike(value: unknown): value is { readonly name: string; readonly message: string } {
  if (typeof value !== 'object' || value === null) return false;
  const { name, message } = value as { readonly name?: unknown; readonly message?: unknown };
  return typeof name === 'string' && typeof message === 'string';
}

function explainForeign(error: unknown): string {
  if (!isErrorLike(error)) {
    return `the pull was ended with a value that is no error (${shown(error)}): if that is the reason of an abort signal, nothing is wrong with a registry`;
  }
  if (error.name === 'AbortError') {
    return `the caller ended the pull (${said(error.message)}): nothing is wrong with a registry, ask again when it is wanted`;
  }
  if (error.name === 'TimeoutError') {
    return `the caller's own time limit ended the pull (${said(error.message)}): allow more time, or set deadlineMs to learn which registry was slow`;
  }
  const hostCause = hostCauseOf(error);
  if (hostCause !== null) return `this host failed (${said(error.message)}): ${adviceFor[hostCause]}`;
  return `an unexpected ${said(error.name)} ended the pull (${said(error.message)}): no registry is known to be at fault; report it with what DEBUG=pull-failover:* prints`;
}

/** The last attempt at each registry, in the order in which the registries were first asked. */
function lastOfEachRegistry(attempts: readonly Attempt[]): readonly Attempt[] {
  const last = new Map<string, Attempt>();
  for (const attempt of attempts) last.set(attempt.registry, attempt);
  return [...last.values()];
}

function clauses(attempts: readonly Attempt[]): string {
  const told = attempts.slice(0, maxClauses).map((attempt) => said(attempt.reason.message));
  const untold = attempts.length - told.length;
  return [...told, ...(untold > 0 ? [`and ${untold} more failed`] : [])].join('; ');
}

/**
 * What to act on first: a fault on this side explains all of them at once, else the first registry is the one
 * that should have served.
 */
function mainCause(attempts: readonly Attempt[]): Cause {
  const causes = attempts.map((attempt) => attempt.reason.cause);
  const ours = causes.find((cause) => culpritOf[cause] === 'host' || culpritOf[cause] === 'network');
  return ours ?? causes[0] ?? 'registry-api';
}

/** Whether none of them answered anything, and what keeps this host from them is known to be its own network. */
function isOutOfReach(attempts: readonly Attempt[]): boolean {
  const isNetwork = ({ reason }: Attempt): boolean => culpritOf[reason.cause] === 'network';
  return attempts.some(isNetwork) && attempts.every((each) => isNetwork(each) || unreachedCodes.has(each.reason.code));
}

function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(redactText(value));
  return typeof value === 'object' && value !== null ? 'an object' : redactText(String(value));
}
