import { X509Certificate } from 'node:crypto';
import net from 'node:net';
import tls from 'node:tls';
import { withoutBrackets } from '../image/registry-host.js';
import { settledBy, type SocketWatch } from './open-socket.js';
import type { TlsIdentity } from './tls-identity.js';

/** Speaks TLS over a connected socket, and checks that the peer is who `hostname` says, unless any peer will do. */
export async function secureSocket(
  socket: net.Socket,
  hostname: string,
  identity: TlsIdentity,
  watch: SocketWatch,
  signal: AbortSignal,
): Promise<tls.TLSSocket> {
  const host = withoutBrackets(hostname).replace(/\.$/, '');
  const secure = tls.connect({
    socket,
    // The name that the certificate is checked against; the server is only told names, never addresses (RFC 6066).
    host,
    servername: net.isIP(host) === 0 ? host : '',
    secureContext: identity.context,
    ALPNProtocols: ['http/1.1'],
    rejectUnauthorized: !identity.isAnyPeer,
    checkServerIdentity: net.isIPv6(host) ? checkIpv6Identity : tls.checkServerIdentity,
  });
  watch(secure);
  try {
    await settledBy(secure, 'secureConnect', signal);
  } catch (error) {
    secure.destroy();
    socket.destroy();
    throw error;
  }
  return secure;
}

/** Node 22.23 recognises no IPv6 address in a certificate; OpenSSL does. */
function checkIpv6Identity(address: string, certificate: tls.PeerCertificate): Error | undefined {
  if (new X509Certificate(certificate.raw).checkIP(address) !== undefined) return undefined;
  return Object.assign(new Error(`the certificate is not one of ${address}`), { code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
}
