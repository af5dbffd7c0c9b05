import { networkInterfaces } from 'node:os';

/** An address of this machine that is not loopback; null where it has none. */
export function addressElsewhere(): string | null {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return all.find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? null;
}
