import type { Evidence } from '../../vocabulary/evidence.js';

/**
 * What the registry did that an engine pulled from by itself, or what lies before it; `registry-noise` is a page of a CDN,
 * a firewall or a portal in place of an answer.
 */
export type RegistryFault = 'rate-limit' | 'registry-noise' | 'denied' | 'missing' | 'tls' | 'network' | 'server';

/**
 * What an engine's failure is about, before anybody draws a conclusion from it.
 *
 * - `caller`: the request itself is wrong: a name, a header
 * - `disk`: the engine's disk is full or broken, or it has no memory or descriptors left
 * - `daemon`: the engine, or a part of it, failed or went away
 * - `unreachable`: nobody answers at the engine's address, or we may not talk to it
 * - `integrity`: the bytes it got are not those that their digest says
 * - `platform`, `type`: the image is not for this platform, or not an image
 * - `cancelled`: whoever had asked for the same bytes went away, or what he had begun is still in the way
 * - `extract`: it could not unpack bytes that were right
 * - `unknown`: none of these
 */
export type EngineFault =
  | RegistryFault
  | 'caller'
  | 'disk'
  | 'daemon'
  | 'unreachable'
  | 'integrity'
  | 'platform'
  | 'type'
  | 'cancelled'
  | 'extract'
  | 'unknown';

/** Texts that mean one fault. */
export interface EngineErrorRow {
  readonly fault: EngineFault;
  /** Looked for in the engine's own words; the group `status` is the status of the registry's answer. */
  readonly says: RegExp;
  /** Has to be in its own words as well. */
  readonly and?: RegExp;
  /** Looked for in the registry's words, too. */
  readonly repeats?: true;
  /** What it says of the registry that was pulled from; absent: nothing. */
  readonly registry?: Evidence | ((status: number) => Evidence);
  /** The system error behind it. */
  readonly errno?: string;
}
