import { createKeptAnswers, type KeptAnswers } from '../policy/kept-answers.js';

/** Whether a registry that may do without TLS speaks it; null when it answers in neither way. */
export type FoundScheme = 'https' | 'http' | null;

/** What registries were found to speak, by `host[:port]`. */
export type SchemeMemory = KeptAnswers<FoundScheme>;

/** Asking takes a request more; a registry that is given TLS later is noticed well within a deployment. */
const keptMs = 600_000;

/** Names may come from tenants. */
const maxKept = 256;

/** Remembers what registries speak; one that did not answer is asked again each time. */
export function createSchemeMemory(): SchemeMemory {
  return createKeptAnswers({ keptMs: (scheme) => (scheme === null ? 0 : keptMs), maxKept });
}
