import { InvalidOptionError } from '../errors/invalid-option-error.js';
import { parseDigest } from '../image/digest.js';
import type { Digest } from '../vocabulary/digest.js';
import { isRepositoryName, isTag } from './request-target.js';
import type { TestBlob, TestDocument, TestImage } from './test-image.js';

/** What a registry double holds; every change holds from the next request on. */
export interface RegistryContent {
  /** @throws {InvalidOptionError} when the name is not `path[:tag]` or `path@digest` */
  put(name: string, image: TestImage): void;
  /** Forgets this name, and what no other name of its repository needs. */
  remove(name: string): void;
  /** Loses one document or blob, in every repository. */
  lose(digest: Digest): void;
  /** By tag or digest. */
  document(repository: string, reference: string): TestDocument | null;
  blob(repository: string, digest: Digest): TestBlob | null;
  hasRepository(repository: string): boolean;
  tags(repository: string): readonly string[];
  readonly repositories: readonly string[];
}

interface Repository {
  readonly images: Map<string, TestImage>;
  documents: ReadonlyMap<string, TestDocument>;
  blobs: ReadonlyMap<string, TestBlob>;
}

export function createRegistryContent(): RegistryContent {
  const repositories = new Map<string, Repository>();
  const lost = new Set<Digest>();

  function reindex(repository: Repository): void {
    const images = [...repository.images.values()];
    repository.documents = new Map(images.flatMap(({ documents }) => documents.map((found) => [found.digest, found])));
    repository.blobs = new Map(images.flatMap(({ blobs }) => blobs.map((found) => [found.digest, found])));
  }

  return {
    put: (name, image) => {
      const { path, reference } = splitName(name);
      const repository = repositories.get(path) ?? { images: new Map(), documents: new Map(), blobs: new Map() };
      repositories.set(path, repository);
      repository.images.set(reference, image);
      reindex(repository);
      for (const { digest } of [...image.documents, ...image.blobs]) lost.delete(digest);
    },
    remove: (name) => {
      const { path, reference } = splitName(name);
      const repository = repositories.get(path);
      if (repository === undefined) return;
      repository.images.delete(reference);
      reindex(repository);
      if (repository.images.size === 0) repositories.delete(path);
    },
    lose: (digest) => {
      lost.add(digest);
    },
    document: (path, reference) => {
      const repository = repositories.get(path);
      const found = repository?.documents.get(reference) ?? repository?.images.get(reference)?.top;
      return found === undefined || lost.has(found.digest) ? null : found;
    },
    blob: (path, digest) => {
      const found = repositories.get(path)?.blobs.get(digest);
      return found === undefined || lost.has(digest) ? null : found;
    },
    hasRepository: (path) => repositories.has(path),
    tags: (path) => [...(repositories.get(path)?.images.keys() ?? [])].filter(isTag).toSorted(),
    get repositories() {
      return [...repositories.keys()].toSorted();
    },
  };
}

/** `path`, `path:tag` or `path@digest`; without either the tag is `latest`. */
export function splitName(name: string): { readonly path: string; readonly reference: string } {
  const match = /^([^:@]+)(?::([^:@]+)|@(.+))?$/.exec(name);
  const path = match?.[1] ?? '';
  const reference = match?.[3] ?? match?.[2] ?? 'latest';
  const isReference = match?.[3] === undefined ? isTag(reference) : parseDigest(reference) !== null;
  if (!isRepositoryName(path) || !isReference) {
    throw new InvalidOptionError('images', `must be named path[:tag] or path@digest, got ${JSON.stringify(name)}`);
  }
  return { path, reference };
}
