import type { Platform } from '../image/platform.js';
import type { Reference } from '../image/reference.js';
import type { CredentialSource } from '../registries/credentials.js';
import type { Comeback } from '../routes/comeback.js';
import type { PullEngine } from './pull-engine.js';
import type { ResolvedPolicy } from './pull-policy.js';

/** One pull, with everything decided that can be before a registry is asked. */
export interface PullJob {
  readonly reference: Reference;
  readonly platform: Platform;
  readonly engine: PullEngine;
  readonly comeback: Comeback;
  readonly policy: ResolvedPolicy;
  /** Credentials given for this pull; they go to the image's own registry only. */
  readonly credentials: CredentialSource | null;
  /** Tells credentials apart without telling them: `default` for the puller's own. */
  readonly credentialIdentity: string;
}
