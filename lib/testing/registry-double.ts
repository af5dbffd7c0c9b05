import type { IncomingMessage } from 'node:http';
import { openOptionBag } from '../policy/option-bag.js';
import type { Digest } from '../vocabulary/digest.js';
import { type Answer, errorAnswer, jsonAnswer, storageErrorAnswer } from './answer.js';
import type { ByteRange } from './byte-range.js';
import {
  type Arrival,
  type FaultServer,
  faultServerKeys,
  type FaultServerKit,
  type FaultServerOptions,
  startFaultServer,
} from './fault-server.js';
import { blobAnswer, documentAnswer, violationAnswer } from './registry-answers.js';
import { createGate, type RegistryAuth, type RegistryGate } from './registry-auth.js';
import { createRegistryContent, type RegistryContent } from './registry-content.js';
import { type RequestTarget, tokenPath } from './request-target.js';
import { type Violation, type ViolationRule, violationOf } from './strictness.js';
import type { TestImage } from './test-image.js';

/** What a registry double is started with. */
export interface RegistryDoubleOptions extends FaultServerOptions {
  /** By name: `{ 'aptible/redis:3.0': seededImage() }`. */
  readonly images?: Readonly<Record<string, TestImage>>;
  /** Default: everybody is let in, and sending credentials is a violation. */
  readonly auth?: RegistryAuth;
  /** `false` answers requests that only this double minds, and writes them down all the same; default true. */
  readonly strict?: boolean;
}

/** A registry in this process, over real HTTP. */
export interface RegistryDouble extends FaultServer {
  /** What clients did that they should not have done. */
  readonly violations: readonly Violation[];
  /** @throws {InvalidOptionError} when the name is malformed */
  putImage(name: string, image: TestImage): void;
  /** Forgets this name, and what no other name of its repository needs. */
  removeImage(name: string): void;
  /** Loses a document or blob, until an image that has it is put again. */
  removeDigest(digest: Digest): void;
  /** Replaces who is let in; tokens issued so far are worth nothing any more. */
  setAuth(auth: RegistryAuth | null): void;
  /** Tokens issued so far are worth nothing any more. */
  revokeTokens(): void;
}

/** Rules that real registries do not hold clients of others to. */
const lenientRules: readonly ViolationRule[] = ['accept', 'accept-encoding', 'host'];
const maxFormBytes: number = 64 * 1024;

/**
 * Starts a registry in this process that serves the images given, and fails as the faults say.
 * It is stricter than real registries: a request that breaks a rule is refused, and listed in `violations`.
 *
 * @throws {InvalidOptionError} when an option is unknown or malformed
 */
export async function startRegistryDouble(options: RegistryDoubleOptions = {}): Promise<RegistryDouble> {
  const bag = openOptionBag('', options, [...faultServerKeys, 'images', 'auth', 'strict']);
  const strict = bag.boolean('strict') ?? true;
  const violations: Violation[] = [];
  const content = createRegistryContent();
  const { images = {}, auth: firstAuth = null, strict: _strict, ...serverOptions } = options;
  for (const [name, image] of Object.entries(images)) content.put(name, image);

  let auth: RegistryAuth | null = firstAuth;
  let gate: RegistryGate | undefined;

  const server = await startFaultServer(serverOptions, (kit) => {
    const openGate = (): RegistryGate =>
      (gate ??= createGate(auth, kit.registry.host, `${kit.registry.url}${tokenPath}`));

    async function refused(arrival: Arrival): Promise<boolean> {
      const { servable, request, target, grant } = arrival;
      const { place, method, open } = servable;
      const { host } = place === 'storage' ? kit.storage : kit.registry;
      const broken =
        grant === 'signature'
          ? ({ rule: 'signature', detail: 'not a URL that this storage was asked to sign' } as const)
          : violationOf({
              method,
              headers: request.headers,
              place,
              target,
              hosts: [host, host.replace(/^.*:/, 'localhost:')],
              authKind: auth?.kind ?? 'none',
            });
      if (broken === null) return false;
      violations.push({ ...broken, request: open.logged });
      if (!strict && lenientRules.includes(broken.rule)) return false;
      await arrival.turnAway(violationAnswer(place, broken.rule, broken.detail, target));
      return true;
    }

    /** Answered 416 as everywhere, but a client that knows the size has no reason to ask. */
    function noteUnsatisfiable({ servable, target, grant }: Arrival): void {
      const { range, repository, open } = servable;
      const digest =
        grant !== null && typeof grant === 'object' ? grant.digest : 'digest' in target ? target.digest : null;
      const blob = range === null || repository === null || digest === null ? null : content.blob(repository, digest);
      if (range === null || blob === null || range.start < blob.sizeBytes) return;
      violations.push({ rule: 'range', detail: `byte ${range.start} of ${blob.sizeBytes}`, request: open.logged });
    }

    return async (arrival) => {
      const { servable, request, target } = arrival;
      if (await refused(arrival)) return;
      noteUnsatisfiable(arrival);
      if (servable.place === 'storage') {
        await answerFromStorage(arrival, content);
        return;
      }
      const { authorization } = request.headers;
      if (target.kind === 'token') {
        const form = new URLSearchParams(servable.method === 'POST' ? await readForm(request) : '');
        const url = new URL(servable.target, kit.registry.url);
        await arrival.serve({
          answer: () => openGate().issue(servable.method, url, authorization, form),
          expiredRedirect: () => null,
        });
        return;
      }
      const admission = openGate().admit(authorization, servable.repository);
      if (admission.kind === 'refused') await arrival.turnAway(admission.answer);
      else await answerFromRegistry(arrival, content, kit);
    };
  });

  // Assigned, not spread: a spread would freeze the server's counters at what they are now.
  return Object.assign(server, {
    violations,
    putImage: content.put,
    removeImage: content.remove,
    removeDigest: content.lose,
    setAuth: (next: RegistryAuth | null) => {
      auth = next;
      gate = undefined;
    },
    revokeTokens: () => gate?.revokeTokens(),
  });
}

