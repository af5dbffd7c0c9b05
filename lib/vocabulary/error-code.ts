/** Every code a `PullFailoverError` can carry; new ones are added, none changes its meaning. */
export type ErrorCode =
  | 'ERR_OPTION_INVALID'
  | 'ERR_REFERENCE_INVALID'
  | 'ERR_NOT_CONFIGURED'
  | 'ERR_IMAGE_UNSUPPORTED'
  | 'ERR_IMAGE_REFUSED'
  | 'ERR_IMAGE_NOT_CACHED'
  | 'ERR_PULL_EXHAUSTED'
  | 'ERR_PULL_DEADLINE'
  | 'ERR_ENGINE_FAILED'
  | 'ERR_HOST_FAULT'
  | 'ERR_REPLICA_DIVERGED'
  | 'ERR_PARK_CANCELLED'
  | 'ERR_PULLER_CLOSED';
