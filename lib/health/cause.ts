import type { Cause } from '../vocabulary/reason.js';

/** Whose fault a cause is, and so who can do something about it. */
export type Culprit = 'registry' | 'account' | 'network' | 'host' | 'caller';

/**
 * Whose fault each cause is. Only what a registry is to blame for can ever be `ill`;
 * `spec/health/verdict.spec.ts` holds the verdict table to it.
 *
 * `content`, `dns` and `tls` stay with the registry: it is the one that serves wrong bytes, whose name does not
 * resolve while others do, and whose certificate does not hold.
 */
export const culpritOf: Readonly<Record<Cause, Culprit>> = {
  'registry-api': 'registry',
  'registry-storage': 'registry',
  content: 'registry',
  tls: 'registry',
  dns: 'registry',
  'not-replicated': 'registry',
  'rate-limit': 'account',
  credentials: 'account',
  proxy: 'network',
  'network-egress': 'network',
  'host-disk': 'host',
  'host-process': 'host',
  engine: 'host',
  caller: 'caller',
};

/** Whether a word that was read somewhere is a cause. */
export function isCause(word: unknown): word is Cause {
  return typeof word === 'string' && Object.hasOwn(culpritOf, word);
}
