/** The text that is always at hand: the sources of this page and of the packages it is made of, put in when the page is built. */
const files: Readonly<Record<string, string>> = import.meta.glob(
  [
    "../../../../packages/{tensor,ops,nn,norm,posenc,attention,attention-linear,models,optim,checkpoint,data,train,generate,kernels-wasm,kernels-webgpu}/src/**/*.ts",
    "../**/*.ts",
    "!../../../../packages/*/src/**/*.gen.ts",
  ],
  { query: "?raw", import: "default", eager: true },
);

/** From the root of the repository. */
const shortPath = (path: string): string =>
  path
    .replace(/^(\.\.\/)+packages\//, "packages/")
    .replace(/^\.\.\//, "apps/playground/src/")
    .replace(/^\.\//, "apps/playground/src/worker/");

/** Every file after a line that names it, in the order of their names. */
export const ownSources = {
  name: "The sources of this page",
  text: Object.keys(files)
    .sort()
    .map((path) => `==> ${shortPath(path)}\n${files[path]}\n`)
    .join(""),
  files: Object.keys(files).length,
  /** What a sample may begin with: more telling than the first word. */
  opening: "export ",
};
