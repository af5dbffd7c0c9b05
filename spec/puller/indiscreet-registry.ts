import { createHash } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { type SeenRequest, startServer, type TestServer } from '../support/servers.js';

/** Part of every secret of these pulls, so that any of them is found wherever it turns up. */
export const marker = 'sk3cr3t';

export const secrets: Readonly<
  Record<'password' | 'accessToken' | 'identityToken' | 'registryToken' | 'signature', string>
> = {
  password: `${marker}-password-of-robot`,
  accessToken: `${marker}.access-token.0123456789abcdef`,
  identityToken: `${marker}-identity-token-0123456789`,
  registryToken: `${marker}-registry-token-0123456789`,
  signature: `${marker}5ignature0123456789abcdef`,
};

export const user = 'robot';

/** The forms in which the secrets travel, beside their own. */
export const encodedSecrets: readonly string[] = [
  Buffer.from(`${user}:${secrets.password}`).toString('base64'),
  Buffer.from(secrets.password).toString('base64').replace(/=*$/, ''),
  encodeURIComponent(secrets.accessToken),
];

/** In which way the registry fails, and gives away what it knows while it does. */
export type Indiscretion =
  | 'storage-denies-in-xml'
  | 'storage-fails-in-text'
  | 'storage-unreachable'
  | 'storage-unresolvable'
  | 'storage-redirects-on'
  | 'storage-malformed-url'
  | 'storage-downgrade'
  | 'storage-sends-too-little'
  | 'storage-sends-wrong-bytes'
  | 'storage-hangs'
  | 'token-denied-in-json'
  | 'token-fails-in-text'
  | 'token-malformed'
  | 'token-hangs'
  | 'token-useless'
  | 'realm-with-password'
  | 'realm-elsewhere'
  | 'challenge-malformed'
  | 'registry-denies-in-json'
  | 'registry-limits-in-json'
  | 'registry-fails-in-text'
  | 'manifest-malformed'
  | 'manifest-redirects'
  | 'blob-fails-in-json';

export const indiscretions: readonly Indiscretion[] = [
  'storage-denies-in-xml',
  'storage-fails-in-text',
  'storage-unreachable',
  'storage-unresolvable',
  'storage-redirects-on',
  'storage-malformed-url',
  'storage-downgrade',
  'storage-sends-too-little',
  'storage-sends-wrong-bytes',
  'storage-hangs',
  'token-denied-in-json',
  'token-fails-in-text',
  'token-malformed',
  'token-hangs',
  'token-useless',
  'realm-with-password',
  'realm-elsewhere',
  'challenge-malformed',
  'registry-denies-in-json',
  'registry-limits-in-json',
  'registry-fails-in-text',
  'manifest-malformed',
  'manifest-redirects',
  'blob-fails-in-json',
];

const layer: Buffer = Buffer.alloc(3_000, 'layer');
const config: Buffer = Buffer.from('{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}');
const digestOf = (bytes: Buffer): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
const manifestType = 'application/vnd.oci.image.manifest.v1+json';
const manifest: Buffer = Buffer.from(
  JSON.stringify({
    schemaVersion: 2,
    mediaType: manifestType,
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: digestOf(config), size: config.length },
    layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: digestOf(layer), size: layer.length }],
  }),
);

const query = `X-Amz-Credential=AKIA0123456789ABCDEF%2Fus&X-Amz-Signature=${secrets.signature}&X-Amz-Security-Token=${secrets.signature}`;

