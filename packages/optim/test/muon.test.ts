import { Parameter, Tensor } from "@x/tensor";
import fc from "fast-check";
import { expect, test } from "vitest";
import { muon, orthogonalize } from "../src/index.ts";
import { random } from "./support.ts";

/** Singular values of a matrix: square roots of the eigenvalues of its smaller Gram matrix, by Jacobi rotations. */
async function singularValues(x: Tensor): Promise<number[]> {
  const [rows, cols] = x.shape as [number, number];
  const gram = (await (rows <= cols ? x.matmul(x.transpose()) : x.transpose().matmul(x)).array()) as number[][];
  const n = gram.length;
  for (let sweep = 0; sweep < 30; sweep++)
    for (let p = 0; p < n; p++)
      for (let q = p + 1; q < n; q++) {
        if (Math.abs(gram[p]![q]!) < 1e-14) continue;
        const theta = 0.5 * Math.atan2(2 * gram[p]![q]!, gram[q]![q]! - gram[p]![p]!);
        const [cos, sin] = [Math.cos(theta), Math.sin(theta)];
        for (const row of gram) [row[p], row[q]] = [cos * row[p]! - sin * row[q]!, sin * row[p]! + cos * row[q]!];
        [gram[p], gram[q]] = [gram[p]!.map((v, k) => cos * v - sin * gram[q]![k]!), gram[q]!.map((v, k) => sin * gram[p]![k]! + cos * v)];
      }
  return gram.map((row, i) => Math.sqrt(Math.max(0, row[i]!)));
}

test("orthogonalised matrices have singular values between about 0.7 (0.65) and 1.2, wide or tall", async () => {
  // Shapes away from squares: a random square matrix has a singular value near 0, which five steps do not lift.
  const shape = fc.tuple(fc.integer({ min: 2, max: 6 }), fc.integer({ min: 4, max: 8 }), fc.boolean());
  await fc.assert(
    fc.asyncProperty(shape, async ([n, ratio, tall]) => {
      const values = await singularValues(orthogonalize(random(tall ? [n * ratio, n] : [n, n * ratio])));
      expect(values).toHaveLength(n);
      for (const value of values) expect(value).toSatisfy((v: number) => v > 0.65 && v < 1.2);
    }),
    { numRuns: 20 },
  );
});

test("the transpose is orthogonalised as its transpose, a batch matrix by matrix, zero to zero", async () => {
  const x = random([3, 5, 8]);
  const whole = orthogonalize(x);
  const alone = Tensor.stack(x.split(0, 3).map((part) => orthogonalize(part.squeeze(0))));
  expect(await whole.data()).toEqual(await alone.data());
  expect(await orthogonalize(x.transpose()).data()).toEqual(await whole.transpose().data());
  expect(await orthogonalize(x.mul(0)).data()).toEqual(new Float32Array(120));
});

test("fused matrices are orthogonalised alone, transposed ones by their outputs", async () => {
  const gradient = random([9, 4]);
  const make = (shape: number[], options: Parameters<typeof muon>[0]) => {
    const parameter = new Parameter({ shape });
    return { parameter, optimizer: muon({ ...options, nesterov: false }).init([["p", parameter]]) };
  };
  const fused = make([9, 4], { split: () => [5, 2, 2] });
  fused.optimizer.update([gradient], { lr: 1 });
  const turned = make([4, 9], { split: () => [5, 2, 2], transposed: () => true });
  turned.optimizer.update([gradient.transpose()], { lr: 1 });
  const parts = await Promise.all(
    gradient.split(0, [5, 2, 2]).map(async (part) => {
      const one = make([...part.shape], {});
      one.optimizer.update([part], { lr: 1 });
      return [...(await one.parameter.data())];
    }),
  );
  expect([...(await fused.parameter.data())]).toEqual(parts.flat());
  expect(await turned.parameter.value.transpose().data()).toEqual(await fused.parameter.data());
});
