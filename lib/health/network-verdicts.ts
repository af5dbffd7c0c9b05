import { between, failedInEngine, given, registrySide, type VerdictRows } from './verdict-row.js';

/**
 * Milliseconds of not reading from which on a lost connection is our own doing: registries and load balancers
 * drop clients that do not read, and none does so within a second.
 */
export const processLateMs = 1_000;

/** The part of the verdict table for what lies before any answer: names, connections, TLS, proxies. */
export const networkVerdicts: {
  readonly [Kind in 'connection' | 'dns' | 'tls' | 'proxy']: VerdictRows<Kind>;
} = {
  connection: [
    failedInEngine,
    {
      // A peer that gave up on us is not to blame, whatever it did to the connection.
      when: { code: ['reset', 'closed', 'timed-out'], lateMs: between(processLateMs, Infinity) },
      cause: 'host-process',
      verdict: 'again',
      code: 'process-late',
      message:
        'the connection to {registry} for {object} was lost after {bytes} bytes, while this process had not read for {lateMs} ms',
    },
    {
      // Keep-alive race: the peer closed an idle connection just as the request left, and did not see it.
      when: { code: ['reset', 'closed'], reused: true, bytes: 0 },
      cause: registrySide,
      verdict: 'again',
      code: (evidence) => (evidence.code === 'reset' ? 'connection-reset' : 'connection-closed'),
      message: '{registry} closed a kept-alive connection as {object} was asked for on it',
    },
    {
      when: { scope: 'all' },
      cause: 'network-egress',
      verdict: 'next',
      code: 'egress-down',
      message: 'no registry can be connected to from this host, {registry} neither',
    },
    {
      // Not blamed before somebody else is reached: else every outage of this host's network began with an ill registry.
      when: { scope: 'unproven' },
      cause: registrySide,
      verdict: 'next',
      code: (evidence) => (evidence.code === 'unreachable' ? 'host-unreachable' : 'connection-timed-out'),
      message:
        'there is no connection to {registry} for {object}, and nobody else was reached since: it may be this host',
    },
    {
      when: { code: 'refused' },
      cause: registrySide,
      verdict: 'ill',
      code: 'connection-refused',
      message: '{registry} refused the connection for {object}',
    },
    {
      when: { code: 'reset' },
      cause: registrySide,
      verdict: 'ill',
      code: 'connection-reset',
      message: '{registry} reset the connection for {object} after {bytes} bytes',
    },
    {
      when: { code: 'timed-out' },
      cause: registrySide,
      verdict: 'ill',
      code: 'connection-timed-out',
      message: 'the connection to {registry} for {object} timed out after {bytes} bytes',
    },
    {
      when: { code: 'unreachable' },
      cause: registrySide,
      verdict: 'ill',
      code: 'host-unreachable',
      message: 'there is no route to {registry} for {object}',
    },
    {
      cause: registrySide,
      verdict: 'ill',
      code: 'connection-closed',
      message: '{registry} closed the connection for {object} after {bytes} bytes, before its end',
    },
  ],

  dns: [
    failedInEngine,
    {
      when: { scope: 'all' },
      cause: 'network-egress',
      verdict: 'next',
      code: 'dns-down',
      message: 'no name can be resolved on this host, the one of {registry} neither',
    },
    {
      when: { scope: 'unproven' },
      cause: 'dns',
      verdict: 'next',
      code: (evidence) => (evidence.code === 'not-found' ? 'dns-not-found' : 'dns-failed'),
      message:
        'the name of {registry} could not be resolved, and no other one since: it may be the resolver of this host',
    },
    {
      when: { code: 'not-found' },
      cause: 'dns',
      verdict: 'ill',
      code: 'dns-not-found',
      message: 'the name of {registry} does not exist in DNS, while other names resolve',
    },
    {
      cause: 'dns',
      verdict: 'ill',
      code: 'dns-failed',
      message: 'the name of {registry} could not be resolved, while other names can',
    },
  ],

  tls: [
    failedInEngine,
    {
      cause: 'tls',
      verdict: 'ill',
      code: 'tls-failed',
      message: 'no trusted TLS connection to {registry} for {object}: {code}',
    },
  ],

  proxy: [
    failedInEngine,
    {
      when: { status: given },
      cause: 'proxy',
      verdict: 'next',
      code: 'proxy-failed',
      message: 'the proxy answered {status} instead of connecting to {registry} for {object}',
    },
    {
      cause: 'proxy',
      verdict: 'next',
      code: 'proxy-failed',
      message: 'the proxy before {registry} could not be used for {object}',
    },
  ],
};
