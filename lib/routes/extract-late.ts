import { HostFaultError } from '../errors/host-fault-error.js';
import { judge } from '../health/verdict.js';

/** What a pull ends with when the engine has all bytes and gets nowhere with them for `stallMs`. */
export function extractLate(image: string, stallMs: number): HostFaultError {
  const evidence = { kind: 'limit', limit: 'extract.stallMs', value: stallMs, bytes: 0 } as const;
  return new HostFaultError(judge({ evidence, phase: 'extract' }, { registry: '', object: image }).reason);
}
