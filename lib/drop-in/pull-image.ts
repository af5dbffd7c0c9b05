import type { Readable } from 'node:stream';
import type { DockerEngine } from '../engine/docker/docker-engine.js';
import { isPullFailoverError } from '../errors/pull-failover-error.js';
import type { Reference } from '../image/reference.js';
import { deriveAbort } from '../policy/deadline.js';
import type { Puller } from '../puller/puller.js';
import { redactText } from '../vocabulary/redact.js';
import { credentialsFor } from './auth-config.js';
import { abortError, asDockerFailure } from './docker-failure.js';
import { nameByDigest } from './digest-name.js';
import type { ImageCall } from './image-call.js';
import { PullLines } from './pull-lines.js';
import type { PullListeners } from './pull-listeners.js';
import { PullStream } from './pull-stream.js';

/** Through what images are pulled. */
export interface PullThrough {
  readonly puller: Puller;
  readonly engine: DockerEngine;
  readonly listeners: PullListeners;
}

/**
 * Pulls an image as `POST /images/create` does: resolves with the stream of its progress as soon as the image is known,
 * rejects when it fails before that; what fails later is the last line of the stream. Destroying the stream ends the pull.
 */
export function pullImage(
  { puller, engine, listeners }: PullThrough,
  { platform, authConfig, abortSignal }: ImageCall,
  reference: Reference,
): Promise<Readable> {
  return new Promise((resolve, reject) => {
    if (abortSignal?.aborted === true) {
      reject(abortError(abortSignal.reason));
      return;
    }
    const ending = deriveAbort(abortSignal ?? undefined);
    const stream = new PullStream(() => ending.abort(new Error('The stream of this pull was destroyed')));
    const lines = new PullLines(reference, (line, key) => stream.tell(line, key));
    const stopListening = listeners.expect({
      image: reference.canonical,
      engine: engine.id,
      hear: (event) => {
        lines.hear(event);
        if (lines.hasBegun) resolve(stream);
      },
    });
    const credentials = credentialsFor(reference, authConfig);
    const { signal } = ending;
    const work = async (): Promise<void> => {
      const report = await puller.pullWithFailover(reference.canonical, {
        engine,
        signal,
        ...(platform === '' ? {} : { platform }),
        ...(credentials === null ? {} : { credentials }),
      });
      const warning =
        reference.digest === null
          ? null
          : await nameByDigest({ puller, engine, reference, report, credentials, signal });
      lines.succeed(report, warning);
      stream.finish();
      resolve(stream);
    };
    work()
      .catch((error: unknown) => {
        const failure = abortSignal?.aborted === true ? abortError(abortSignal.reason) : asDockerFailure(error);
        if (!lines.hasBegun) {
          reject(failure);
          return;
        }
        if (isPullFailoverError(failure)) {
          lines.fail(failure.message);
          stream.finish();
        } else {
          stream.destroy(asError(failure));
        }
      })
      .finally(() => {
        stopListening();
        ending[Symbol.dispose]();
      });
  });
}

function asError(failure: unknown): Error {
  return failure instanceof Error ? failure : new Error(redactText(String(failure)));
}
