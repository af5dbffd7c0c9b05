import { randomUUID } from 'node:crypto';
import { monotonicMs } from '../clock/time.js';
import type { DockerDaemon } from '../engine/docker/docker-daemon.js';
import { dockerParts } from '../engine/docker/docker-engine.js';
import { EngineFailure, hostErrorOf } from '../engine/docker/engine-failure.js';
import { HostFaultError } from '../errors/host-fault-error.js';
import { PullDeadlineError } from '../errors/pull-deadline-error.js';
import { isPullFailoverError } from '../errors/pull-failover-error.js';
import { evidenceOfHostError } from '../health/host-fault.js';
import { judge } from '../health/verdict.js';
import { parseReference, type Reference } from '../image/reference.js';
import { createLog } from '../log/log.js';
import { deriveAbort, startTimer } from '../policy/deadline.js';
import { credentialIdentity } from '../registries/credentials.js';
import { Comeback } from '../routes/comeback.js';
import { redactText } from '../vocabulary/redact.js';
import type { Attempt, PullReport } from '../vocabulary/report.js';
import type { ComposedParts } from './compose.js';
import { defaultPlatform } from './default-platform.js';
import { joinKeyOf, type Joins } from './join.js';
import { parsePullOptions, type PullerSettings, type PullOptions, type PullSettings } from './options.js';
import { refuseForbiddenHost } from './forbidden-host.js';
import type { StartWork } from './start-work.js';
import type { PullEngine } from './pull-engine.js';
import type { PullJob } from './pull-job.js';
import { resolvePolicy, type ResolvedPolicy } from './pull-policy.js';
import { Voice } from './voice.js';

const log = createLog('pull');

/** Whose `pullWithFailover` was called. */
export interface Called {
  readonly parts: ComposedParts;
  readonly joins: Joins;
  readonly startWork: StartWork;
}

/** One call of `pullWithFailover`: checks what was given, joins or starts the work, keeps the caller's own deadline, and tells the end. */
export async function callPull(
  { parts, joins, startWork }: Called,
  image: string,
  options: PullOptions,
): Promise<PullReport> {
  const reference = parseReference(image);
  const settings = parsePullOptions(options, parts.settings, reference.host);
  const policy = policyOf(parts.settings, settings);
  refuseForbiddenHost(parts.settings.allowHost, reference);
  settings.signal?.throwIfAborted();

  const voice = new Voice(parts.bus, {
    pullId: randomUUID(),
    image: reference.canonical,
    operation: settings.operation,
    engine: settings.engine.id,
  });
  const { pullId } = voice.scope;
  const startedAtMs = monotonicMs();
  let attempts: () => readonly Attempt[] = () => [];
  using own = deriveAbort(settings.signal ?? undefined, parts.ending);
  const clock = startTimer(policy.deadlineMs, () => {
    own.abort(new PullDeadlineError(reference.canonical, 'deadlineMs', policy.deadlineMs, [...attempts()]));
  });
  log(pullId, 'started', { image: reference.canonical, engine: settings.engine.id });
  voice.tell({ type: 'pull:started' });
  const comeback = new Comeback(daemonOf(settings.engine), pullId);
  try {
    const job = await jobOf(reference, settings, policy, comeback, own.signal);
    const report = await joins.attend({
      key: joinKeyOf(job),
      caller: { voice, endsAtMs: startedAtMs + policy.deadlineMs, leave: own.abort },
      signal: own.signal,
      onJoined: (joinedPullId) => {
        log(pullId, 'joined', { joinedPullId });
        voice.tell({ type: 'pull:joined', joinedPullId });
      },
      onWork: (work) => {
        ({ attempts } = work);
      },
      start: (callers, signal) => startWork(parts, job, { scope: voice.scope, callers, signal }),
    });
    const ownReport: PullReport = {
      ...report,
      ...voice.scope,
      timings: { ...report.timings, totalMs: Math.round(monotonicMs() - startedAtMs) },
    };
    log(pullId, 'succeeded', { digest: report.digest, totalMs: ownReport.timings.totalMs });
    voice.end({ type: 'pull:succeeded', report: ownReport });
    return ownReport;
  } catch (error) {
    if (settings.signal?.aborted === true && Object.is(error, settings.signal.reason)) {
      log(pullId, 'aborted by the caller');
      voice.end({ type: 'pull:aborted', attempts: attempts() });
      throw error;
    }
    const failure = asFailure(error, settings.engine.id, reference.canonical);
    log(pullId, 'failed', { code: failure.code, why: failure.message });
    voice.end({
      type: 'pull:failed',
      error: { code: failure.code, message: failure.message, retryable: failure.retryable },
      attempts: attempts(),
    });
    throw failure;
  } finally {
    clock.cancel();
  }
}

async function jobOf(
  reference: Reference,
  settings: PullSettings,
  policy: ResolvedPolicy,
  comeback: Comeback,
  signal: AbortSignal,
): Promise<PullJob> {
  const { engine, credentials } = settings;
  return {
    reference,
    platform: settings.platform ?? (await comeback.evenIfAway(signal, () => defaultPlatform(engine, signal))),
    engine,
    comeback,
    policy,
    credentials,
    credentialIdentity: credentials === null ? 'default' : await identityOf(credentials, signal),
  };
}

function daemonOf(engine: PullEngine): DockerDaemon | null {
  return engine.kind === 'docker' ? dockerParts(engine).daemon : null;
}

/** Credentials that cannot be read are like no others; what that means is found out when they are needed. */
async function identityOf(credentials: NonNullable<PullSettings['credentials']>, signal: AbortSignal): Promise<string> {
  try {
    return credentialIdentity(await credentials.get({ signal }));
  } catch {
    signal.throwIfAborted();
    return randomUUID();
  }
}

function policyOf(puller: PullerSettings, pull: PullSettings): ResolvedPolicy {
  const kind = pull.operation === null ? undefined : puller.kinds.get(pull.operation.kind);
  return resolvePolicy([puller.policy, ...(kind === undefined ? [] : [kind]), pull.policy]);
}

/** Whatever went wrong on this host is told as such: every failure of a pull is of one family. */
function asFailure(error: unknown, engine: string, image: string) {
  if (isPullFailoverError(error)) return error;
  if (error instanceof EngineFailure) return hostErrorOf(error, engine, image);
  const evidence = evidenceOfHostError(error);
  if (evidence !== null) {
    return new HostFaultError(
      judge({ evidence, phase: 'extract' }, { registry: '', object: 'the engine' }).reason,
      error,
    );
  }
  const message = `Unexpected failure: ${redactText(error instanceof Error ? error.message : String(error))}`;
  return new HostFaultError({ cause: 'host-process', code: 'unexpected', message }, error);
}
