import { ManifestError } from './manifest-error.js';
import { parseJsonObject, type JsonObject } from './json-object.js';
import type { Platform } from './platform-normal.js';

const maxOsFeatures = 64;
const maxFeatureLength = 255;

/**
 * Reads a platform as given. One that says nothing is null, as if it were not there: Go programs that know no platform
 * write one of empty strings.
 *
 * @throws ManifestError `malformed`
 */
export function readPlatform(from: JsonObject): Platform | null {
  const os = from.word('os') ?? '';
  const architecture = from.word('architecture') ?? '';
  const variant = from.word('variant') ?? '';
  const osVersion = from.word('os.version') ?? '';
  const osFeatures = from.texts('os.features', maxOsFeatures, maxFeatureLength) ?? [];
  if (os === '' && architecture === '' && variant === '' && osVersion === '') return null;
  return {
    os,
    architecture,
    ...(variant === '' ? {} : { variant }),
    ...(osVersion === '' ? {} : { osVersion }),
    ...(osFeatures.length === 0 ? {} : { osFeatures }),
  };
}

/**
 * Returns the platform an image's config names, or null where it names none or is no image's config. It decides for
 * an index entry without a platform, once it was chosen for want of a better one.
 *
 * @see https://github.com/containerd/containerd/blob/320e644426510fe20559d31d2f7c78a380b1b62a/core/images/image.go#L171-L179
 */
export function readConfigPlatform(config: Uint8Array): Platform | null {
  try {
    return readPlatform(parseJsonObject(config));
  } catch (error) {
    if (error instanceof ManifestError) return null;
    throw error;
  }
}
