import type { DaemonCredentials, DaemonPull } from './docker-daemon.js';
import type { DockerRequest } from './docker-request.js';
import type { EngineProgress } from './engine-progress.js';
import type { EngineTraits } from './engine-traits.js';

/**
 * How an engine tells that a pull is over.
 *
 * - `status`: a line of its own, `Status: …`
 * - `image`: the image's id in its last line
 */
export type PullEnd = 'status' | 'image';

/** A pull in the words of one engine. */
export interface PullDialect {
  readonly request: DockerRequest;
  readonly end: PullEnd;
  /** What to inspect when it says that it is done. */
  readonly reference: string;
}

/** Says a pull as this engine understands it. */
export function pullDialect(pull: DaemonPull, traits: EngineTraits): PullDialect {
  const reference = `${pull.name}${pull.object.includes(':') ? '@' : ':'}${pull.object}`;
  const headers = headersOf(pull);
  if (traits.product === 'docker') {
    return { reference, end: 'status', request: createImage(pull, headers) };
  }
  return {
    reference,
    end: 'image',
    // Podman takes plain HTTP from no registry, loopback neither, unless it is told so, and only its own endpoint can be.
    request: pull.plainHttp === true ? libpodPull(pull, reference, headers) : createImage(pull, headers),
  };
}

type Headers = Readonly<Record<string, string>>;

/** @see https://github.com/moby/moby/blob/v26.1.5/api/server/router/image/image_routes.go#L31 */
function createImage({ name, object, platform }: DaemonPull, headers: Headers): DockerRequest {
  return {
    method: 'POST',
    path: '/images/create',
    query: { fromImage: name, tag: object, platform },
    headers,
    isLong: true,
  };
}

/** @see https://github.com/containers/podman/blob/v4.3.1/pkg/api/handlers/libpod/images_pull.go#L29 */
function libpodPull({ platform }: DaemonPull, reference: string, headers: Headers): DockerRequest {
  const [os = '', architecture = '', variant = ''] = platform.split('/');
  return {
    method: 'POST',
    path: '/v4.0.0/libpod/images/pull',
    isVersioned: true,
    query: {
      reference,
      tlsVerify: 'false',
      policy: 'always',
      OS: os,
      Arch: architecture,
      ...(variant === '' ? {} : { Variant: variant }),
    },
    headers,
    isLong: true,
  };
}

function headersOf({ credentials, userAgent }: DaemonPull): Headers {
  return {
    ...(credentials === null ? {} : { 'X-Registry-Auth': registryAuth(credentials) }),
    ...(userAgent === undefined ? {} : { 'User-Agent': userAgent }),
  };
}

/** In the alphabet of URLs and padded: anything else is anonymous to Docker, without a word. */
function registryAuth(credentials: DaemonCredentials): string {
  return Buffer.from(JSON.stringify(credentials), 'utf8').toString('base64').replaceAll('+', '-').replaceAll('/', '_');
}

/** Whether this line says that the image is there, in the words of Docker. */
export function isPullStatus({ status }: EngineProgress): boolean {
  return status.startsWith('Status: ');
}
