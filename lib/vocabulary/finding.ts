/** Whose fault a failure is, and what says so. JSON-safe. */
export interface Finding {
  /** `unproven`: one alone has seen it, so it may be either. */
  readonly fault: 'registry' | 'host' | 'unproven';
  /** One clause for people, to stand after what failed; free of secrets where the names of engines are. */
  readonly because: string;
  /**
   * - `two-engines`: another engine has seen the same
   * - `probe`: a probe of this process has, or found the registry well
   * - `others-succeed`: others got what they wanted of this registry, in this phase
   * - `own-process`: this process has seen it itself, and nobody else anything
   * - `none`: an engine has seen it by itself, and nobody else anything; or the cause is no registry's
   */
  readonly evidence: 'two-engines' | 'probe' | 'own-process' | 'others-succeed' | 'none';
}
