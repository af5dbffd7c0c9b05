import { isPullExhaustedError } from '../../errors/pull-exhausted-error.js';
import { ReplicaDivergedError } from '../../errors/replica-diverged-error.js';
import { isUnsupportedImageError } from '../../errors/unsupported-image-error.js';
import { formatPlatform, type Platform } from '../../image/platform.js';
import type { Reference } from '../../image/reference.js';
import type { Digest } from '../../vocabulary/digest.js';
import type { Resolution } from '../../vocabulary/report.js';
import type { FetchedManifest } from './ask-manifest.js';
import type { Candidate } from '../candidate.js';
import type { HeartContext } from '../context.js';
import { fetchManifest } from './fetch-manifest.js';
import { loadImageTree, type ImageTree, type LocalDocuments } from './image-tree.js';
import { readVerifiedDocument } from './verified-document.js';

/** What is known of a tag, or of an image named by digest, from earlier pulls. */
export interface RememberedImage {
  readonly digest: Digest;
  /** The config's digest per platform: what a repackaged copy of the same image has in common with it. */
  readonly configs: Readonly<Record<string, Digest>>;
}

/** Digests that outlive this process. */
export interface DigestMemory {
  recall(image: string): Promise<RememberedImage | null>;
  remember(image: string, found: RememberedImage & { readonly registry: string }): Promise<void>;
}

/** What the host allows a replica to say. */
export interface ReplicaPolicy {
  /** A replica's answer differs from what is remembered. */
  readonly onDivergence: 'remembered' | 'replica' | 'fail';
  /** A replica answered, and nothing is remembered. */
  readonly onUnverified: 'accept' | 'fail';
}

/** What to resolve, and by which rules. */
export interface ResolveRequest {
  readonly reference: Reference;
  readonly platform: Platform;
  readonly policy: ReplicaPolicy;
  readonly memory: DigestMemory;
  readonly local: LocalDocuments;
}

/** An image whose every part is known by digest. */
export interface ResolvedImage {
  readonly tree: ImageTree;
  /** Whose tag it is, by prefix; null when no tag was asked for. */
  readonly resolvedBy: string | null;
  readonly resolution: Resolution;
}

/**
 * Turns a name into digests, once: a tag is resolved by the first candidate allowed to that answers, everything below
 * it is asked for by digest. When the digest that holds cannot be had from anyone, another packing of the same image
 * will do.
 *
 * @throws PullExhaustedError, ReplicaDivergedError, UnsupportedImageError, or the signal's own reason
 */
export async function resolveImage(context: HeartContext, request: ResolveRequest): Promise<ResolvedImage> {
  const { reference, memory, platform } = request;
  const remembered = await memory.recall(context.image);
  if (reference.digest !== null) {
    const root = await rootOf(context, request, reference.digest);
    const tree = await loadImageTree(context, root, platform, request.local);
    // An engine may keep the image without the digest: by its config it is known again.
    await remember(context, request, { tree, remembered, registry: root.candidate.registry });
    return { tree, resolvedBy: null, resolution: 'digest-given' };
  }
  const answer = await resolveTag(context, request, remembered);
  const resolvedBy = answer.kind === 'answered' ? answer.root.candidate.registry : null;
  let tree: ImageTree;
  try {
    tree =
      answer.kind === 'answered'
        ? await loadImageTree(context, answer.root, platform, request.local)
        : await loadImageTree(context, await rootOf(context, request, answer.digest), platform, request.local);
  } catch (error) {
    if (!isPullExhaustedError(error)) throw error;
    const digest = answer.kind === 'answered' ? answer.root.digest : answer.digest;
    const config = remembered?.digest === digest ? (remembered.configs[formatPlatform(platform)] ?? null) : null;
    const other = await findOtherPacking(context, request, { digest, config, resolvedBy });
    if (other === null) throw error;
    return other;
  }
  if (answer.resolution === 'first-registry') {
    await remember(context, request, { tree, remembered, registry: answer.root.candidate.registry });
  }
  return { tree, resolvedBy, resolution: answer.resolution };
}

interface Learnt {
  readonly tree: ImageTree;
  readonly remembered: RememberedImage | null;
  /** The prefix of the registry that said it. */
  readonly registry: string;
}

async function remember(
  context: HeartContext,
  { memory, platform }: ResolveRequest,
  { tree, remembered, registry }: Learnt,
): Promise<void> {
  const { digest } = tree.root;
  const configs = remembered?.digest === digest ? remembered.configs : {};
  await memory.remember(context.image, {
    digest,
    configs: { ...configs, [formatPlatform(platform)]: tree.config.digest },
    registry,
  });
}

type TagAnswer =
  | { readonly kind: 'answered'; readonly root: FetchedManifest; readonly resolution: 'first-registry' }
  | { readonly kind: 'answered'; readonly root: FetchedManifest; readonly resolution: Resolution }
  | { readonly kind: 'remembered'; readonly digest: Digest; readonly resolution: 'remembered' };

