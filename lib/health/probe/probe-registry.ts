import type { RegistryClient } from '../../distribution/client.js';
import { ExchangeError } from '../../distribution/wire-error.js';
import { createLog } from '../../log/log.js';
import type { Limits } from '../../policy/limits.js';
import type { RegistryPhase } from '../../vocabulary/phase.js';
import type { Reason } from '../../vocabulary/reason.js';
import { culpritOf } from '../cause.js';
import { failureOfThrown } from '../thrown-failure.js';
import { judge, type Judgement } from '../verdict.js';
import type { ByteAllowance } from './byte-allowance.js';
import type { ProbeTargets } from './probe-targets.js';
import type { LayerTarget, ManifestTarget } from './probe-targets-document.js';
import { boundedMs, ProbeTooLongError, readLayer } from './read-layer.js';

const log = createLog('health');

/** What a probe found out. */
export type ProbeResult =
  | { readonly kind: 'good' }
  /** `phase` is `metadata` too where it was the token for a layer that could not be had. */
  | { readonly kind: 'ill'; readonly phase: RegistryPhase; readonly reason: Reason }
  | { readonly kind: 'limited'; readonly phase: RegistryPhase; readonly retryAfterMs: number }
  /** It says nothing about the registry: this host, its network or its credentials failed. */
  | { readonly kind: 'unknown' }
  /** Nothing is left that the registry could be asked for. */
  | { readonly kind: 'no-target' };

/** One look at a registry. */
export interface ProbeRequest {
  readonly client: Pick<RegistryClient, 'openBlob' | 'headManifest'>;
  readonly registry: string;
  readonly phase: RegistryPhase;
  readonly targets: ProbeTargets;
  readonly limits: Pick<Limits, 'metadata' | 'layers'>;
  readonly allowance: ByteAllowance;
  /** Told of the bytes of a layer that have arrived. */
  readonly onRead?: (bytes: number) => void;
  readonly random: () => number;
  readonly signal: AbortSignal;
}

/** A kept-alive connection that closed as it was used, a signed URL that expired: each is over with the next request. */
const maxTries = 3;

/**
 * Asks a registry for something it has served before, as a pull would: 64 KiB of a layer at the place where it failed, or
 * the head of a manifest. What it does not have any more is forgotten, and the next is asked for.
 *
 * @throws the signal's own reason
 */
export async function probeRegistry(request: ProbeRequest): Promise<ProbeResult> {
  const { registry, phase, targets } = request;
  for (;;) {
    const target = phase === 'layers' ? targets.layersOf(registry)[0] : targets.manifestsOf(registry)[0];
    if (target === undefined) return { kind: 'no-target' };
    const result = await probeTarget(request, target);
    if (result !== 'useless') return result;
    targets.forget(registry, phase, target);
  }
}

async function probeTarget(
  request: ProbeRequest,
  target: LayerTarget | ManifestTarget,
): Promise<ProbeResult | 'useless'> {
  const { registry, phase, signal } = request;
  for (let tries = 1; ; tries += 1) {
    try {
      if ('digest' in target) await probeLayer(request, target);
      else await probeManifest(request, target);
      return { kind: 'good' };
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof ProbeTooLongError) return 'useless';
      const failure = failureOfThrown(error, phase);
      const object = 'digest' in target ? target.digest : target.reference;
      const detail = error instanceof ExchangeError ? error.detail : undefined;
      const judgement = judge(failure, { registry, object, ...(detail === undefined ? {} : { detail }) });
      log(null, 'a probe failed', { registry, phase, verdict: judgement.verdict, why: judgement.reason.message });
      if (judgement.verdict === 'again' && tries < maxTries) continue;
      return resultOf(judgement, failure.phase === 'metadata' ? 'metadata' : phase);
    }
  }
}

function resultOf({ verdict, reason, retryAfterMs }: Judgement, phase: RegistryPhase): ProbeResult | 'useless' {
  switch (verdict) {
    case 'ill':
      return { kind: 'ill', phase, reason };
    case 'limited':
      return { kind: 'limited', phase, retryAfterMs: retryAfterMs ?? 0 };
    case 'next': {
      // True of this object, or of what this account may see: another object may do.
      const culprit = culpritOf[reason.cause];
      return culprit === 'registry' || culprit === 'account' ? 'useless' : { kind: 'unknown' };
    }
    case 'again':
    case 'stop':
      return { kind: 'unknown' };
  }
}

async function probeLayer(request: ProbeRequest, target: LayerTarget): Promise<void> {
  const { client, limits, allowance, random, signal } = request;
  const { from, to } = stretchOf(target, allowance.bytesPerProbe, random);
  const maxBytes = Math.max(to - from, allowance.leftBytes);
  const settle = allowance.take();
  const onRead = (read: number): void => {
    settle(read);
    request.onRead?.(read);
  };
  await readLayer({ client, target, from, to, limits, maxBytes, signal, onRead });
}

/** Where it failed last; without such a place anywhere, since a storage that stalls does so in the middle. */
function stretchOf(
  { size, offset }: LayerTarget,
  bytes: number,
  random: () => number,
): { readonly from: number; readonly to: number } {
  const lastFrom = Math.max(0, size - bytes);
  const from = Math.min(offset ?? Math.floor(random() * (lastFrom + 1)), lastFrom);
  return { from, to: Math.min(size, from + bytes) };
}

async function probeManifest(request: ProbeRequest, { repository, reference }: ManifestTarget): Promise<void> {
  const { client, limits, signal } = request;
  const requestMs = boundedMs(limits.metadata.requestMs);
  await client.headManifest({ repository, reference, requestMs, pullId: 'probe', signal });
}
