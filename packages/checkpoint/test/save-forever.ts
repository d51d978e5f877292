// Saves step after step until it is killed; run by training.test.ts.
import { saveTraining } from "../src/index.ts";

const directory = process.argv[2]!;
for (let step = Number(process.argv[3]); ; step++) {
  await saveTraining(directory, {
    step,
    tensors: { model: [["w", { shape: [50_000], dtype: "f32", values: new Float32Array(50_000).fill(step) }]] },
    json: null,
  });
  process.send!(step);
}
