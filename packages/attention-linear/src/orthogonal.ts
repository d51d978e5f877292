import type { Generator } from "@x/tensor";

export interface DrawOptions {
  /** Columns. */
  readonly headDim: number;
  /** Rows. */
  readonly numFeatures: number;
  /** Rows at right angles, headDim of them at a time, instead of independent ones: the same mean, less variance. */
  readonly orthogonal?: boolean;
  /** Lengths of orthogonal rows: "chi", those of independent Gaussian vectors, or "sqrt", sqrt(headDim) for all. */
  readonly rowNorm?: "chi" | "sqrt";
  /** Whether the signs of a QR decomposition are mended, so that each row points everywhere alike. The published code leaves them, which biases the estimate. */
  readonly haar?: boolean;
}

/** A random projection [numFeatures, headDim], row-major. Choromanski et al. 2020, arXiv 2009.14794, section 2.4; Mezzadri 2006, arXiv math-ph/0609050, for the signs. */
export function drawProjection(
  { headDim, numFeatures, orthogonal = true, rowNorm = "chi", haar = true }: DrawOptions,
  generator: Generator,
): Float64Array {
  if (!orthogonal) return generator.hostNormal(numFeatures * headDim);
  const rows = new Float64Array(numFeatures * headDim);
  for (let start = 0; start < numFeatures; start += headDim) {
    const block = orthogonalRows(generator.hostNormal(headDim * headDim), headDim, haar);
    rows.set(block.subarray(0, Math.min(headDim, numFeatures - start) * headDim), start * headDim);
  }
  const lengths = rowNorm === "sqrt" ? undefined : normsOfRows(generator.hostNormal(numFeatures * headDim), headDim);
  return rows.map((value, i) => value * (lengths ? lengths[Math.floor(i / headDim)]! : Math.sqrt(headDim)));
}

const normsOfRows = (values: Float64Array, width: number): Float64Array =>
  Float64Array.from({ length: values.length / width }, (_, row) => Math.hypot(...values.subarray(row * width, (row + 1) * width)));

/**
 * The columns of Q in the QR decomposition of a matrix [n, n] whose columns are given as rows, again as rows. Householder's reflections give R's diagonal the signs opposite to what they reflect, as LAPACK does;
 * `haar` makes it positive.
 */
export function orthogonalRows(columns: Float64Array, n: number, haar: boolean): Float64Array {
  const a = Float64Array.from(columns);
  const signs = new Float64Array(n).fill(1);
  const mirrors: Float64Array[] = [];
  for (let k = 0; k < n; k++) {
    const mirror = a.slice(k * n, (k + 1) * n).fill(0, 0, k);
    const length = Math.hypot(...mirror);
    // The last column has nothing below its diagonal: LAPACK leaves it as it is.
    const diagonal = k === n - 1 ? mirror[k]! : mirror[k]! >= 0 ? -length : length;
    mirror[k]! -= diagonal;
    mirrors.push(mirror);
    signs[k] = haar && diagonal < 0 ? -1 : 1;
    for (let j = k; j < n; j++) reflect(a.subarray(j * n, (j + 1) * n), mirror);
  }
  const q = new Float64Array(n * n);
  for (let k = 0; k < n; k++) {
    const column = q.subarray(k * n, (k + 1) * n);
    column[k] = signs[k]!;
    for (const mirror of mirrors.toReversed()) reflect(column, mirror);
  }
  return q;
}

/** x less twice its part along the mirror's normal. */
function reflect(x: Float64Array, normal: Float64Array): void {
  let [along, square] = [0, 0];
  for (let i = 0; i < x.length; i++) {
    along += x[i]! * normal[i]!;
    square += normal[i]! ** 2;
  }
  if (square === 0) return;
  for (let i = 0; i < x.length; i++) x[i]! -= (2 * along * normal[i]!) / square;
}
