import type { DockerHostOptions } from './docker-host.js';
import type { DockerLike } from './docker-like.js';

/**
 * A dockerode that is loaded when it is first used: with its tunnels it takes longer to load than all the rest of this
 * library, which is also used without any daemon.
 */
export function lazyDocker(options: DockerHostOptions): DockerLike {
  let opening: Promise<DockerLike> | null = null;
  return {
    modem: {
      dial: (dialled, callback) => {
        opening ??= openDocker(options);
        opening.then((docker) => docker.modem.dial(dialled, callback)).catch(callback);
      },
    },
  };
}

async function openDocker(options: DockerHostOptions): Promise<DockerLike> {
  const { default: Docker } = await import('dockerode');
  // Its own declarations know neither an agent nor that an absent key is not the same as an undefined one.
  return new Docker(options as object);
}