async function resolveTag(
  context: HeartContext,
  request: ResolveRequest,
  remembered: RememberedImage | null,
): Promise<TagAnswer> {
  let root: FetchedManifest;
  try {
    root = await fetchManifest(context, { tag: tagOf(request.reference) }, (candidate) => candidate.resolves);
  } catch (error) {
    // Nobody knows the tag now; what it was the last time may still be had by digest.
    if (!isPullExhaustedError(error) || remembered === null) throw error;
    return { kind: 'remembered', digest: remembered.digest, resolution: 'remembered' };
  }
  if (root.candidate.isAuthority) return { kind: 'answered', root, resolution: 'first-registry' };

  const resolution = await judgeReplica(context, request, root, remembered);
  context.observer.tagResolvedByReplica(root.candidate.registry, root.digest, resolution);
  return resolution === 'remembered' && remembered !== null
    ? { kind: 'remembered', digest: remembered.digest, resolution }
    : { kind: 'answered', root, resolution };
}

/** Decides what a replica's answer is worth. @throws ReplicaDivergedError when the host allows it nothing */
async function judgeReplica(
  context: HeartContext,
  request: ResolveRequest,
  root: FetchedManifest,
  remembered: RememberedImage | null,
): Promise<Resolution> {
  const { registry } = root.candidate;
  if (remembered === null) {
    if (request.policy.onUnverified === 'accept') return 'replica-unverified';
    throw new ReplicaDivergedError(context.image, registry, root.digest, null);
  }
  if (remembered.digest === root.digest) return 'replica-confirmed';
  const config = remembered.configs[formatPlatform(request.platform)];
  if (config !== undefined && (await configOf(context, request, root)) === config) {
    // Only packed differently: not another image. The remembered packing is tried first.
    return 'remembered';
  }
  const { onDivergence } = request.policy;
  const used = onDivergence === 'fail' ? 'none' : onDivergence;
  context.observer.replicaDiverged(registry, root.digest, remembered.digest, used);
  switch (onDivergence) {
    case 'remembered':
      return 'remembered';
    case 'replica':
      return 'replica-diverged';
    case 'fail':
      throw new ReplicaDivergedError(context.image, registry, root.digest, remembered.digest);
  }
}

async function configOf(context: HeartContext, request: ResolveRequest, root: FetchedManifest): Promise<Digest | null> {
  const tree = await unlessUseless(context, () => loadImageTree(context, root, request.platform, request.local));
  return tree?.config.digest ?? null;
}

async function rootOf(context: HeartContext, request: ResolveRequest, digest: Digest): Promise<FetchedManifest> {
  const bytes = await request.local(digest, Infinity);
  const [candidate] = context.sources.candidates;
  if (bytes === null || candidate === undefined) return fetchManifest(context, { digest });
  return { digest, bytes, document: readVerifiedDocument(context.image, bytes, null), candidate };
}

/** What cannot be had whole from anyone. */
export interface UnobtainableImage {
  readonly digest: Digest;
  /** The digest of its config, when known: it tells the same image in another packing. */
  readonly config: Digest | null;
  /** Whose tag led to it, by prefix: that one need not be asked again. */
  readonly resolvedBy: string | null;
}

/**
 * Looks under the same tag at the other candidates, one after another, for the same image packed differently
 * (a copy made by pulling and pushing has another manifest and other layers, but the same config), or for whatever
 * they have when the host allows it.
 */
export async function findOtherPacking(
  context: HeartContext,
  request: ResolveRequest,
  missing: UnobtainableImage,
): Promise<ResolvedImage | null> {
  if (request.reference.digest !== null) return null;
  const tag = tagOf(request.reference);
  for (const candidate of context.sources.order('metadata')) {
    if (!candidate.resolves || candidate.registry === missing.resolvedBy) continue;
    const tree = await treeAt(context, request, tag, candidate);
    if (tree === null || tree.root.digest === missing.digest) continue;
    if (tree.config.digest === missing.config) {
      context.observer.replicaRepackaged(candidate.registry, tree.root.digest, missing.digest, tree.config.digest);
      return { tree, resolvedBy: candidate.registry, resolution: 'replica-confirmed' };
    }
    if (request.policy.onDivergence === 'replica') {
      context.observer.replicaDiverged(candidate.registry, tree.root.digest, missing.digest, 'replica');
      return { tree, resolvedBy: candidate.registry, resolution: 'replica-diverged' };
    }
    context.observer.replicaDiverged(candidate.registry, tree.root.digest, missing.digest, 'none');
  }
  return null;
}

function treeAt(
  context: HeartContext,
  request: ResolveRequest,
  tag: string,
  candidate: Candidate,
): Promise<ImageTree | null> {
  return unlessUseless(context, async () => {
    const root = await fetchManifest(context, { tag }, (other) => other === candidate);
    return loadImageTree(context, root, request.platform, request.local);
  });
}

/** What one replica has under a tag; null when that cannot be had, or is nothing that runs here. It is not the image wanted. */
async function unlessUseless(context: HeartContext, load: () => Promise<ImageTree>): Promise<ImageTree | null> {
  try {
    return await load();
  } catch (error) {
    if (context.signal.aborted) throw context.signal.reason;
    if (isPullExhaustedError(error) || isUnsupportedImageError(error)) return null;
    throw error;
  }
}

function tagOf(reference: Reference): string {
  return reference.tag ?? 'latest';
}
