/**
 * The grammar of a host with an optional port: DNS labels, an IPv4 address, or an IPv6 address in brackets.
 *
 * @see https://github.com/distribution/reference/blob/0965666a6ade2e06035fe352e38344be1e68951a/regexp.go#L62-L128
 */
const hostPattern =
  /^(?<host>(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*|\[[a-fA-F0-9:]+\])(?::(?<port>[0-9]+))?$/;

const localhost = 'localhost';

/** Docker Hub, by the name that images of it carry. */
export const dockerHub = 'docker.io';

/** The name Docker Hub had as "the Docker Index"; the same place. */
const dockerIndex = 'index.docker.io';

const maxPort = 65_535;

/**
 * Tells whether the first component of a name is a host rather than a part of a path on Docker Hub:
 * it has a dot or a colon, is `localhost`, or has an upper-case letter, which a path cannot have.
 *
 * @see https://github.com/distribution/reference/blob/0965666a6ade2e06035fe352e38344be1e68951a/normalize.go#L143-L192
 */
export function looksLikeHost(component: string): boolean {
  return /[.:]/.test(component) || component.toLowerCase() === localhost || component.toLowerCase() !== component;
}

/**
 * Reads a host with an optional port and returns its one spelling, or null when it is none.
 *
 * Unlike Docker, which keeps a host as it was written, every host has one spelling here: lower case, IP addresses in
 * their normal form, ports without leading zeros, `index.docker.io` as `docker.io`. Otherwise `Quay.io`, `127.1` or
 * `[0::1]` would slip past a replica set, a ban or an `allowHost` that knows the place by its usual name.
 * Only a bare label (`MyHost`) is in upper case throughout: without that, it would not be a host in Docker's grammar.
 */
export function parseHost(text: string): string | null {
  const groups = hostPattern.exec(text)?.groups;
  const host = groups?.['host'];
  if (host === undefined) return null;

  const port = groups?.['port'];
  if (port !== undefined && (Number(port) < 1 || Number(port) > maxPort)) return null;

  const name = normalName(host);
  if (name === null) return null;
  if (port !== undefined) return `${name}:${Number(port)}`;
  if (name === dockerIndex) return dockerHub;
  return looksLikeHost(name) ? name : name.toUpperCase();
}

/** The host as a URL will have it: what is shown and matched is then what is connected to. */
function normalName(host: string): string | null {
  try {
    return new URL(`http://${host}/`).hostname;
  } catch {
    return null;
  }
}

/** A URL's host name as sockets and address parsers take it: IPv6 addresses without their brackets. */
export function withoutBrackets(hostname: string): string {
  return hostname.replace(/^\[|\]$/g, '');
}
