import { existsSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { type Browser, chromium } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { check, PageResult } from "./browser-page.ts";

const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const present = existsSync(executablePath);
if (!present) console.warn(`browser: ${executablePath} is missing, 2 tests not run. Install Chromium, or set CHROMIUM to one.`);

const isolation = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

/** Serves the page under /isolated, where threads may share memory, and under /plain, where they may not. */
function serve(script: string): Promise<Server> {
  const server = createServer((request, response) => {
    const page = request.url?.endsWith(".js") ? script : `<!doctype html><meta charset="utf-8"><script src="page.js"></script>`;
    response.writeHead(200, {
      "Content-Type": request.url?.endsWith(".js") ? "text/javascript" : "text/html",
      ...(request.url?.startsWith("/isolated/") && isolation),
    });
    response.end(page);
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

test.runIf(process.env.CI === "true")("the browser is there", () => expect(present, `${executablePath} is missing`).toBe(true));

describe.skipIf(!present)("in Chromium", () => {
  let server: Server;
  let browser: Browser;

  beforeAll(async () => {
    const bundle = await build({
      entryPoints: [fileURLToPath(new URL("browser-page.ts", import.meta.url))],
      ...{ bundle: true, write: false, format: "iife", platform: "browser", target: "es2022", conditions: ["@x/source", "browser"] },
    });
    server = await serve(bundle.outputFiles[0]!.text);
    browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  }, 120_000);

  afterAll(async () => {
    await browser?.close();
    server?.close();
  });

  async function visit(path: string): Promise<PageResult> {
    const page = await browser.newPage();
    const errors: string[] = [];
    page.on("pageerror", (error) => errors.push(error.message));
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/${path}/`);
    const result = await page.evaluate(() => (globalThis as unknown as { check: typeof check }).check({ threads: 2 }));
    await page.close();
    expect(errors).toEqual([]);
    return result;
  }

  function expectRight({ matmul, attention, losses, expected }: PageResult): void {
    expect(matmul).toBeLessThan(1e-5);
    expect(attention).toBeLessThan(1e-5);
    for (const [i, loss] of losses.entries()) expect(loss).toBeCloseTo(expected[i]!, 5);
    expect(losses.at(-1)!).toBeLessThan(losses[0]!);
  }

  test("an isolated page computes on threads", async () => {
    const result = await visit("isolated");
    expect(result).toMatchObject({ threads: 2, shared: true });
    expectRight(result);
  });

  test("a page without isolation computes on one thread", async () => {
    const result = await visit("plain");
    expect(result).toMatchObject({ threads: 1, shared: false });
    expectRight(result);
  });
});
