import { userInfo } from 'node:os';

/** Who acts when nobody says so: the user this process runs as. */
export function ownActor(): string {
  try {
    return userInfo().username;
  } catch {
    // A container may run under a number that has no name.
    return typeof process.getuid === 'function' ? `user ${process.getuid()}` : 'unknown';
  }
}
