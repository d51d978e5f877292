/** Writes docs/positions.svg: what each position encoding does to a score, by distance, computed by the packages themselves. Run by hand after a change of @x/posenc. */
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { AlibiBias, type RopeScaling, RotaryPositions, SinusoidalPositions, t5Bucket, XPosPositions } from "@x/posenc";
import { arange, ones, reference, setDefaultDevice, type Tensor } from "@x/tensor";

interface Curve {
  readonly label: string;
  /** By distance, from 0 on. */
  readonly values: ArrayLike<number>;
}
interface Panel {
  readonly title: string;
  readonly curves: readonly Curve[];
}

export const plotPath = fileURLToPath(new URL("../../../docs/positions.svg", import.meta.url));
const reach = 256;
const headDim = 64;
const colors = ["#0b6e4f", "#d1495b", "#30638e", "#edae49", "#8f5ea8", "#5f6b6d", "#b5651d", "#118ab2"];

/** Rows of x [length, dim] times the first one, divided by what it has with itself: a kernel of the distance. */
async function byDistance(x: Tensor): Promise<Float64Array> {
  const [length, dim] = x.shape as [number, number];
  const values = await x.data();
  const product = (row: number) => Array.from({ length: dim }, (_, i) => values[i]! * values[row * dim + i]!).reduce((a, b) => a + b, 0);
  return Float64Array.from({ length }, (_, row) => product(row) / product(0));
}

const positions = () => arange(reach);
const sameEverywhere = () => ones([1, 1, reach, headDim]);

const rotated = (scaling?: RopeScaling, base = 10_000): Promise<Float64Array> =>
  byDistance(
    new RotaryPositions({ headDim, maxLength: reach, base, ...(scaling && { scaling }) })
      .forward(sameEverywhere(), positions(), reach)
      .reshape([reach, headDim]),
  );

/** What a key of ones scores with a query of ones that stands `distance` after it, relative to distance 0. */
async function xPos(): Promise<Float64Array> {
  const layer = new XPosPositions({ headDim, maxLength: reach });
  const [queries, keys] = [layer.forward(sameEverywhere(), positions()), layer.forwardKeys(sameEverywhere(), positions())];
  const scores = await queries.matmul(keys.transpose()).reshape([reach, reach]).slice(1, 0, 1).data();
  return Float64Array.from(scores, (score) => score / scores[0]!);
}

async function alibi(numHeads: number): Promise<Curve[]> {
  const table = await new AlibiBias({ numHeads }).forward(reach - 1).data();
  const row = 2 * reach - 1;
  return Array.from({ length: numHeads }, (_, head) => ({
    label: `head ${head + 1}`,
    values: Float64Array.from({ length: reach }, (_, distance) => table[head * row + reach - 1 - distance]!),
  }));
}

const originalMaxLength = reach / 4;

async function scaled(): Promise<Curve[]> {
  const factors = Array.from({ length: headDim / 2 }, (_, i) => 1 + (3 * i) / (headDim / 2));
  return [
    { label: "none", values: await rotated() },
    { label: "linear", values: await rotated({ type: "linear", factor: 4 }) },
    { label: "ntk", values: await rotated({ type: "ntk", factor: 4 }) },
    { label: "dynamic", values: await rotated({ type: "dynamic", factor: 4, originalMaxLength }) },
    { label: "llama3", values: await rotated({ type: "llama3", factor: 4, lowFactor: 1, highFactor: 4, originalMaxLength }) },
    { label: "yarn", values: await rotated({ type: "yarn", factor: 4, originalMaxLength }) },
    {
      label: "longrope, 1 to 4",
      values: await rotated({
        type: "longrope",
        shortFactors: factors.map(() => 1),
        longFactors: factors,
        originalMaxLength,
        factor: 4,
      }),
    },
  ];
}

