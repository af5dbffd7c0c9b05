import type { DaemonCredentials } from '../engine/docker/docker-daemon.js';
import { dockerParts, type DockerEngine } from '../engine/docker/docker-engine.js';
import { formatPlatform, parsePlatform } from '../image/platform.js';
import type { Reference } from '../image/reference.js';
import { createLog } from '../log/log.js';
import { withDeadline } from '../policy/deadline.js';
import { ownCredentialsOf } from '../puller/own-credentials.js';
import type { Puller } from '../puller/puller.js';
import type { Credentials } from '../registries/credentials.js';
import { canonicalHost } from '../registries/prefix.js';
import { daemonCredentials } from '../routes/direct/direct-credentials.js';
import { redactText } from '../vocabulary/redact.js';
import type { PullReport } from '../vocabulary/report.js';

const log = createLog('pull');

/** Metadata alone are asked for, of a registry that is well; a caller should not wait longer for a mere name. */
const namingLimitMs = 10_000;

/** What is needed to name an image by its digest. */
export interface DigestNaming {
  readonly puller: Puller;
  readonly engine: DockerEngine;
  readonly reference: Reference;
  readonly report: PullReport;
  /** Given by the caller, for the image's own registry. */
  readonly credentials: Credentials | null;
  readonly signal: AbortSignal;
}

/**
 * Lets an image that was asked for by digest be known by that name too, as after a pull by the daemon itself: callers
 * create containers from the name they asked for. Docker's classic store learns such a name from the registry alone,
 * so it pulls again from the image's own one, which costs the manifest: everything else is there.
 *
 * @returns a warning for the caller when that cannot be done, else null
 */
export async function nameByDigest(naming: DigestNaming): Promise<string | null> {
  const { engine, reference, report, signal } = naming;
  const { daemon } = dockerParts(engine);
  const name = `${reference.name}@${reference.digest}`;
  try {
    if ((await daemon.inspect(name, signal)) !== null) return null;
    // An image of the cache is used so that no registry is asked.
    if (report.source === 'registry' && (await isWell(naming))) {
      const expired = () => new Error(`it took more than ${namingLimitMs} ms`);
      await withDeadline({ ms: namingLimitMs, signal, expired }, (limited) => pullName(naming, limited));
      if ((await daemon.inspect(name, signal)) !== null) return null;
    }
  } catch (error) {
    signal.throwIfAborted();
    log(report.pullId, 'not named by its digest', { why: redactText(String(error)) });
  }
  return `this engine does not know it as ${name}: create containers from ${report.reference}`;
}

/** Whether the image's own registry may be asked, and would be asked for manifests in its place. */
async function isWell({ puller, reference }: DigestNaming): Promise<boolean> {
  const { candidates } = await puller.explain(reference.canonical);
  return candidates.some(({ registry, repository, metadata }) => {
    const [host = ''] = registry.split('/');
    const isOwn = canonicalHost(host) === canonicalHost(reference.host) && repository === reference.path;
    return isOwn && metadata !== 'circuit-open' && metadata !== 'limited';
  });
}

async function pullName(naming: DigestNaming, signal: AbortSignal): Promise<void> {
  const { engine, reference, report } = naming;
  const lines = dockerParts(engine).daemon.pull(
    {
      name: reference.name,
      object: String(reference.digest),
      platform: formatPlatform(parsePlatform(report.platform)),
      credentials: await credentialsOf(naming, signal),
    },
    signal,
  );
  // What it has to say until it has done so is nothing that its caller asked for.
  for await (const _ of lines);
}

/** What the engine is to show the image's own registry, as the pull did: the caller's, else the puller's own. */
async function credentialsOf(naming: DigestNaming, signal: AbortSignal): Promise<DaemonCredentials | null> {
  const { puller, engine, reference } = naming;
  const credentials = naming.credentials ?? (await ownCredentialsOf(puller, reference)?.get({ signal })) ?? null;
  const { store } = await dockerParts(engine).daemon.traits({ signal });
  return credentials === null ? null : daemonCredentials(credentials, reference.host, store);
}
