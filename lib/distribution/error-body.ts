import { redactText } from '../vocabulary/redact.js';
import { startLoopTimer } from '../policy/loop-timer.js';
import type { IncomingBody } from './incoming-body.js';

/** What an error answer said. */
export interface ErrorBody {
  /** Codes of the distribution specification, upper case, in the order found. */
  readonly specCodes: readonly string[];
  /** In words, redacted and shortened; empty when there are none. */
  readonly detail: string;
}

/** Far more than any registry says; what follows is not read. */
const maxErrorBodyBytes = 64 * 1024;

/** The status alone says most: its explanation is not worth a longer wait. */
const errorBodyMs = 1_000;

const maxSpecCodes = 8;

/** Reads as much of an error body as is worth it, and closes it. Whatever happens to it meanwhile, this resolves. */
export async function readErrorBody(body: IncomingBody, secrets: readonly string[]): Promise<ErrorBody> {
  const chunks: Uint8Array[] = [];
  const late = startLoopTimer(errorBodyMs, () => body.cancel(new Error('the error body is late')));
  try {
    let bytes = 0;
    for (let chunk = await body.read(); chunk !== null; chunk = await body.read()) {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes >= maxErrorBodyBytes) break;
    }
  } catch {
    // What arrived is all there is.
  } finally {
    late.cancel();
    body.cancel(new Error('the rest of the error body is not needed'));
  }
  const text = Buffer.concat(chunks).subarray(0, maxErrorBodyBytes).toString('utf8');
  return parseErrorBody(text, secrets);
}

/**
 * Parses the error body of the distribution specification, or takes other text as it is.
 *
 * @param secrets texts that this exchange sent; a peer that repeats them is not repeated
 * @see https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#error-codes
 */
export function parseErrorBody(text: string, secrets: readonly string[] = []): ErrorBody {
  const errors = errorsOf(text);
  const specCodes = [
    ...new Set(
      errors
        .map((error) => error.code)
        .filter((code): code is string => typeof code === 'string' && /^[A-Za-z][A-Za-z0-9_]{0,63}$/.test(code))
        // A password looks like a code as well.
        .filter((code) => hideAll(code, secrets) === code)
        .map((code) => code.toUpperCase()),
    ),
  ].slice(0, maxSpecCodes);
  const messages = errors
    .map((error) => error.message)
    .filter((message): message is string => typeof message === 'string' && message !== '');
  const words = messages.length > 0 ? messages.slice(0, maxSpecCodes).join('; ') : errors.length > 0 ? '' : text;
  return { specCodes, detail: redactText(hideAll(words, secrets)).trim() };
}

interface FoundError {
  readonly code?: unknown;
  readonly message?: unknown;
}

function errorsOf(text: string): readonly FoundError[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return [];
  }
  if (typeof parsed !== 'object' || parsed === null) return [];
  const {
    errors,
    code,
    message,
    details,
    error,
    error_description: description,
  } = parsed as Readonly<Record<string, unknown>>;
  // Token services answer in one of two other forms: `{ code, message }`, or OAuth's `{ error, error_description }`.
  const found = Array.isArray(errors)
    ? errors.slice(0, maxSpecCodes)
    : [{ code: code ?? error, message: message ?? details ?? description }];
  return found.filter((each): each is FoundError => typeof each === 'object' && each !== null);
}

function hideAll(text: string, secrets: readonly string[]): string {
  let hidden = text;
  for (const secret of secrets) if (secret.length >= 4) hidden = hidden.replaceAll(secret, '***');
  return hidden;
}
