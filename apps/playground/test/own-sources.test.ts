import { expect, test } from "vitest";
import { ownSources } from "../src/worker/own-sources.ts";

test("the page's own text is what people wrote, each file after its name", () => {
  const names = [...ownSources.text.matchAll(/^==> (.+)$/gm)].map(([, name]) => name!);
  expect(names).toHaveLength(ownSources.files);
  expect(names).toEqual(expect.arrayContaining(["apps/playground/src/main.ts", "apps/playground/src/worker/host.ts"]));
  expect(names).toContain("packages/tensor/src/tensor.ts");
  expect(names.filter((name) => /\.gen\.ts$|\.\./.test(name))).toEqual([]);
});
