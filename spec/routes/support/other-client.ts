import { type IncomingMessage, request } from 'node:http';
import type { RealEngine } from '../../support/real-engine.js';

/** Pulls as any other client does. Podman takes plain HTTP only through its own endpoint. */
export function openPull(
  { socketPath, store }: RealEngine,
  image: string,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const path =
    store === 'podman'
      ? `/v4.0.0/libpod/images/pull?reference=${image}&tlsVerify=false`
      : `/images/create?fromImage=${image}`;
  return new Promise((resolve, reject) => {
    request({ socketPath, path, method: 'POST', signal, agent: false }, resolve).on('error', reject).end();
  });
}
