import { createPrivateKey, sign, X509Certificate } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import type { TestCertificate } from '../support/tls.js';

/** A token service as `docker-registry` expects it: it signs JSON web tokens. */
export interface TokenService {
  readonly realm: string;
  readonly service: string;
  readonly issuer: string;
  close(): Promise<void>;
}

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/**
 * Starts a service that issues a token of the scope asked for to one user.
 *
 * @see https://distribution.github.io/distribution/spec/auth/jwt/
 */
export async function startTokenService(
  signer: TestCertificate,
  user: { readonly name: string; readonly password: string },
): Promise<TokenService> {
  const issuer = 'specs';
  const service = 'registry of the specs';
  const key = createPrivateKey(signer.key);
  const chain = [new X509Certificate(signer.cert).raw.toString('base64')];
  const password = `Basic ${Buffer.from(`${user.name}:${user.password}`).toString('base64')}`;

  function tokenFor(scopes: readonly string[]): string {
    const nowSeconds = Math.floor(Date.now() / 1000);
    const access = scopes.map((scope) => {
      const [type, name, actions = ''] = scope.split(':');
      return { type, name, actions: actions.split(',') };
    });
    const claims = {
      iss: issuer,
      sub: user.name,
      aud: service,
      exp: nowSeconds + 300,
      nbf: nowSeconds - 60,
      iat: nowSeconds,
      access,
    };
    const signed = `${encode({ typ: 'JWT', alg: 'ES256', x5c: chain })}.${encode(claims)}`;
    const signature = sign('sha256', Buffer.from(signed), { key, dsaEncoding: 'ieee-p1363' });
    return `${signed}.${signature.toString('base64url')}`;
  }

  const server = createServer((request, response) => {
    if (request.headers.authorization !== password) {
      response.writeHead(401).end();
      return;
    }
    const { searchParams } = new URL(request.url ?? '/', 'http://localhost');
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ token: tokenFor(searchParams.getAll('scope')), expires_in: 300 }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    realm: `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`,
    service,
    issuer,
    close: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}
