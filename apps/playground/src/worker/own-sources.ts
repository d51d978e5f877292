/** The text that is always at hand: the sources of this page and of the packages it is made of, put in when the page is built. */
const files: Readonly<Record<string, string>> = import.meta.glob(
  [
    "../../../../packages/{tensor,ops,nn,norm,posenc,attention,models,optim,checkpoint,data,train,generate,kernels-wasm,kernels-webgpu}/src/**/*.ts",
    "../**/*.ts",
    "!**/*.gen.ts",
  ],
  { query: "?raw", import: "default", eager: true },
);

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

function shortPath(path: string): string {
  return path.replace(/^(\.\.\/)+packages\//, "packages/").replace(/^\.\.?\//, "apps/playground/src/");
}
