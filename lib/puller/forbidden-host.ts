import { ImageRefusedError } from '../errors/image-refused-error.js';
import type { Reference } from '../image/reference.js';
import { parseHost } from '../image/registry-host.js';
import { hostKind } from '../registries/host-kind.js';
import { canonicalHost } from '../registries/prefix.js';
import { redactText } from '../vocabulary/redact.js';

/** Asks the host whether this image may be pulled at all. Only a clear yes is one. @throws ImageRefusedError */
export function refuseForbiddenHost(allowHost: (host: string) => unknown, { canonical, host }: Reference): void {
  const answer = ask(allowHost, usualName(host));
  if (answer === true) return;
  throw new ImageRefusedError(canonical, 'allowHost', `${canonical}: allowHost ${answer}`);
}

/**
 * What everybody calls this place: one that is forbidden by its usual name must not be had by another one, Docker Hub's
 * second name or the port of https written out. On loopback it is http that has no port to write.
 */
function usualName(host: string): string {
  const isTls = hostKind(new URL(`https://${host}`).hostname) !== 'loopback';
  const bare = isTls ? host.replace(/:443$/, '') : host;
  return canonicalHost(parseHost(bare) ?? bare);
}

/** What the host's own function returns may be anything, and it may throw. */
function ask(allowHost: (host: string) => unknown, host: string): true | string {
  try {
    const allowed = allowHost(host);
    if (allowed === true) return true;
    // A promise is no answer, and its rejection nobody's.
    if (allowed instanceof Promise) allowed.catch(() => {});
    return allowed === false
      ? `does not allow ${host}`
      : `must return true or false, got ${typeof allowed} for ${host}`;
  } catch (error) {
    return `failed for ${host}: ${redactText(error instanceof Error ? error.message : String(error))}`;
  }
}
