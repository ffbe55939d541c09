import type { CallResult } from '../../plan/options.js';
import type { RateLimitContext } from '../context/call-context.js';
import type { HandlerListener, HandlerResult } from '../handlers/result-interceptor.js';

/** Node's response, which Express extends and Fastify has as `raw`. */
interface RawResponse {
  readonly statusCode: number;
  readonly headersSent: boolean;
  readonly writableEnded: boolean;
  readonly writableFinished: boolean;
  readonly destroyed: boolean;
  once(event: 'finish' | 'close', listener: () => void): void;
  end(...given: unknown[]): unknown;
}

/** Returns Node's response to a call; null over transports that have none. */
export function nodeResponse({ transport, execution }: RateLimitContext): RawResponse | null {
  if (transport !== 'http') return null;
  const response = execution.getArgByIndex<Partial<RawResponse> & { readonly raw?: RawResponse }>(1);
  const raw = response.raw ?? response;
  return typeof raw.once === 'function' ? (raw as RawResponse) : null;
}

/** Returns the status of an HttpException of any copy of Nest. */
function statusOf(error: unknown): number | undefined {
  const { getStatus } = (error ?? {}) as { readonly getStatus?: unknown };
  const status: unknown = typeof getStatus === 'function' ? getStatus.call(error) : undefined;
  return typeof status === 'number' ? status : undefined;
}

/**
 * Detects the end of a call and its result: over HTTP when the response is finished, elsewhere when the handler settles.
 * A client that hangs up does not end its call; the handler does, if it ever settles. Otherwise a client could learn the
 * result and get the charge back.
 */
export class ResponseEnd implements HandlerListener {
  readonly #response: RawResponse | null;
  readonly #onEnd: (result: CallResult) => void;
  #result: HandlerResult | null = null;
  #isAborted = false;
  #isEnded = false;
  #statusBefore: number | undefined;

  /** @param onEnd Called at the end; again if the handler settles for a client that hung up and was sent a response. */
  constructor(context: RateLimitContext, onEnd: (result: CallResult) => void) {
    this.#onEnd = onEnd;
    const response = nodeResponse(context);
    this.#response = response;
    if (response === null) return;
    this.#isAborted = response.destroyed || response.writableFinished;
    // Over HTTP/2 a response that the client has reset does not say that it was ended.
    if ('stream' in response) {
      const { end } = response;
      response.end = (...given) => {
        this.#isEnded = true;
        return end.apply(response, given);
      };
    }
    // Over HTTP/2 a response that the client has reset finishes too, although nobody has ended it.
    response.once('finish', () => {
      if (response.writableEnded) onEnd({ status: response.statusCode, ...this.#result });
      else this.#hangUp(response);
    });
    response.once('close', () => {
      if (!response.writableFinished || !response.writableEnded) this.#hangUp(response);
    });
  }

  #hangUp(response: RawResponse): void {
    if (this.#isAborted) return;
    this.#isAborted = true;
    if (this.#result !== null) this.#endAborted(response, this.#result);
  }

  onStart(): void {
    this.#statusBefore = this.#response?.statusCode;
  }

  onResult(result: HandlerResult): void {
    this.#result = result;
    if (this.#response === null) this.#onEnd({ status: statusOf(result.error), ...result });
    else if (this.#isAborted) this.#endAborted(this.#response, result);
  }

  #endAborted(response: RawResponse, result: HandlerResult): void {
    // Interceptors and filters run first: they set the status that would have been sent.
    setImmediate(() => {
      const isAnswered =
        this.#isEnded ||
        response.headersSent ||
        response.writableEnded ||
        response.statusCode !== this.#statusBefore;
      // A handler that takes the response object may have returned nothing because it is still at work.
      if (!isAnswered && !('error' in result) && result.value === undefined) return;
      this.#onEnd({ status: isAnswered ? response.statusCode : statusOf(result.error), ...result });
    });
  }
}
