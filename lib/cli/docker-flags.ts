import { Option, type Command } from 'commander';
import type Dockerode from 'dockerode';
import { dockerEngine, type DockerEngine, type DockerEngineOptions } from '../engine/docker/docker-engine.js';
import { findDockerHost, type DockerHost } from '../engine/docker/docker-host.js';
import { isInvalidOptionError } from '../errors/invalid-option-error.js';
import { UsageError } from './exit-code.js';

/** Which Docker engine is meant, and how images get there, as far as the command line says. */
export interface DockerFlags {
  readonly dockerHost?: string;
  readonly route?: NonNullable<DockerEngineOptions['route']>;
  readonly relayListen?: string;
  readonly relayAdvertise?: string;
}

/** The flags of `DockerFlags`, by what a person types. */
export const dockerFlagNames: Readonly<Record<keyof DockerFlags, string>> = {
  dockerHost: '--docker-host',
  route: '--route',
  relayListen: '--relay-listen',
  relayAdvertise: '--relay-advertise',
};

/** Adds the flag of commands that use an engine. */
export function addDockerHostFlag(command: Command): Command {
  return command.option(
    '--docker-host <address>',
    'the engine, such as unix:///run/podman/podman.sock (as docker finds it: DOCKER_HOST, the context in use)',
  );
}

/** Adds the flags that say how images get into an engine. */
export function addRouteFlags(command: Command): Command {
  return command
    .addOption(
      new Option('--route <route>', 'how bytes get into the engine (auto)').choices([
        'auto',
        'relay',
        'load',
        'direct',
      ] satisfies readonly DockerFlags['route'][]),
    )
    .option('--relay-listen <host:port>', 'where the relay listens, for an engine elsewhere (127.0.0.1, a free port)')
    .option('--relay-advertise <host:port>', 'the relay as the engine sees it (where it listens)');
}

/** A dockerode for the engine that is meant. @throws UsageError, InvalidOptionError when it cannot be used as it is said */
export async function openDocker({ dockerHost }: DockerFlags, env: NodeJS.ProcessEnv): Promise<Dockerode> {
  const { options } = dockerHost === undefined ? findDockerHost({ env }) : hostOf(dockerHost, env);
  const { default: Docker } = await import('dockerode');
  // Its own declarations do not know that a key without a value keeps it from looking into the environment.
  return new Docker(options as object);
}

function hostOf(dockerHost: string, env: NodeJS.ProcessEnv): DockerHost {
  try {
    return findDockerHost({ env: { ...env, DOCKER_HOST: dockerHost } });
  } catch (error) {
    if (!isInvalidOptionError(error)) throw error;
    throw new UsageError(error.message.replace('Option DOCKER_HOST', dockerFlagNames.dockerHost));
  }
}

/** The engine that is meant. @throws InvalidOptionError */
export async function openEngine(flags: DockerFlags, env: NodeJS.ProcessEnv): Promise<DockerEngine> {
  const { route, relayListen, relayAdvertise } = flags;
  return dockerEngine(await openDocker(flags, env), {
    ...(route === undefined ? {} : { route }),
    relay: {
      ...(relayListen === undefined ? {} : { listen: relayListen }),
      ...(relayAdvertise === undefined ? {} : { advertise: relayAdvertise }),
    },
  });
}