/** Starts a registry with Bearer or Basic access whose blobs are behind signed URLs, and which talks too much. */
export async function startIndiscreetRegistry(how: Indiscretion, auth: 'bearer' | 'basic'): Promise<TestServer> {
  const server: TestServer = await startServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://host');
    if (pathname.startsWith('/token')) token(request, response);
    else if (pathname.startsWith('/storage')) storage(request, response);
    else registry(request, response, pathname);
  });
  return server;

  /** Everything a server can know of a request, in the ways that servers repeat it. */
  function echo(request: SeenRequest): string {
    const authorization = request.headers.authorization ?? `Bearer ${secrets.accessToken}`;
    return `Authorization: ${authorization} for ${server.url}${request.url} {"token":"${secrets.accessToken}","password":"${secrets.password}"} body ${request.body}`;
  }

  function json(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
  }

  function refusal(request: SeenRequest): unknown {
    return { errors: [{ code: 'DENIED', message: echo(request), detail: { request: echo(request) } }] };
  }

  function token(request: SeenRequest, response: ServerResponse): void {
    switch (how) {
      case 'token-denied-in-json':
        return json(response, 401, refusal(request));
      case 'token-fails-in-text':
        response.writeHead(500, { 'content-type': 'text/plain' }).end(echo(request));
        return;
      case 'token-malformed':
        response.writeHead(200, { 'content-type': 'application/json' }).end(`{"token":"${secrets.accessToken}`);
        return;
      case 'token-hangs':
        return;
      default:
        return json(response, 200, { token: secrets.accessToken, access_token: secrets.accessToken, expires_in: 300 });
    }
  }

  function registry(request: SeenRequest, response: ServerResponse, pathname: string): void {
    const { authorization } = request.headers;
    const isIn = authorization !== undefined && how !== 'token-useless';
    if (!isIn || how === 'challenge-malformed') {
      const realm = {
        'realm-with-password': `${server.url.replace('//', `//${user}:${secrets.password}@`)}/token?key=${secrets.signature}`,
        'realm-elsewhere': `http://token.invalid/token?key=${secrets.signature}`,
        'challenge-malformed': `not a URL ${secrets.signature}`,
      }[how as string];
      const challenge =
        auth === 'basic' && realm === undefined
          ? 'Basic realm="registry"'
          : `Bearer realm="${realm ?? `${server.url}/token?client_secret=${secrets.signature}`}",service="registry",scope="repository:team/app:pull"`;
      return json(response, 401, refusal(request), { 'www-authenticate': challenge });
    }
    if (pathname === '/v2/') return json(response, 200, {});
    if (pathname.includes('/manifests/')) return ofManifest(request, response);
    if (how === 'blob-fails-in-json') return json(response, 500, refusal(request));
    response.writeHead(307, { location: locationOf(pathname) }).end();
  }

  function ofManifest(request: SeenRequest, response: ServerResponse): void {
    switch (how) {
      case 'registry-denies-in-json':
        return json(response, 403, refusal(request));
      case 'registry-limits-in-json':
        return json(response, 429, refusal(request), { 'retry-after': '3600' });
      case 'registry-fails-in-text':
        response.writeHead(502, { 'content-type': 'text/plain' }).end(echo(request));
        return;
      case 'manifest-malformed':
        response
          .writeHead(200, { 'content-type': manifestType })
          .end(`{"token":"${secrets.accessToken}", ${echo(request)}`);
        return;
      case 'manifest-redirects':
        response.writeHead(307, { location: `http://manifests.invalid/m?sig=${secrets.signature}` }).end();
        return;
      default:
        response
          .writeHead(200, { 'content-type': manifestType, 'docker-content-digest': digestOf(manifest) })
          .end(manifest);
    }
  }

  function locationOf(pathname: string): string {
    switch (how) {
      case 'storage-unreachable':
        return `http://127.0.0.1:1/blob?${query}`;
      case 'storage-unresolvable':
        return `https://${user}:${secrets.password}@storage.invalid/blob?${query}`;
      case 'storage-malformed-url':
        return `http://[::::/blob?${query}`;
      case 'storage-downgrade':
        return `ftp://127.0.0.1/blob?${query}`;
      default:
        return `/storage/${pathname.slice(pathname.lastIndexOf('/') + 1)}?${query}`;
    }
  }

  function storage(request: SeenRequest, response: ServerResponse): void {
    const bytes = request.url.includes(digestOf(layer)) ? layer : config;
    switch (how) {
      case 'storage-denies-in-xml':
        response
          .writeHead(403, { 'content-type': 'application/xml' })
          .end(
            `<Error><Code>SignatureDoesNotMatch</Code><Message>it does not</Message><SignatureProvided>${secrets.signature}</SignatureProvided><StringToSign>${secrets.signature}</StringToSign><CanonicalRequest>GET ${request.url}</CanonicalRequest></Error>`,
          );
        return;
      case 'storage-fails-in-text':
        response.writeHead(500, { 'content-type': 'text/plain' }).end(echo(request));
        return;
      case 'storage-redirects-on':
        response.writeHead(302, { location: `${request.url}&again=${secrets.signature}` }).end();
        return;
      case 'storage-sends-too-little':
        response.writeHead(200, { 'content-length': bytes.length });
        response.write(bytes.subarray(0, 20), () => response.destroy());
        return;
      case 'storage-sends-wrong-bytes':
        response.writeHead(200, { 'content-length': bytes.length }).end(Buffer.alloc(bytes.length, secrets.signature));
        return;
      case 'storage-hangs':
        return;
      default:
        response.writeHead(200, { 'content-length': bytes.length }).end(bytes);
    }
  }
}
