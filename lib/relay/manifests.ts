import type { ServerResponse } from 'node:http';
import type { TreeDocument } from '../failover/manifest/image-tree.js';
import type { Digest } from '../vocabulary/digest.js';
import { manifestUnknown, refuse } from './refusal.js';
import type { ServedImages } from './served-images.js';

/** A manifest or index that was asked for. */
export interface ManifestQuestion {
  readonly repository: string;
  readonly tag?: string;
  readonly digest?: Digest;
}

/** Answers GET and HEAD for a document: the very bytes that were published, of the images served in this repository. */
export async function answerManifest(
  images: ServedImages,
  { repository, tag, digest }: ManifestQuestion,
  response: ServerResponse,
): Promise<void> {
  const served = images.inRepository(repository);
  for (const live of served) live.touch();
  // The same tag may have been asked for twice, and have moved in between: the newest is what is wanted.
  const tagged = served.findLast(({ image }) => image.tag === tag);
  const found =
    digest === undefined ? (tagged?.image.tree.root ?? null) : await findDocument(images, repository, digest);
  if (found === null) {
    refuse(response, manifestUnknown);
    return;
  }
  response.writeHead(200, {
    'Content-Type': found.mediaType,
    'Content-Length': found.bytes.length,
    'Docker-Content-Digest': found.digest,
  });
  response.end(found.bytes);
}

async function findDocument(images: ServedImages, repository: string, digest: Digest): Promise<TreeDocument | null> {
  for (const live of images.inRepository(repository)) {
    const found = await live.document(digest);
    if (found !== null) return found;
  }
  return null;
}
