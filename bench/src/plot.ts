import type { Curve } from "./curves.ts";

interface Line {
  label: string;
  color: string;
  points: readonly (readonly [number, number])[];
}

interface Axes {
  title: string;
  unit: string;
  lines: readonly Line[];
}

const [width, height] = [430, 300];
const edge = { left: 58, right: 12, top: 30, bottom: 34 };
const lineHeight = 15;
const colors = ["#0b6e4f", "#d1495b", "#30638e", "#edae49", "#8f5ea8", "#5f6b6d"];

/** Time and memory against length, both logarithmic: a row for each panel, as a picture of its own (SVG). */
export function plotSvg(curves: readonly Curve[]): string {
  const panels = [...new Set(curves.map(({ panel }) => panel))];
  const rows = panels.map((panel) => {
    const own = curves.filter((curve) => curve.panel === panel);
    const lines = (of: (curve: Curve) => readonly number[], more: (curve: Curve) => string): Line[] =>
      own.map((curve, i) => ({
        label: `${curve.label}${curve.threads > 1 ? `, ${curve.threads} threads` : ""}${more(curve)}`,
        color: colors[i % colors.length]!,
        points: curve.tokens.map((tokens, j) => [tokens, of(curve)[j]!] as const),
      }));
    const slope = (value: number | undefined) => (value === undefined ? "" : `, slope ${value.toFixed(2)}`);
    return [
      axes({
        title: `${panel}: time`,
        unit: "ms",
        lines: lines(
          ({ ms }) => ms,
          ({ timeSlope }) => slope(timeSlope),
        ),
      }),
      axes({
        title: `${panel}: memory`,
        unit: "GiB",
        lines: lines(
          ({ memory }) => memory,
          ({ memoryOf, memorySlope }) => `, ${memoryOf}${slope(memorySlope)}`,
        ),
      }),
    ];
  });
  const rowHeight =
    height + lineHeight * Math.max(1, ...panels.map((panel) => curves.filter((curve) => curve.panel === panel).length)) + 16;
  const placed = rows.flatMap((row, i) => row.map((body, j) => `<g transform="translate(${j * width} ${i * rowHeight})">${body}</g>`));
  const size = `width="${2 * width}" height="${rows.length * rowHeight}" viewBox="0 0 ${2 * width} ${rows.length * rowHeight}"`;
  const style = 'font-family="system-ui, sans-serif" font-size="11" fill="#222"';
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} ${style}><rect width="100%" height="100%" fill="#fff"/>\n${placed.join("\n")}\n</svg>\n`;
}

function axes({ title, unit, lines }: Axes): string {
  const all = lines.flatMap(({ points }) => points);
  const x = scale(
    all.map(([tokens]) => tokens),
    2,
    [edge.left, width - edge.right],
  );
  const y = scale(
    all.map(([, value]) => value),
    10,
    [height - edge.bottom, edge.top],
  );
  const [right, bottom] = [width - edge.right, height - edge.bottom];
  const grid = [
    ...x.ticks.flatMap((tick) => [
      `<path d="M${x.at(tick)} ${edge.top}V${bottom}" stroke="#ddd"/>`,
      text(x.at(tick), bottom + 14, "middle", tick >= 1024 ? `${tick / 1024}k` : String(tick)),
    ]),
    ...y.ticks.flatMap((tick) => [
      `<path d="M${edge.left} ${y.at(tick)}H${right}" stroke="#ddd"/>`,
      text(edge.left - 6, y.at(tick) + 4, "end", String(tick)),
    ]),
  ];
  const drawn = lines.flatMap(({ label, color, points }, i) => {
    const below = height + lineHeight * (i + 0.5);
    const path = points.map(([tokens, value], j) => `${j ? "L" : "M"}${x.at(tokens)} ${y.at(value)}`).join("");
    return [
      `<path d="${path}" fill="none" stroke="${color}" stroke-width="2"/>`,
      ...points.map(([tokens, value]) => `<circle cx="${x.at(tokens)}" cy="${y.at(value)}" r="3" fill="${color}"/>`),
      `<path d="M${edge.left} ${below - 4}h18" stroke="${color}" stroke-width="2"/>`,
      text(edge.left + 24, below, "start", label),
    ];
  });
  return [...grid, ...drawn, text(edge.left, 18, "start", `${title} (${unit})`), text(right, height - 4, "end", "tokens")].join("");
}

/** A logarithmic axis over whole powers of `base`, from one end in pixels to the other. */
export function scale(values: readonly number[], base: number, [from, to]: readonly [number, number]) {
  const power = (value: number) => Math.log(value) / Math.log(base);
  const [least, most] = [Math.floor(power(Math.min(...values)) + 1e-9), Math.ceil(power(Math.max(...values)) - 1e-9)];
  const span = Math.max(1, most - least);
  const ticks = Array.from({ length: span + 1 }, (_, i) => Number((base ** (least + i)).toPrecision(12)));
  const at = (value: number) => Number((from + ((power(value) - least) / span) * (to - from)).toFixed(1));
  return { ticks, at };
}

const text = (x: number, y: number, anchor: "start" | "middle" | "end", words: string) =>
  `<text x="${x}" y="${y}" text-anchor="${anchor}">${words.replace(/&/g, "&amp;").replace(/</g, "&lt;")}</text>`;