export async function panels(): Promise<Panel[]> {
  setDefaultDevice(reference());
  const buckets = (maxDistance: number) =>
    Float64Array.from({ length: reach }, (_, d) => t5Bucket(-d, { numBuckets: 32, maxDistance, bidirectional: false }));
  return [
    {
      title: "Sinusoidal and Transformer-XL: product of two vectors",
      curves: await Promise.all(
        [64, 512].map(async (dim) => ({
          label: `dim ${dim}`,
          values: await byDistance(new SinusoidalPositions({ maxLength: reach, dim }).forward(positions())),
        })),
      ),
    },
    {
      title: "RoPE: score of equal vectors, by base",
      curves: await Promise.all([10_000, 500_000].map(async (base) => ({ label: `base ${base}`, values: await rotated(undefined, base) }))),
    },
    { title: `RoPE's scalings by 4, for ${originalMaxLength} positions originally`, curves: await scaled() },
    {
      title: "xPos: score of equal vectors",
      curves: [
        { label: "xPos", values: await xPos() },
        { label: "RoPE", values: await rotated() },
      ],
    },
    { title: "ALiBi: added to scores, 8 heads", curves: await alibi(8) },
    {
      title: "T5: bucket of 32, whose bias is trained",
      curves: [128, 64].map((maxDistance) => ({ label: `maxDistance ${maxDistance}`, values: buckets(maxDistance) })),
    },
    {
      title: "Shaw: row of the trained table",
      curves: [16, 64].map((clip) => ({
        label: `clip ${clip}`,
        values: Float64Array.from({ length: reach }, (_, d) => clip - Math.min(clip, d)),
      })),
    },
  ];
}

const [width, height, columns] = [500, 240, 2];
const edge = { left: 48, right: 110, top: 28, bottom: 30 };

function drawn({ title, curves }: Panel): string {
  const all = curves.flatMap(({ values }) => Array.from(values));
  const [least, most] = [Math.min(0, ...all), Math.max(0, ...all)];
  const x = (distance: number) => (edge.left + (distance / (reach - 1)) * (width - edge.left - edge.right)).toFixed(1);
  const y = (value: number) => (height - edge.bottom - ((value - least) / (most - least)) * (height - edge.top - edge.bottom)).toFixed(1);
  const number = (value: number) => String(Number(value.toPrecision(3)));
  const grid = [least, (least + most) / 2, most].flatMap((value) => [
    `<path d="M${edge.left} ${y(value)}H${width - edge.right}" stroke="#ddd"/>`,
    `<text x="${edge.left - 6}" y="${Number(y(value)) + 4}" text-anchor="end">${number(value)}</text>`,
  ]);
  const ticks = [0, 64, 128, 192].map((d) => `<text x="${x(d)}" y="${height - edge.bottom + 14}" text-anchor="middle">${d}</text>`);
  const lines = curves.map(({ values }, i) => {
    const path = Array.from(values, (value, d) => `${d ? "L" : "M"}${x(d)} ${y(value)}`).join("");
    return `<path d="${path}" fill="none" stroke="${colors[i % colors.length]}" stroke-width="1.5"/>`;
  });
  const legend = curves.map(
    ({ label }, i) =>
      `<text x="${width - edge.right + 8}" y="${edge.top + 10 + 14 * i}" fill="${colors[i % colors.length]}">${label}</text>`,
  );
  return [...grid, ...ticks, ...lines, ...legend, `<text x="${edge.left}" y="16" font-weight="600">${title}</text>`].join("");
}

export async function plot(): Promise<string> {
  const all = await panels();
  const placed = all.map(
    (panel, i) => `<g transform="translate(${(i % columns) * width} ${Math.floor(i / columns) * height})">${drawn(panel)}</g>`,
  );
  const [w, h] = [columns * width, Math.ceil(all.length / columns) * height];
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${w}" height="${h}" viewBox="0 0 ${w} ${h}" font-family="system-ui, sans-serif" font-size="11" fill="#222"><title>Kernels and biases of position encodings by distance</title><rect width="100%" height="100%" fill="#fff"/>\n${placed.join("\n")}\n</svg>\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(plotPath, await plot());
