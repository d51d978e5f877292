import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";

const root = fileURLToPath(new URL("..", import.meta.url));
const isolation = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };
/** What a careful host would send; the page must live with it. */
const policy =
  "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; style-src 'self'; img-src 'self' data:; connect-src 'self'";
const types: Readonly<Record<string, string>> = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css" };

/** Builds the page as `pnpm build` does, into a folder of its own. */
export async function buildSite(outDir: string): Promise<void> {
  await build({ root, logLevel: "warn", build: { outDir, emptyOutDir: true } });
}

/** Serves it below /isolated/, where threads may share memory, and below /plain/, where they may not. */
export async function serveSite(outDir: string): Promise<{ readonly server: Server; readonly address: string }> {
  const server = createServer(async (request, response) => {
    const [, place, ...rest] = new URL(request.url ?? "/", "http://localhost").pathname.split("/");
    const file = rest.join("/") || "index.html";
    const headers = { "Content-Security-Policy": policy, ...(place === "isolated" && isolation) };
    const found = await readFile(join(outDir, file)).catch(() => undefined);
    response.writeHead(found ? 200 : 404, { ...headers, "Content-Type": types[extname(file)] ?? "text/plain" }).end(found);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  return { server, address: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}
