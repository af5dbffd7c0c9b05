import { dockerEngine, type DockerEngine, type DockerEngineOptions } from '../engine/docker/docker-engine.js';
import type { DockerLike } from '../engine/docker/docker-like.js';
import { InvalidOptionError } from '../errors/invalid-option-error.js';
import { createPuller } from '../puller/create-puller.js';
import type { PullerOptions } from '../puller/options.js';
import type { Puller } from '../puller/puller.js';
import { asDockerFailure } from './docker-failure.js';
import { readCreateImageCall, readPullCall, referenceOf, type ImageCall } from './image-call.js';
import { pullImage, type PullThrough } from './pull-image.js';
import { PullListeners } from './pull-listeners.js';

/** What a dockerode is given failover with: a puller's options, or the puller itself where it serves several engines. */
export type PullFailoverOptions = (Omit<PullerOptions, 'engine'> | { readonly puller: Puller }) & {
  /** How images are brought into this Docker. */
  readonly engine?: DockerEngineOptions;
};

/**
 * Returns the same dockerode, whose `pull()` and `createImage({ fromImage })` go through failover; promise, callback and
 * stream forms, `followProgress` and in-band errors are dockerode's. Everything else is the given object's own.
 *
 * - The promise settles when the image is known, or cannot be had; such a failure is the `PullFailoverError` itself, with
 *   the `statusCode` a daemon would have answered with.
 * - What fails later is the last line, `{ error, errorDetail }`. Destroying the stream, or `abortSignal`, ends the pull.
 * - `authconfig` goes to the image's own registry alone, and to none when its `serveraddress` names another one.
 * - Every tag of a repository (`createImage` without a tag) and `fromSrc` are dockerode's own, without failover; a host
 *   or a set that the options refuse is refused there too.
 *
 * `puller` is what they go through, for everything that dockerode has no words for. Unless it was given, it is this
 * object's own: end it with `await docker.puller.close()`; pulls are refused from then on, nothing else is.
 *
 * @param docker dockerode 3 to 5
 * @throws InvalidOptionError
 */
export function withPullFailover<T extends DockerLike>(
  docker: T,
  options: PullFailoverOptions = {},
): T & { readonly puller: Puller } {
  const { engine: engineOptions, ...others } = options;
  const engine = dockerEngine(docker, engineOptions);
  const puller = 'puller' in others ? givenPuller(others) : ownPuller(engine, others);
  const through: PullThrough = { puller, engine, listeners: new PullListeners(puller.events) };
  const own: Record<PropertyKey, unknown> = {
    puller,
    pull: (...args: readonly unknown[]) => answer(docker, through, 'pull', args, readPullCall(args)),
    createImage: (...args: readonly unknown[]) =>
      answer(docker, through, 'createImage', args, readCreateImageCall(args)),
  };
  return new Proxy(docker, {
    get: (target, key, receiver) => (Object.hasOwn(own, key) ? own[key] : Reflect.get(target, key, receiver)),
    has: (target, key) => Object.hasOwn(own, key) || Reflect.has(target, key),
    // A host's own test may put something else in the place of `pull`.
    set: (target, key, value) => {
      if (!Object.hasOwn(own, key)) return Reflect.set(target, key, value);
      own[key] = value;
      return true;
    },
  }) as T & { readonly puller: Puller };
}

/** A puller for one engine, which ends with it. */
function ownPuller(engine: DockerEngine, options: Omit<PullerOptions, 'engine'>): Puller {
  const puller = createPuller({ ...options, engine });
  const close: Puller['close'] = async (closeOptions) => {
    await puller.close(closeOptions);
    await engine.close();
  };
  return { ...puller, close, [Symbol.asyncDispose]: () => close() };
}

function givenPuller({ puller, ...others }: { readonly puller: Puller }): Puller {
  const [other] = Object.keys(others);
  if (other !== undefined) throw new InvalidOptionError(other, 'contradicts puller, which has options of its own');
  if (typeof puller?.pullWithFailover === 'function' && typeof puller.events?.on === 'function') return puller;
  throw new InvalidOptionError('puller', 'must be a puller, such as createPuller(…)');
}

/** Answers one call in the form in which it was made. */
function answer(
  docker: DockerLike,
  through: PullThrough,
  method: 'pull' | 'createImage',
  args: readonly unknown[],
  call: ImageCall | null,
): unknown {
  if (call === null) return callOriginal(docker, method, args);
  const { callback } = call;
  const withoutCallback = callback === null ? args : args.filter((argument) => argument !== callback);
  const pulled = pull(through, call, () => callOriginal(docker, method, withoutCallback));
  if (callback === null) return asPromiseOf(docker, pulled);
  // Whatever a callback throws is its owner's, and no rejection of a promise that nobody has.
  pulled.then(
    (stream) => process.nextTick(callback, null, stream),
    (error: unknown) => process.nextTick(callback, error),
  );
  return undefined;
}

async function pull(through: PullThrough, call: ImageCall, original: () => unknown): Promise<unknown> {
  try {
    const reference = referenceOf(call);
    if (reference !== null) return await pullImage(through, call, reference);
    // What may not be pulled by one tag may not be had by asking for all of them.
    await through.puller.explain(call.fromImage);
  } catch (error) {
    throw asDockerFailure(error);
  }
  return original();
}

function callOriginal(docker: DockerLike, method: 'pull' | 'createImage', args: readonly unknown[]): unknown {
  const found: unknown = Reflect.get(docker, method);
  if (typeof found !== 'function') throw new TypeError(`docker.${method} is not a function`);
  return Reflect.apply(found, docker, args);
}

/** A dockerode can be told whose promises to return. */
function asPromiseOf(docker: DockerLike, promise: Promise<unknown>): unknown {
  const own: unknown = Reflect.get(docker.modem, 'Promise');
  if (typeof own !== 'function' || own === Promise) return promise;
  return new (own as PromiseConstructor)((resolve, reject) => {
    promise.then(resolve, reject);
  });
}
