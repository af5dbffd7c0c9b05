import { dockerParts } from '../engine/docker/docker-engine.js';
import { hostPlatform, parsePlatform, type Platform } from '../image/platform.js';
import type { PullEngine } from './pull-engine.js';

/**
 * What an image is for when nobody says it: a daemon's own platform, as when it pulls by itself, for it may be on another
 * machine; a layout is for this one.
 *
 * @throws EngineFailure, or the signal's own reason
 */
export async function defaultPlatform(engine: PullEngine, signal: AbortSignal): Promise<Platform> {
  if (engine.kind === 'oci-layout') return hostPlatform();
  const { platform } = await dockerParts(engine).daemon.traits({ signal });
  return parsePlatform(platform);
}
