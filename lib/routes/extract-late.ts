import { HostFaultError } from '../errors/host-fault-error.js';
import { judge } from '../health/verdict.js';

/** What a pull ends with when the engine has all bytes and gets nowhere with them for `stallMs`. */
export function extractLate(image: string, stallMs: number): HostFaultError {
  const evidence = { kind: 'limit', limit: 'extract.stallMs', value: stallMs, bytes: 0 } as const;
  return new HostFaultError(judge({ evidence, phase: 'extract' }, { registry: '', object: image }).reason);
}

/** What a pull ends with when the engine asks for bytes and takes none for `ms`. */
export function engineDeaf(engineId: string, image: string, ms: number): HostFaultError {
  return new HostFaultError({
    cause: 'engine',
    code: 'engine-failed',
    message: `engine ${engineId} has taken no byte of ${image} for ${Math.round(ms / 1_000)} s, although it asked for them`,
  });
}
