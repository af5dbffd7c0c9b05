import { once } from 'node:events';
import { Agent, type IncomingHttpHeaders, type IncomingMessage, request as httpRequest } from 'node:http';

/** What came back for one request, however it ended. */
export interface PlainAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** `complete`, or the code of the error that ended the body early. */
  readonly end: string;
}

export interface PlainRequest {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly agent?: Agent;
  /** Leaves once so many body bytes have arrived; 0: once the headers have. */
  readonly leaveAfterBytes?: number;
  readonly signal?: AbortSignal;
}

/** Asks without any comfort: no redirects, no decoding, no repeats; an early end is data, not an exception. */
export async function ask(url: string, options: PlainRequest = {}): Promise<PlainAnswer> {
  const { method = 'GET', headers = {}, body, leaveAfterBytes = Infinity } = options;
  const request = httpRequest(url, {
    method,
    headers,
    agent: options.agent ?? new Agent({ keepAlive: false }),
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  });
  // An early end is read off the response below; without a listener it would be thrown here too.
  request.on('error', () => undefined);
  request.end(body);
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  const chunks: Buffer[] = [];
  let bytes = 0;
  let end = 'complete';
  try {
    if (leaveAfterBytes > 0) {
      for await (const chunk of response as AsyncIterable<Buffer>) {
        chunks.push(chunk);
        bytes += chunk.length;
        if (bytes >= leaveAfterBytes) break;
      }
    }
    if (bytes >= leaveAfterBytes) {
      end = 'left';
      request.destroy();
    }
  } catch (error) {
    end = (error as NodeJS.ErrnoException).code ?? 'unknown';
  }
  return { status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks), end };
}

/** The code with which a request fails that gets no answer at all. */
export async function askInVain(url: string, options: PlainRequest = {}): Promise<string> {
  try {
    const answer = await ask(url, options);
    return `answered ${answer.status}`;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? (error as Error).name;
  }
}
