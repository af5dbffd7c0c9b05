import ipaddr from 'ipaddr.js';

/** Address ranges that a stranger must not be able to make this process talk to. */
const privateRanges: readonly string[] = [
  'loopback',
  'linkLocal',
  'private',
  'uniqueLocal',
  'carrierGradeNat',
  // Connecting to 0.0.0.0 or [::] reaches this very host.
  'unspecified',
];

/** Where a host name leads, as far as its text tells. */
export type HostKind = 'loopback' | 'private' | 'public';

/**
 * Tells where the host name of a URL (`url.hostname`) leads. Only literal addresses and `localhost` are known without
 * asking a resolver; every other name counts as public.
 */
export function hostKind(hostname: string): HostKind {
  const name = hostname.toLowerCase().replace(/\.$/, '');
  if (name === 'localhost') return 'loopback';
  // RFC 6761: these never leave the host. Docker does not speak plain HTTP to them, so neither do we unasked.
  if (name.endsWith('.localhost')) return 'private';
  const literal = name.replace(/^\[(.*)\]$/, '$1');
  if (!ipaddr.isValid(literal)) return 'public';
  const range = ipaddr.process(literal).range();
  if (range === 'loopback') return 'loopback';
  return privateRanges.includes(range) ? 'private' : 'public';
}
