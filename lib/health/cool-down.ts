import type { HealthSettings } from './health-options.js';

/**
 * A cool-down is shortened by up to this share, at random, so that many hosts do not come back to a registry in one
 * instant. Never lengthened: `coolDownMs` and `maxCoolDownMs` stay true.
 */
export const coolDownJitter = 0.2;

/** The cool-down after the circuit has opened `openings` times (1 = the first) without staying closed in between. */
export function coolDownOf(
  openings: number,
  settings: Pick<HealthSettings, 'coolDownMs' | 'maxCoolDownMs'>,
  random: () => number,
): number {
  // 2 ** 1024 is Infinity, which the cap turns into the longest cool-down as well.
  const fullMs = Math.min(settings.coolDownMs * 2 ** (openings - 1), settings.maxCoolDownMs);
  return Math.max(1, Math.round(fullMs * (1 - coolDownJitter * random())));
}
