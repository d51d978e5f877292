import type { Sample } from "@x/tensor";
import { dropout } from "../dropout.ts";
import { normal } from "./inputs.ts";

/** Draws are the device's own here, so only what does not depend on them is compared; the stream itself is compared in @x/tensor. */
export const dropoutSamples: readonly Sample[] = [
  { name: "dropout of nothing: x", inputs: { x: normal([5, 7]) }, build: ({ x }) => dropout(x!, 0) },
  { name: "dropout of everything: zeros", inputs: { x: normal([5, 7]) }, build: ({ x }) => dropout(x!, 1) },
];
