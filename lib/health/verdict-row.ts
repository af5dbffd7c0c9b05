import type { Evidence } from '../vocabulary/evidence.js';
import type { Phase } from '../vocabulary/phase.js';
import type { Cause, ReasonCode, Verdict } from '../vocabulary/reason.js';

/** A kind of evidence; the table has one list of rows for each. */
export type EvidenceKind = Evidence['kind'];
export type EvidenceOf<Kind extends EvidenceKind> = Extract<Evidence, { readonly kind: Kind }>;

/** What a field must be: this value, one of these values, or whatever the function accepts. */
type Wanted<Value> = [Value] extends [readonly unknown[]]
  ? (value: Value) => boolean
  : Value | readonly Value[] | ((value: Value | undefined) => boolean);

type Conditions<Kind extends EvidenceKind> = {
  readonly [Field in Exclude<keyof EvidenceOf<Kind>, 'kind'>]?: Wanted<EvidenceOf<Kind>[Field]>;
};

/** What a row says about the failures it matches. */
interface Judged<Kind extends EvidenceKind> {
  readonly cause: Cause | Readonly<Record<Phase, Cause>>;
  readonly verdict: Verdict;
  readonly code: ReasonCode | ((evidence: EvidenceOf<Kind>) => ReasonCode);
  /**
   * The sentence, with `{fields}` of the evidence, and `{registry}` (its prefix), `{object}` (tag or short digest),
   * `{who}` (the registry, its storage or its token service) and `{retryAfterMs}`.
   */
  readonly message: string;
}

/** Matches where the phase is this one and every condition holds; an absent condition always holds. */
export interface VerdictRow<Kind extends EvidenceKind> extends Judged<Kind> {
  readonly phase?: Phase;
  readonly when?: Conditions<Kind>;
}

/** Closes the list of one kind: with no condition it matches whatever is left. */
export interface LastRow<Kind extends EvidenceKind> extends Judged<Kind> {
  readonly phase?: never;
  readonly when?: never;
}

/** The rows of one kind: the type alone makes them exhaustive, the last one always matches. */
export type VerdictRows<Kind extends EvidenceKind> = readonly [...VerdictRow<Kind>[], LastRow<Kind>];

/** Whose fault it is when the registry's side fails: manifests come from its API, blobs from its storage. */
export const registrySide: Readonly<Record<Phase, Cause>> = {
  metadata: 'registry-api',
  layers: 'registry-storage',
  extract: 'engine',
};

/** Extraction is local: whatever failed there, no registry did it and none can help. */
export const failedInEngine: VerdictRow<EvidenceKind> = {
  phase: 'extract',
  cause: 'engine',
  verdict: 'stop',
  code: 'engine-failed',
  message: 'the engine failed while it took {object} in, after all bytes had been delivered',
};

/** Holds where an optional field is there. */
export const given = (value: unknown): boolean => value !== undefined;

/** Holds for a number from `min` to `max`, both included. */
export const between =
  (min: number, max: number): ((value: number | undefined) => boolean) =>
  (value) =>
    value !== undefined && value >= min && value <= max;

/** Holds where at least one of these codes was found. */
export const including =
  (...codes: readonly string[]): ((found: readonly string[]) => boolean) =>
  (found) =>
    codes.some((code) => found.includes(code));

/** Whether every condition of a row holds for this evidence. */
export function holds(conditions: object | undefined, evidence: object): boolean {
  const values = evidence as Readonly<Record<string, unknown>>;
  return Object.entries(conditions ?? {}).every(([field, wanted]: [string, unknown]) => {
    const value = values[field];
    // The type of the table gives each field a test for its own values.
    if (typeof wanted === 'function') return (wanted as (value: unknown) => boolean)(value);
    return Array.isArray(wanted) ? wanted.includes(value) : wanted === value;
  });
}
