import { judge, type Judgement } from '../health/verdict.js';
import { layersFirstByteMs, layersStallMs, metadataRequestMs } from '../policy/limits.js';
import type { Evidence } from '../vocabulary/evidence.js';
import type { RegistryPhase } from '../vocabulary/phase.js';
import type { RegistryMishap } from './pull-script.js';

export const registryMishaps: readonly RegistryMishap[] = [
  'stalled',
  'refused',
  'reset',
  'unavailable',
  'limited',
  'missing',
  'denied',
  'wrong-bytes',
];

/** Of whom, and of what, a mishap is told. */
export interface MishapPlace {
  readonly registry: string;
  readonly phase: RegistryPhase;
  readonly object: string;
  /** Body bytes that had arrived. */
  readonly bytes: number;
}

const limitedForMs = 60_000;

/** Judges a mishap as a real pull would. */
export function judgeMishap(because: RegistryMishap, { registry, phase, object, bytes }: MishapPlace): Judgement {
  return judge({ evidence: evidenceOf(because, phase, bytes), phase }, { registry, object });
}

function evidenceOf(because: RegistryMishap, phase: RegistryPhase, bytes: number): Evidence {
  const status = (code: number, specCodes: readonly string[]): Evidence => ({
    kind: 'status',
    status: code,
    from: 'registry',
    specCodes,
  });
  switch (because) {
    case 'stalled':
      if (phase === 'metadata') return { kind: 'limit', limit: 'metadata.requestMs', value: metadataRequestMs, bytes };
      return bytes === 0
        ? { kind: 'limit', limit: 'layers.firstByteMs', value: layersFirstByteMs, bytes }
        : { kind: 'limit', limit: 'layers.stallMs', value: layersStallMs, bytes };
    case 'refused':
    case 'reset':
      return { kind: 'connection', code: because, reused: false, bytes, lateMs: 0 };
    case 'unavailable':
      return status(503, []);
    case 'limited':
      return { kind: 'status', status: 429, from: 'registry', specCodes: [], retryAfterMs: limitedForMs };
    case 'missing':
      return status(404, [phase === 'metadata' ? 'MANIFEST_UNKNOWN' : 'BLOB_UNKNOWN']);
    case 'denied':
      return status(403, ['DENIED']);
    case 'wrong-bytes':
      return { kind: 'content', code: 'digest-mismatch', from: 'registry' };
  }
}