async function answerFromStorage(arrival: Arrival, content: RegistryContent): Promise<void> {
  const { grant } = arrival;
  if (grant === null || typeof grant === 'string') {
    await arrival.turnAway(storageErrorAnswer(403, 'AccessDenied', 'Request has expired'));
    return;
  }
  await arrival.serve({
    answer: (range) => {
      const blob = content.blob(grant.repository, grant.digest);
      return blob === null
        ? storageErrorAnswer(404, 'NoSuchKey', 'The specified key does not exist.')
        : blobAnswer(blob, range, 'storage');
    },
    expiredRedirect: () => null,
  });
}

async function answerFromRegistry(arrival: Arrival, content: RegistryContent, kit: FaultServerKit): Promise<void> {
  const { servable, request, target } = arrival;
  const redirect = (expired: boolean): Answer | null => {
    if (target.kind !== 'blob' || target.digest === null || servable.method !== 'GET') return null;
    const { repository, digest } = target;
    if (content.blob(repository, digest) === null || (expired && kit.wasRefused(repository, digest))) return null;
    return kit.redirect({ repository, digest, authorization: undefined }, expired);
  };
  await arrival.serve({
    answer: (range) =>
      (kit.redirectsBlobs ? redirect(false) : null) ?? trueAnswer(target, range, request.headers.accept, content),
    expiredRedirect: () => redirect(true),
  });
}

function trueAnswer(
  target: RequestTarget,
  range: ByteRange | null,
  accept: string | undefined,
  content: RegistryContent,
): Answer {
  switch (target.kind) {
    case 'ping':
      return jsonAnswer(200, {}, { 'docker-distribution-api-version': 'registry/2.0' });
    case 'catalog':
      return jsonAnswer(200, { repositories: content.repositories });
    case 'tags':
      return content.hasRepository(target.repository)
        ? jsonAnswer(200, { name: target.repository, tags: content.tags(target.repository) })
        : errorAnswer(404, 'NAME_UNKNOWN', 'repository name not known to registry');
    case 'manifest': {
      const document = content.document(target.repository, target.reference);
      return document === null || !isAccepted(document.mediaType, accept)
        ? errorAnswer(404, 'MANIFEST_UNKNOWN', 'manifest unknown')
        : documentAnswer(document);
    }
    case 'blob': {
      const blob = target.digest === null ? null : content.blob(target.repository, target.digest);
      return blob === null
        ? errorAnswer(404, 'BLOB_UNKNOWN', 'blob unknown to registry')
        : blobAnswer(blob, range, 'registry');
    }
    case 'token':
    case 'unknown':
      return errorAnswer(404, 'UNSUPPORTED', 'no such path');
  }
}

/** As registries read it: a manifest is only sent to who can read its type. */
function isAccepted(mediaType: string, accept: string | undefined): boolean {
  const accepted = (accept ?? '*/*').split(',').map((part) => part.split(';')[0]?.trim());
  return accepted.includes(mediaType) || accepted.includes('*/*');
}

async function readForm(request: IncomingMessage): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
    if (bytes > maxFormBytes) throw new RangeError(`a token request of over ${maxFormBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
