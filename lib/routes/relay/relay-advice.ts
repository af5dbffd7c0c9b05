import { existsSync } from 'node:fs';
import type { DockerEngineParts } from '../../engine/docker/docker-engine.js';
import { hostOf, isLoopback } from './relay-address.js';

/** Files that Docker and Podman put into every container. */
const containerMarks = ['/.dockerenv', '/run/.containerenv'];

/** Whether this process runs in a container, as far as it can tell. */
export function isInContainer(): boolean {
  return containerMarks.some((file) => existsSync(file)) || process.env['KUBERNETES_SERVICE_HOST'] !== undefined;
}

/** Why a daemon may not reach a relay. */
export interface RelayPlace {
  /** Of the daemon: `unix:///var/run/docker.sock`, `tcp://10.0.0.5:2376`. */
  readonly daemonAddress: string;
  readonly relay: DockerEngineParts['relay'];
  readonly isInContainer: boolean;
}

/** A port that is nobody's default. */
const examplePort = 5055;

/** What to do so that a daemon reaches the relay, in the words of an operator. */
export function relayAdvice({ daemonAddress, relay, isInContainer }: RelayPlace): string {
  const { advertise } = relay;
  if (isElsewhere(daemonAddress)) {
    return `the daemon is on another machine: run this process on that one, or set relay: { listen, advertise } to an address of this machine that the daemon reaches, in a network that the insecure-registries of its configuration name`;
  }
  if (advertise !== null) {
    return `the daemon has to reach the relay at ${advertise} (relay.advertise): publish the port of relay.listen there`;
  }
  if (isInContainer) {
    const port = relay.listen.port === 0 ? examplePort : relay.listen.port;
    return `this process runs in a container: publish a port of it on the loopback of the daemon's host (docker run --publish 127.0.0.1:${port}:${port}) and set relay: { listen: '0.0.0.0:${port}', advertise: '127.0.0.1:${port}' }`;
  }
  return `the daemon has another loopback than this process (a virtual machine, a network namespace): run this process beside it, or set relay: { listen, advertise } to an address that the daemon reaches and that the insecure-registries of its configuration name`;
}

function isElsewhere(daemonAddress: string): boolean {
  const authority = /^(?:tcp|https?|ssh):\/\/(?:[^/@]*@)?([^/]+)/.exec(daemonAddress)?.[1];
  return authority !== undefined && !isLoopback(hostOf(authority));
}
