import { layersStallMs, layersWindowMs, type Limits } from '../../policy/limits.js';

/** How long an engine that pulls by itself may be silent. Milliseconds. */
export interface DirectLimits {
  /** From the request until the manifest is there; on some engines the config, and the first layer's answer, too. */
  readonly metadataMs: number;
  /** From one sign of bytes to the next, while layers are missing. */
  readonly stallMs: number;
  /** The same, when no other registry is left, or when the engine may just as well be unpacking. */
  readonly patientStallMs: number;
  /** The floor of the pull's rate, in bytes per second, while another registry could do better. */
  readonly minBytesPerSecond: number;
  /** The window over which that is measured. */
  readonly windowMs: number;
  /** While only the engine has something to do; or may have, and no other registry is left. */
  readonly extractMs: number;
}

/**
 * Engines tell of bytes in steps: Docker's classic store of half a MiB, its containerd store of one. At 64 KiB per second,
 * below which a registry is of little use, these are 8 and 16 seconds apart.
 */
export const directStallMs = 20_000;

/** A few such steps at the lowest rate that is let through by default. */
export const directWindowMs = 120_000;

/** The limits of a pull, for a route on which less is seen of it: what the host has not changed is longer. */
export function directLimits({ metadata, layers, lastCandidate, extract }: Limits): DirectLimits {
  const stallMs = layers.stallMs === layersStallMs ? directStallMs : layers.stallMs;
  return {
    metadataMs: metadata.totalMs + layers.firstByteMs,
    stallMs,
    patientStallMs: Math.max(stallMs, lastCandidate.stallMs),
    minBytesPerSecond: layers.minBytesPerSecond,
    windowMs: layers.windowMs === layersWindowMs ? directWindowMs : layers.windowMs,
    extractMs: extract.stallMs,
  };
}
