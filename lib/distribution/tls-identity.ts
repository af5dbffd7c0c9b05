import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import tls from 'node:tls';
import type { RegistryTls } from '../registries/tls-options.js';
import { createBoundedMap } from '../policy/bounded-map.js';

/** What a TLS connection is opened with. Connections of different identities are never shared. */
export interface TlsIdentity {
  readonly id: string;
  readonly context: tls.SecureContext;
  /** Whoever answers is taken for the host. */
  readonly isAnyPeer: boolean;
}

/** A context with authorities of its own parses some 150 certificates; a puller has a handful of registries. */
const maxContexts = 64;

const contexts = createBoundedMap<string, TlsIdentity>(maxContexts);

/** How the registry itself is recognised, and how it recognises us. */
export function ownIdentity(settings: RegistryTls): TlsIdentity {
  return identityOf(settings);
}

/**
 * How a host is recognised to which the registry has led us. As in Docker, the registry's authorities hold there too (a
 * company's storage has certificates of the company), and so does that any peer will do; our own certificate is nobody
 * else's business.
 */
export function ledIdentity({ ca, anyPeer }: RegistryTls): TlsIdentity {
  return identityOf({ ...(ca === undefined ? {} : { ca }), ...(anyPeer === undefined ? {} : { anyPeer }) });
}

/** How anybody else is recognised: a proxy. */
export function usualIdentity(): TlsIdentity {
  return identityOf({});
}

function identityOf({ ca, cert, key, anyPeer }: RegistryTls): TlsIdentity {
  const id = createHash('sha256')
    .update(JSON.stringify([ca, cert, key, anyPeer]))
    .digest('base64url');
  const known = contexts.get(id);
  if (known !== undefined) return known;
  const context = tls.createSecureContext({
    ...(ca === undefined ? {} : { ca: [...usualAuthorities(), ca] }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  });
  const identity = { id, context, isAnyPeer: anyPeer === true };
  contexts.set(id, identity);
  return identity;
}

/** Since Node 22.15; the types are those of Node 20. */
const tlsOfNode = tls as unknown as { readonly getCACertificates?: (kind: 'default') => readonly string[] };

/** What this process trusts where nobody names an authority. With `ca` given, Node leaves these out. */
function usualAuthorities(): readonly string[] {
  if (tlsOfNode.getCACertificates !== undefined) return tlsOfNode.getCACertificates('default');
  const extraPath = process.env['NODE_EXTRA_CA_CERTS'] ?? '';
  return extraPath === '' ? tls.rootCertificates : [...tls.rootCertificates, ...readIfThere(extraPath)];
}

/** Node itself only warns about a file that it cannot read. */
function readIfThere(path: string): readonly string[] {
  try {
    return [readFileSync(path, 'utf8')];
  } catch {
    return [];
  }
}
