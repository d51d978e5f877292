import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import type { Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSafetensors } from "@x/checkpoint";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { ownSources } from "../src/worker/own-sources.ts";
import { buildSite, serveSite } from "./site.ts";

const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const present = existsSync(executablePath);
if (!present) console.warn(`browser: ${executablePath} is missing, 6 tests not run. Install Chromium, or set CHROMIUM to one.`);

test.runIf(process.env.CI === "true")("the browser is there", () => expect(present, `${executablePath} is missing`).toBe(true));

describe.skipIf(!present)("the page in Chromium", () => {
  let folder: string;
  let server: Server;
  let address: string;
  let browser: Browser;
  let context: BrowserContext;
  let complaints: string[];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "x-playground-"));
    await buildSite(join(folder, "site"));
    ({ server, address } = await serveSite(join(folder, "site")));
    browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--enable-unsafe-webgpu"] });
  }, 120_000);

  afterAll(async () => {
    await browser?.close();
    server?.close();
    if (folder) await rm(folder, { recursive: true, force: true });
  });

  beforeEach(async () => {
    complaints = [];
    context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  });

  afterEach(async () => {
    await context.close();
    expect(complaints).toEqual([]);
  });

  /** A page that is ready to start. */
  async function visit(place: "isolated" | "plain"): Promise<Page> {
    const page = await context.newPage();
    page.on("pageerror", (error) => complaints.push(error.message));
    page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
    await page.goto(`${address}/${place}/`);
    await page.locator("#start:enabled").waitFor();
    return page;
  }

  async function start(page: Page, steps: number, device = "wasm"): Promise<void> {
    await page.selectOption("#model", "gpt-tiny");
    await page.selectOption("#device", device);
    await page.fill("#steps", String(steps));
    await page.click("#start");
  }

  const status = (page: Page, begin: string) => page.locator("#status", { hasText: new RegExp(`^(${begin})`) }).waitFor();
  /** The validation loss after so many steps, all its digits. */
  async function validation(page: Page, steps: number): Promise<number> {
    await page
      .locator("#curve")
      .and(page.getByLabel(`at step ${steps}, validation`))
      .waitFor();
    return Number(await page.locator("#val-loss").getAttribute("value"));
  }
  const kept = async (page: Page) => {
    const downloading = page.waitForEvent("download");
    await page.locator("#save:enabled").click();
    const download = await downloading;
    const path = join(folder, download.suggestedFilename());
    await download.saveAs(path);
    return path;
  };

  /** The run without interruption, on one thread, for the others to be compared with. */
  let expected: number;

  test("trains without isolation, on one thread: the loss falls, a sample and a map appear", async () => {
    const page = await visit("plain");
    expect(await page.locator("#device-words").textContent()).toMatch(/^1 thread: .*cross-origin isolation/);
    const characters = ownSources.text.length.toLocaleString("en");
    expect(await page.locator("#text-words").textContent()).toBe(`${ownSources.files} source files, ${characters} characters`);
    await start(page, 120);
    await status(page, "Finished");
    expected = await validation(page, 120);
    const [first, last] = /from ([\d.]+) at step 1 to ([\d.]+)/.exec((await page.locator("#curve").getAttribute("aria-label"))!)!.slice(1);
    expect(Number(last)).toBeLessThan(Number(first) - 0.5);
    await page.getByText("after 120 steps").waitFor();
    const sample = await page.locator("#samples li").first().locator("p").last().textContent();
    expect(sample!.length).toBeGreaterThan(100);
    await page.selectOption("#layer", { label: "2" });
    await page.locator("#map").and(page.getByLabel("Attention of layer 2, head 1")).waitFor();
    expect(await page.locator("#reading").textContent()).toMatch(/at 32 looks at .+ \(\d+ %\)/);
    expect(await page.locator("#memory").textContent()).toMatch(/MB/);
  });

  test("a run that is paused, saved, loaded into a new page and resumed ends with the same bits, on two threads", async () => {
    const page = await visit("isolated");
    expect(await page.locator("#device-words").textContent()).toMatch(/^\d+ threads\./);
    await start(page, 120);
    await page.locator("#pause:enabled").click();
    await status(page, "Paused|Finished");
    const path = await kept(page);
    const { tensors, metadata } = await openSafetensors(await readFile(path));
    expect(tensors.get("blocks.0.attention.query.weight")?.shape).toEqual([32, 32]);
    expect(metadata.has("playground")).toBe(true);
    await page.close();

    const again = await visit("isolated");
    await again.setInputFiles("#load-file", path);
    await status(again, "Paused|Finished");
    const step = /step-(\d+)/.exec(path)![1]!;
    expect(await again.locator("#step").textContent()).toBe(`${step} of 120`);
    if (Number(step) < 120) await again.click("#pause");
    await status(again, "Finished");
    expect(await validation(again, 120)).toBe(expected);
  });

  test("on WebGPU learns what it learns on the processor, writes and shows its attention, and is gone on with from its file", async () => {
    const page = await visit("isolated");
    const losses: number[] = [];
    for (const device of ["wasm", "webgpu"]) {
      await start(page, 30, device);
      await status(page, `Finished: .*${device === "wasm" ? "Processor" : "Graphics card"}`);
      losses.push(await validation(page, 30));
      await page.locator("#reading", { hasText: "at 32 looks at" }).waitFor();
      await page.getByText("after 30 steps").waitFor();
    }
    expect(Math.abs(losses[0]! - losses[1]!)).toBeLessThan(1e-3);
    const path = await kept(page);
    await page.selectOption("#device", "wasm");
    await page.setInputFiles("#load-file", path);
    await page.locator("#notice-words", { hasText: "It was on webgpu before" }).waitFor();
    await status(page, "Finished: .*Processor");
    const measured = Number(await page.locator('#val-loss:not([value=""])').getAttribute("value"));
    expect(Math.abs(measured - losses[1]!)).toBeLessThan(1e-3);
  });

  test("with other parts trains, shows whom they let look at whom, and finds them again in its file", async () => {
    const page = await visit("isolated");
    await page.click("#parts summary");
    for (const [part, value] of Object.entries({ mixer: "longformer", position: "alibi", norm: "rms" }))
      await page.selectOption(`#${part}`, value);
    await page.fill("#kv-heads", "3");
    await page.click("#parts summary");
    await start(page, 60);
    // What does not fit is said, unfolded and under the cursor, and nothing begins.
    await page.locator("#kv-heads:focus").waitFor();
    expect(await page.locator("#kv-heads-words").textContent()).toBe(
      "The 2 heads of GPT, tiny cannot share 3 of keys and values. Choose 1 or 2.",
    );
    expect(await page.locator("#status").textContent()).toBe("Ready");
    await page.fill("#kv-heads", "1");
    await start(page, 60);
    await status(page, "Finished: GPT, tiny with Longformer, ALiBi, RMSNorm, 1 head of keys on");
    const [first, last] = /from ([\d.]+) at step 1 to ([\d.]+)/.exec((await page.locator("#curve").getAttribute("aria-label"))!)!.slice(1);
    expect(Number(last)).toBeLessThan(Number(first) - 0.5);
    await page
      .locator("#blocks")
      .and(page.getByLabel(/^Block map of layer 1\. 32 positions in blocks of 2: 70 of 256 pairs of blocks are seen/))
      .waitFor();
    await page.locator("#reading", { hasText: "at 32 looks at" }).waitFor();
    const loss = await validation(page, 60);
    const path = await kept(page);
    await page.close();

    const again = await visit("isolated");
    expect(await again.locator("#parts-words").textContent()).toBe("GPT-2’s");
    await again.setInputFiles("#load-file", path);
    await status(again, "Finished: GPT, tiny with Longformer");
    expect(Number(await again.locator('#val-loss:not([value=""])').getAttribute("value"))).toBe(loss);
    const values = ["model", "mixer", "position", "norm", "residual", "kv-heads"].map((id) => again.locator(`#${id}`).inputValue());
    expect(await Promise.all(values)).toEqual(["gpt-tiny", "longformer", "alibi", "rms", "pre", "1"]);
  });

  test("works with the keyboard alone, on a phone's screen, in the colours chosen", async () => {
    const page = await visit("plain");
    await page.setViewportSize({ width: 360, height: 740 });
    const tabTo = async (id: string) => {
      for (let i = 0; i < 60; i++) {
        await page.keyboard.press("Tab");
        if (await page.evaluate((id) => document.activeElement?.matches(id), id)) return;
      }
      throw new Error(`Tab never reaches ${id}.`);
    };
    await tabTo('[name="theme"]');
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("ArrowRight");
    expect(await page.evaluate(() => getComputedStyle(document.documentElement).colorScheme)).toBe("dark");
    await tabTo("#model");
    await page.keyboard.press("ArrowUp");
    await tabTo("#steps");
    await page.keyboard.press("Control+A");
    await page.keyboard.type("30");
    await page.keyboard.press("Enter");
    await status(page, "Finished");
    await page.getByText("after 30 steps").waitFor();
    await tabTo("#prompt");
    await page.keyboard.press("Control+A");
    await page.keyboard.type("const a");
    await page.keyboard.press("Enter");
    await page.locator("#samples strong", { hasText: "const a" }).waitFor();
    await page.locator("#reading", { hasText: "at 32 looks at" }).waitFor();
    await tabTo("#place");
    await page.keyboard.press("ArrowLeft");
    expect(await page.locator("#place").getAttribute("aria-valuetext")).toMatch(/at 31 looks at/);
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(360);
  });

  test("a text of one's own is kept beyond the page; what does not fit is said in words and changes nothing", async () => {
    const page = await visit("plain");
    const notice = (words: RegExp) => page.locator("#notice-words", { hasText: words }).waitFor();
    const write = async (text: string) => {
      await page.locator("#text label", { hasText: "Your own" }).click();
      await page.fill("#own-text", text);
    };
    await write("too short");
    await start(page, 30);
    await notice(/a window of context 32 takes 33 tokens/);
    await page.evaluate((text) => {
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File([text], "cat.txt"));
      document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
    }, "the cat sat on the mat.\n".repeat(200));
    await page.locator("#text-words", { hasText: "cat.txt, 4,800 characters" }).waitFor();
    await start(page, 30);
    await status(page, "Finished");
    const path = await kept(page);
    await page.setInputFiles("#load-file", { name: "photo.jpg", mimeType: "image/jpeg", buffer: Buffer.from("no tensors here") });
    await notice(/^photo\.jpg: not a safetensors file/);
    await page.locator("#text label", { hasText: "This page" }).click();
    await page.setInputFiles("#load-file", path);
    await notice(/is not among the 12 characters of the vocabulary/);
    await status(page, "Finished");
    await page.fill("#prompt", "the ");
    await page.click("#write-button");
    await page.locator("#samples strong", { hasText: "the " }).first().waitFor();
    await page.locator("#text label", { hasText: "Your own" }).click();
    await page.click("#text-file-remove");
    await write("a cat on a mat on a hat.\n".repeat(200));
    await page.setInputFiles("#load-file", path);
    await notice(/read another text before/);
    await page.reload();
    await notice(/keeps a run on “Pasted text”, at step 30/);
    await page.locator("#recover:enabled").click();
    await status(page, "Finished");
  });
});
