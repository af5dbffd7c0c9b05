/** Why no credentials could be had, in a word that stays the same over versions. */
export type CredentialsProblem =
  | 'config-unreadable'
  | 'config-malformed'
  | 'helper-missing'
  | 'helper-failed'
  | 'helper-malformed'
  | 'helper-late'
  | 'callback-failed'
  | 'callback-malformed'
  | 'callback-late';

/**
 * Credentials are said to exist somewhere, and could not be read from there: neither a rejection by the registry nor
 * the absence of credentials. `distribution/` turns it into the evidence `auth/credentials-unavailable`.
 *
 * It names the file, the helper or the callback and never repeats anything those said, which may be the secret itself;
 * for the same reason it has no `cause`.
 */
export class CredentialsUnavailableError extends Error {
  override readonly name = 'CredentialsUnavailableError';
  readonly problem: CredentialsProblem;

  constructor(problem: CredentialsProblem, message: string) {
    super(message);
    this.problem = problem;
  }
}
