import type { ServerResponse } from 'node:http';

/** What a request is refused with: the code words are those of the distribution specification. */
export interface Refusal {
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export const manifestUnknown: Refusal = {
  status: 404,
  code: 'MANIFEST_UNKNOWN',
  message: 'the relay serves no such manifest now',
};

export const blobUnknown: Refusal = {
  status: 404,
  code: 'BLOB_UNKNOWN',
  message: 'the relay serves no such blob now',
};

/**
 * Refuses, with a body in the form of the specification.
 *
 * @see https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#error-codes
 */
export function refuse(response: ServerResponse, { status, code, message, headers }: Refusal): void {
  const body = Buffer.from(`${JSON.stringify({ errors: [{ code, message }] })}\n`);
  response.writeHead(status, {
    ...headers,
    'Content-Type': 'application/json; charset=utf-8',
    'Content-Length': body.length,
  });
  response.end(body);
}
