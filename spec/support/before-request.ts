import type { DialOptions, DockerLike } from '../../lib/engine/docker/docker-like.js';

/** The same dockerode, but when this request is about to be sent for the first time, something happens before. */
export function beforeRequest({ modem }: DockerLike, path: RegExp, happens: () => Promise<void>): DockerLike {
  let isOver = false;
  return {
    modem: Object.assign(Object.create(modem) as DockerLike['modem'], {
      dial: (options: DialOptions, done: (error: unknown, answer?: unknown) => void) => {
        if (isOver || !path.test(options.path)) {
          modem.dial(options, done);
          return;
        }
        isOver = true;
        void happens().then(() => modem.dial(options, done));
      },
    }),
  };
}
