import { EngineFailure, engineFailure } from './engine-failure.js';

/** Ends of a connection that had been there. */
const lostCodes: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE', 'ECONNABORTED', 'ERR_STREAM_PREMATURE_CLOSE']);

/**
 * Makes a failure of what a socket, a tunnel or the HTTP client threw: nothing that the engine said.
 *
 * @param hadBegun whether its answer had begun
 */
export function socketFailure(error: unknown, hadBegun: boolean): EngineFailure {
  if (error instanceof EngineFailure) return error;
  const { code, message } = readError(error);
  const lost = hadBegun || lostCodes.has(code);
  const text = lost ? `the connection to the engine was lost: ${message}` : message;
  const said = { text, ...(code === '' ? {} : { code }), lost };
  // Its text is not looked at: a certificate that is not trusted here is no registry's.
  return lost ? engineFailure(said) : new EngineFailure('unreachable', said);
}

function readError(error: unknown): { readonly code: string; readonly message: string } {
  if (!(error instanceof Error)) return { code: '', message: String(error) };
  // Node tries every address of a name and says what each attempt met.
  const [first] = error instanceof AggregateError ? (error.errors as readonly unknown[]) : [];
  const message = error.message === '' && first instanceof Error ? first.message : error.message;
  const { code } = error as NodeJS.ErrnoException;
  return { code: typeof code === 'string' ? code : '', message };
}
