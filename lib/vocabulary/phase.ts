/**
 * A stretch of a pull that is timed and judged on its own.
 *
 * - `metadata`: ping, token and manifests
 * - `layers`: every blob (layers and the config come from the same storage)
 * - `extract`: local work of the engine, never a registry's fault
 */
export type Phase = 'metadata' | 'layers' | 'extract';

/** The phases in which a registry can fail, and has a circuit. */
export type RegistryPhase = Exclude<Phase, 'extract'>;

export const registryPhases: readonly RegistryPhase[] = ['metadata', 'layers'];
