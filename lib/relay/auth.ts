import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { DaemonUser } from '../engine/docker/docker-daemon.js';

/** Who may ask a relay: the daemon that was told its secret, and nobody else on this machine. */
export interface RelayAuth {
  readonly credentials: DaemonUser;
  /** Sent with a 401. */
  readonly challenge: string;
  /** Whether an Authorization header shows the secret; takes as long for a near miss as for any other. */
  admits(authorization: string | undefined): boolean;
}

/** 256 bits: nobody guesses it. */
const secretBytes = 32;

const basic = /^basic +([A-Za-z0-9+/]+={0,2})$/i;

/** @param address of the relay; a containerd store shows the secret to no other */
export function createRelayAuth(address: string): RelayAuth {
  const credentials: DaemonUser = {
    username: 'pull-failover',
    password: randomBytes(secretBytes).toString('base64url'),
    serveraddress: address,
  };
  const expected = hashOf(Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64'));
  return {
    credentials,
    challenge: 'Basic realm="pull-failover"',
    admits: (authorization) => {
      const shown = basic.exec(authorization ?? '')?.[1];
      return shown !== undefined && timingSafeEqual(hashOf(shown), expected);
    },
  };
}

/** Equal lengths, whatever was shown. */
function hashOf(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
