/** Who may import whom (DESIGN section 2). A package that is not in the table has not said on which floor it lives. */
import { describe, expect, test } from "vitest";
import { importsOf, packageOf, packages, scope, shown, sources, workspaces } from "../../tools/workspace.ts";

const kernelFloor = ["tensor", "ops"];
const layerFloor = ["tensor", "ops", "nn"];
const layers = ["norm", "posenc", "attention", "attention-sparse", "attention-linear", "ssm", "memory", "moe"];

/** What each package's sources may import. Tests may import more: whatever their package lists for development. */
const mayImport: Record<string, string[]> = {
  tensor: [],
  ops: ["tensor"],
  testing: ["tensor", "ops"],
  "kernels-wasm": kernelFloor,
  "kernels-native": [...kernelFloor, "kernels-wasm"],
  "kernels-webgpu": kernelFloor,
  "kernels-cuda": kernelFloor,
  nn: ["tensor", "ops"],
  norm: layerFloor,
  posenc: layerFloor,
  attention: layerFloor,
  // A layer package imports another only where its layers really are made of that one.
  "attention-sparse": [...layerFloor, "attention"],
  "attention-linear": layerFloor,
  ssm: layerFloor,
  memory: layerFloor,
  moe: layerFloor,
  optim: layerFloor,
  checkpoint: layerFloor,
  data: layerFloor,
  distributed: ["tensor"],
  train: [...layerFloor, "optim", "checkpoint", "data", "distributed"],
  generate: layerFloor,
  models: [...layerFloor, ...layers, "checkpoint"],
};

/** The only third-party packages that published code may need at run time, and what for. */
const thirdParty: Record<string, Record<string, string>> = {
  data: { "@huggingface/tokenizers": "reads tokenizer.json" },
  models: { "@huggingface/tokenizers": "reads tokenizer.json" },
  generate: { "@huggingface/jinja": "chat templates" },
  "kernels-cuda": { koffi: "calls the driver" },
  "kernels-native": { koffi: "calls the shared library" },
  distributed: { koffi: "calls MPI and NCCL" },
};

/** Always peers: two copies of one of these in a program would be two different languages. */
const peers = ["tensor", "ops", "nn"];

const ours = (name: string) => (name.startsWith(`${scope}/`) ? name.slice(scope.length + 1) : undefined);

describe.each(packages.map((member) => [member.short, member] as const))("%s", (short, member) => {
  const used = sources(member).flatMap((path) => importsOf(path).map((specifier) => ({ path, specifier })));

  test("stands on a floor of the house", () => {
    expect(mayImport, `Say in the table of test/laws/imports.test.ts what ${short} may import.`).toHaveProperty(short);
  });

  test("imports only what lies below it, so that nothing ever depends on itself and kernels never know layers", () => {
    const wrong = used.filter(({ specifier }) => {
      const target = ours(packageOf(specifier) ?? "");
      return target !== undefined && target !== short && !mayImport[short]?.includes(target);
    });
    expect(wrong.map(({ path, specifier }) => `${shown(path)} imports ${specifier}`)).toEqual([]);
  });

  test("declares what it imports, or an installed copy would not find it", () => {
    const { dependencies, peerDependencies, optionalDependencies } = member.manifest;
    const declared = new Set(Object.keys({ ...dependencies, ...peerDependencies, ...optionalDependencies }));
    const wrong = used.filter(({ specifier }) => {
      const target = packageOf(specifier);
      return target !== undefined && target !== member.name && !declared.has(target);
    });
    expect(wrong.map(({ path, specifier }) => `${shown(path)} imports ${specifier}, which package.json does not declare`)).toEqual([]);
  });

  test("depends on no third party at run time but those agreed on, because each is somebody else's bug and bytes", () => {
    const { dependencies, optionalDependencies } = member.manifest;
    const foreign = Object.keys({ ...dependencies, ...optionalDependencies }).filter((name) => ours(name) === undefined);
    expect(foreign.filter((name) => !thirdParty[short]?.[name])).toEqual([]);
  });

  test("takes tensor, ops and nn as peers, so that a program holds one copy", () => {
    expect(Object.keys(member.manifest.dependencies ?? {}).filter((name) => peers.includes(ours(name) ?? ""))).toEqual([]);
  });

  test("reaches other packages by what they export, never by a path", () => {
    const escapes = used.filter(({ path, specifier }) => {
      if (!specifier.startsWith(".")) return false;
      const target = new URL(specifier, `file://${path}`).pathname;
      return !target.startsWith(`${member.dir}/`);
    });
    expect(escapes.map(({ path, specifier }) => `${shown(path)} imports ${specifier}`)).toEqual([]);
  });
});

test("tensor has no dependencies: it is what everyone else must be able to build on", () => {
  const tensor = packages.find(({ short }) => short === "tensor");
  expect({ ...tensor?.manifest.dependencies, ...tensor?.manifest.peerDependencies }).toEqual({});
});

test("apps stay private, and only the parity app uses the testing package", () => {
  const apps = workspaces().filter(({ kind }) => kind === "app");
  expect(apps.filter(({ manifest }) => manifest.private !== true).map(({ name }) => name)).toEqual([]);
  const users = apps.filter((app) => sources(app).some((path) => importsOf(path).some((name) => name.startsWith(`${scope}/testing`))));
  expect(users.map(({ short }) => short).filter((short) => short !== "parity")).toEqual([]);
});
