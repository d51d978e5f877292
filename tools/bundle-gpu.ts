/**
 * `pnpm bundle:gpu [FILE]`: one archive with all that a Linux machine without Node and without network needs to run the WebGPU benches: Node, the built
 * packages, Dawn, the Vulkan loader, bench/ and its peers. Unpack it anywhere and run `run.sh PART`; see bench/README.md.
 */
import { execFileSync } from "node:child_process";
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { build, transformSync } from "esbuild";
import { buildAll } from "./pack.ts";
import { filesUnder, packages, root } from "./workspace.ts";

const limit = 36 * 2 ** 20;
const peersFolder = join(root, "bench", "peers");
const here = `${process.platform}-${process.arch}`;

function put(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  copyFileSync(from, to);
}

/** Copies a program or library without its symbols; whole where there is no `strip`. */
function putStripped(from: string, to: string): void {
  put(from, to);
  try {
    execFileSync("strip", [to], { stdio: "ignore" });
  } catch {
    console.warn(`bundle: no strip here; ${relative(root, from)} goes in whole.`);
  }
}

/** What the packages publish, less types and source maps. */
function putPackages(modules: string): void {
  for (const { dir, name } of packages) {
    put(join(dir, "package.json"), join(modules, name, "package.json"));
    const keep = (path: string) => !/\.(d\.ts|d\.cts|map|cjs)$/.test(path);
    cpSync(join(dir, "dist"), join(modules, name, "dist"), { recursive: true, filter: keep });
  }
}

/** The sources of bench/ without their types, under their own names: what they name each other by. */
function putBench(to: string): void {
  for (const path of filesUnder(join(root, "bench", "src"), /\.ts$/)) {
    const { code } = transformSync(readFileSync(path, "utf8"), { loader: "ts", target: "es2022" });
    mkdirSync(join(to, "src"), { recursive: true });
    writeFileSync(join(to, "src", relative(join(root, "bench", "src"), path)), code);
  }
  for (const name of readdirSync(peersFolder).filter((each) => /\.(mjs|py)$/.test(each)))
    put(join(peersFolder, name), join(to, "peers", name));
  put(join(root, "bench", "package.json"), join(to, "package.json"));
}

/** Of the peers, the files that are loaded: found by following their imports, but for onnxruntime, which names its own at run time. */
async function putPeers(modules: string): Promise<void> {
  const contents = 'require("@tensorflow/tfjs"); require("@tensorflow/tfjs-backend-webgpu"); import("@jax-js/jax")';
  const { metafile } = await build({
    stdin: { contents, resolveDir: peersFolder },
    bundle: true,
    platform: "node",
    write: false,
    metafile: true,
    logLevel: "error",
    absWorkingDir: peersFolder,
  });
  const ort = [
    "package.json",
    ...["ort.webgpu.bundle.min.mjs", ...["mjs", "wasm"].map((end) => `ort-wasm-simd-threaded.asyncify.${end}`)].map(
      (name) => `dist/${name}`,
    ),
  ];
  const files = new Set(ort.map((file) => `node_modules/onnxruntime-web/${file}`));
  for (const file of Object.keys(metafile.inputs).filter((name) => name.startsWith("node_modules/"))) {
    files.add(file);
    const home = file.match(/^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//)?.[1];
    if (home) files.add(`${home}/package.json`);
  }
  for (const file of files) put(join(peersFolder, file), join(modules, relative("node_modules", file)));
}

function putDawn(modules: string): void {
  const dawn = realpathSync(join(root, "bench", "node_modules", "webgpu"));
  for (const file of ["package.json", "index.js"]) put(join(dawn, file), join(modules, "webgpu", file));
  putStripped(join(dawn, "dist", here, "dawn.node"), join(modules, "webgpu", "dist", here, "dawn.node"));
}

/** The Vulkan loader, which machines made for CUDA often lack. */
function putLoader(to: string): void {
  const folder = readdirSync("/usr/lib")
    .map((name) => join("/usr/lib", name))
    .find((each) => each.endsWith("-linux-gnu") && existsSync(join(each, "libvulkan.so.1")));
  if (folder) put(realpathSync(join(folder, "libvulkan.so.1")), join(to, "libvulkan.so.1"));
  else console.warn("bundle: no Vulkan loader here; the other machine must have its own libvulkan.so.1.");
}

function archive(folder: string, file: string): void {
  const shell = (command: string) =>
    execFileSync("sh", ["-c", command], { cwd: folder, stdio: ["ignore", "inherit", "inherit"], env: { ...process.env, FILE: file } });
  shell('tar --sort=name --owner=0 --group=0 -cf - . | xz -9e -T1 >"$FILE"');
}

async function main(target = join(root, "out", `bundle-gpu-${here}.tar.xz`)): Promise<void> {
  if (process.platform !== "linux")
    throw new Error(`bundle: expected Linux, whose Node goes into the archive; this is ${process.platform}.`);
  if (!existsSync(join(peersFolder, "node_modules")))
    throw new Error("bundle: the peers are not installed; run `pnpm bench webgpu --only gelu --quick` once.");
  await buildAll();
  const folder = mkdtempSync(join(tmpdir(), "bundle-gpu-"));
  try {
    const modules = join(folder, "node_modules");
    putStripped(realpathSync(process.execPath), join(folder, "bin", "node"));
    putPackages(modules);
    putBench(join(folder, "bench"));
    await putPeers(modules);
    putDawn(modules);
    putLoader(join(folder, "lib"));
    for (const name of ["run.sh", "sources.mjs"]) put(join(root, "bench", "bundle", name), join(folder, name));
    mkdirSync(dirname(resolve(target)), { recursive: true });
    archive(folder, resolve(target));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  const { size } = statSync(target);
  console.log(`${target}: ${(size / 2 ** 20).toFixed(1)} MiB`);
  if (size > limit) throw new Error(`bundle: expected at most ${limit / 2 ** 20} MiB, made ${(size / 2 ** 20).toFixed(1)}.`);
}

await main(process.argv[2]);
