import { CheckpointError, reasonOf } from "./errors.ts";
import type { Source } from "./source.ts";

export interface UrlOptions {
  /** Sent with every request, for example an Authorization header. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly fetch?: typeof fetch;
}

/** A file behind an http(s) address whose server answers Range requests: only what is asked for is downloaded. */
export function urlSource(url: string, { headers = {}, fetch: get = fetch }: UrlOptions = {}): Source {
  const fail = (what: string, cause?: unknown) => new CheckpointError(`${url}: ${what}.`, cause === undefined ? undefined : { cause });
  let version: string | undefined;

  const request = async (range: string): Promise<Response> => {
    const response = await get(url, { headers: { ...headers, Range: `bytes=${range}` } }).catch((cause: unknown) => {
      throw fail(`the request for bytes ${range} failed: ${reasonOf(cause)}`, cause);
    });
    if (response.status === 206) return response;
    await response.body?.cancel();
    if (response.status === 200) throw fail("the server ignores Range requests: download the file and hand in its path or Blob");
    throw fail(`expected status 206 for bytes ${range}, received ${response.status} ${response.statusText}`);
  };

  const download = async (response: Response, length: number): Promise<Uint8Array> => {
    const tag = response.headers.get("etag") ?? undefined;
    version ??= tag;
    if (tag !== undefined && tag !== version) throw fail(`the file changed while it was read: it had version ${version}, now ${tag}`);
    const declared = Number(response.headers.get("content-length") ?? length);
    if (declared > length) throw fail(`asked for ${length} bytes, the server sends ${declared}`);
    return new Uint8Array(
      await response.arrayBuffer().catch((cause: unknown) => {
        throw fail(`the connection broke: ${reasonOf(cause)}`, cause);
      }),
    );
  };

  return {
    name: url,
    async size() {
      const response = await request("0-0");
      await download(response, 1);
      const total = /\/(\d+)$/.exec(response.headers.get("content-range") ?? "")?.[1];
      if (total !== undefined) return Number(total);
      // A cross-origin server may hide Content-Range; Content-Length of a HEAD is always visible.
      const length = (await get(url, { method: "HEAD", headers })).headers.get("content-length");
      if (length === null) throw fail("the server tells no size (neither Content-Range nor Content-Length)");
      return Number(length);
    },
    async read(begin, end) {
      if (begin === end) return new Uint8Array(0);
      const response = await request(`${begin}-${end - 1}`);
      const range = response.headers.get("content-range");
      if (range !== null && !range.startsWith(`bytes ${begin}-`)) throw fail(`asked for bytes ${begin}-${end - 1}, received ${range}`);
      return download(response, end - begin);
    },
  };
}
