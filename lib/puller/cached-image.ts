import type { OciLayout } from '../engine/oci-layout.js';
import { maxManifestBytes, parseManifest, type Descriptor } from '../image/manifest.js';
import { choosePlatform, formatPlatform, runsOn, type Platform } from '../image/platform.js';
import { readConfigPlatform } from '../image/read-platform.js';
import type { Digest } from '../vocabulary/digest.js';

/** An image that an engine has whole. */
export interface CachedImage {
  readonly digest: Digest;
  readonly manifestDigest: Digest;
  readonly config: Descriptor;
  readonly platform: string;
  /** Of all its manifests and blobs. */
  readonly bytes: number;
}

/** A config is read to learn the platform; one larger than this is nobody's. */
const maxConfigBytes = 4 * 1024 * 1024;

/** Finds the image that a layout has under a name, when it is there whole, for this platform. */
export async function findCachedImage(
  layout: OciLayout,
  name: string,
  platform: Platform,
): Promise<CachedImage | null> {
  const root = await layout.findImage(name);
  if (root === null) return null;
  let descriptor: Descriptor = root;
  let bytes = 0;
  for (;;) {
    const content = await layout.readBlob(descriptor.digest, maxManifestBytes);
    if (content === null) return null;
    bytes += content.length;
    const document = parseManifest(content, descriptor.mediaType);
    if (document.kind === 'index') {
      const child = choosePlatform(document.manifests, platform);
      if (child === null) return null;
      descriptor = child;
      continue;
    }
    const blobs = new Map([document.config, ...document.layers].map((blob) => [blob.digest, blob]));
    for (const blob of blobs.values()) {
      if (!(await layout.hasBlob(blob))) return null;
      bytes += blob.size;
    }
    const own = await platformOfConfig(layout, document.config);
    if (own !== null && !runsOn(platform, own)) return null;
    return {
      digest: root.digest,
      manifestDigest: descriptor.digest,
      config: document.config,
      platform: formatPlatform(own ?? platform),
      bytes,
    };
  }
}

/** What the config in the layout says it runs on; null when it says nothing, as for artifacts. */
export async function platformOfConfig(layout: OciLayout, config: Descriptor): Promise<Platform | null> {
  const bytes = await layout.readBlob(config.digest, maxConfigBytes);
  if (bytes === null) return null;
  return readConfigPlatform(bytes);
}
