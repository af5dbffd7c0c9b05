import ipaddr from 'ipaddr.js';
import { withoutBrackets } from '../image/registry-host.js';
import { zoneOfHost } from './address-zone.js';

/** The environment variables that name proxies; a snapshot, so that a later change affects nobody. */
export type ProxyEnvironment = Readonly<Record<string, string | undefined>>;

/** Chooses the proxy for a URL, or null for a direct connection. */
export type ProxyChoice = (url: URL) => Proxy | null;

/** A proxy as its variable names it. */
export interface Proxy {
  /** Without user and password; null when the variable holds nothing that can be used as a proxy. */
  readonly url: URL | null;
  /** The value of `Proxy-Authorization`; never to be shown. */
  readonly authorization: string | null;
}

/** Whether an environment says anything of proxies, if only that there are none. */
export function namesProxies(environment: ProxyEnvironment): boolean {
  return ['http_proxy', 'https_proxy', 'all_proxy', 'no_proxy'].some((name) =>
    [name, name.toUpperCase()].some((each) => (environment[each] ?? '') !== ''),
  );
}

/**
 * Reads `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, or their lower-case forms, as Docker and Go do: upper case first,
 * `HTTP_PROXY` only outside of CGI, loopback always direct.
 *
 * @see https://pkg.go.dev/golang.org/x/net/http/httpproxy#FromEnvironment
 */
export function readProxies(environment: ProxyEnvironment): ProxyChoice {
  const read = (name: string): string => {
    const upper = environment[name.toUpperCase()];
    return upper !== undefined && upper !== '' ? upper : (environment[name.toLowerCase()] ?? '');
  };
  const forHttps = parseProxy(read('https_proxy'));
  // In CGI a client sets `HTTP_PROXY` with a header of that name (httpoxy).
  const forHttp = (environment['REQUEST_METHOD'] ?? '') === '' ? parseProxy(read('http_proxy')) : null;
  const exempt = parseExemptions(read('no_proxy'));

  return (url) => {
    const proxy = url.protocol === 'https:' ? forHttps : forHttp;
    if (proxy === null || zoneOfHost(url.hostname) === 'loopback' || exempt(url)) return null;
    return proxy;
  };
}

function parseProxy(value: string): Proxy | null {
  const text = value.trim();
  if (text === '') return null;
  let url: URL;
  try {
    url = new URL(/^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`);
  } catch {
    return { url: null, authorization: null };
  }
  if ((url.protocol !== 'http:' && url.protocol !== 'https:') || url.hostname === '') {
    return { url: null, authorization: null };
  }
  const authorization = url.username === '' && url.password === '' ? null : basicOf(url.username, url.password);
  url.username = '';
  url.password = '';
  return { url, authorization };
}

function basicOf(username: string, password: string): string {
  const plain = `${decodeOnce(username)}:${decodeOnce(password)}`;
  return `Basic ${Buffer.from(plain, 'utf8').toString('base64')}`;
}

function decodeOnce(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Parses `NO_PROXY`: names (with their subdomains), `.suffixes`, addresses, ranges in CIDR form, `*`, each with or without a port. */
function parseExemptions(list: string): (url: URL) => boolean {
  const rules = list
    .split(',')
    .map((entry) => entry.trim().toLowerCase())
    .filter((entry) => entry !== '')
    .map(parseExemption);
  return (url) => rules.some((matches) => matches(url));
}

function parseExemption(entry: string): (url: URL) => boolean {
  if (entry === '*') return () => true;
  if (ipaddr.isValidCIDR(entry)) {
    const [network, bits] = ipaddr.parseCIDR(entry);
    return (url) => {
      const address = addressOf(url);
      return address !== null && address.kind() === network.kind() && address.match(network, bits);
    };
  }
  const { host, port } = splitPort(entry);
  const bare = host.replace(/^\*?\./, '').replace(/\.$/, '');
  const subdomainsOnly = bare !== host.replace(/\.$/, '');
  return (url) => {
    const name = withoutBrackets(url.hostname.toLowerCase()).replace(/\.$/, '');
    if (port !== '' && port !== (url.port === '' ? defaultPort(url) : url.port)) return false;
    return (name === bare && !subdomainsOnly) || (name.endsWith(`.${bare}`) && bare !== '');
  };
}

function splitPort(entry: string): { readonly host: string; readonly port: string } {
  const bracketed = /^\[([^\]]*)\](?::(\d+))?$/.exec(entry);
  if (bracketed !== null) return { host: bracketed[1] ?? '', port: bracketed[2] ?? '' };
  if (ipaddr.IPv6.isValid(entry)) return { host: entry, port: '' };
  const named = /^(.*?)(?::(\d+))?$/.exec(entry);
  return { host: named?.[1] ?? entry, port: named?.[2] ?? '' };
}

function addressOf(url: URL): ipaddr.IPv4 | ipaddr.IPv6 | null {
  const name = withoutBrackets(url.hostname);
  return ipaddr.isValid(name) ? ipaddr.process(name) : null;
}

/** The port that a URL without one means. */
export function defaultPort(url: URL): string {
  return url.protocol === 'https:' ? '443' : '80';
}
