/** Draws on a clear canvas, in pixels of the page. */
export type Paint = (context: CanvasRenderingContext2D, size: { readonly width: number; readonly height: number }, colors: Colors) => void;

/** A canvas whose pixels are the screen's, drawn anew when it changes size, when colours change, and when `draw` is asked for. */
export class Picture {
  readonly canvas: HTMLCanvasElement;
  readonly #paint: Paint;
  #asked = false;

  constructor(canvas: HTMLCanvasElement, paint: Paint) {
    this.canvas = canvas;
    this.#paint = paint;
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    new MutationObserver(() => this.draw()).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  }

  /** Draws before the next frame, once however often it is asked. */
  draw(): void {
    if (this.#asked) return;
    this.#asked = true;
    requestAnimationFrame(() => {
      this.#asked = false;
      const { clientWidth: width, clientHeight: height } = this.canvas;
      if (width === 0 || height === 0) return;
      const ratio = devicePixelRatio;
      const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
      // Setting them clears the canvas and costs memory, so only where they differ.
      if (this.canvas.width !== w) this.canvas.width = w;
      if (this.canvas.height !== h) this.canvas.height = h;
      const context = this.canvas.getContext("2d")!;
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      context.clearRect(0, 0, width, height);
      this.#paint(context, { width, height }, colorsOf(this.canvas));
    });
  }
}

/** Colours of the style sheet, in the scheme that holds now. */
export interface Colors {
  readonly ink: string;
  readonly muted: string;
  readonly line: string;
  readonly accent: string;
  readonly faint: string;
  readonly second: string;
  readonly ground: string;
}

function colorsOf(element: Element): Colors {
  const style = getComputedStyle(element);
  const color = (name: string) => style.getPropertyValue(`--${name}`);
  return {
    ...{ ink: color("ink"), muted: color("muted"), line: color("line") },
    ...{ accent: color("accent"), faint: color("faint"), second: color("second"), ground: color("ground") },
  };
}

/** The font of pictures, that of the page. */
export const pictureFont = (pixels: number, mono = false): string =>
  `${pixels}px ${mono ? "ui-monospace, Menlo, Consolas, monospace" : "system-ui, sans-serif"}`;
