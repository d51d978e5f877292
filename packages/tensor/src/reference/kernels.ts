import { pointwise } from "../fuse.ts";
import type { Kernel } from "../kernel.ts";
import { copy } from "../primitives/copy.ts";
import { sizeOf } from "../shape.ts";
import { assemblyKernels, indexingKernels } from "./indexing.ts";
import { referenceKernel } from "./kernel.ts";
import { productKernels } from "./products.ts";
import { evaluateProgram } from "./program.ts";
import { reductionKernels } from "./reduce.ts";
import { sortKernels } from "./sort.ts";

/** A plain kernel for every primitive. */
export const referenceKernels = (): Kernel[] => [
  referenceKernel(pointwise, ({ leaves }, { program, shape }) => ({ y: evaluateProgram(program, leaves!, sizeOf(shape)) })),
  referenceKernel(copy, ({ x }) => ({ y: x!.data })),
  ...assemblyKernels(),
  ...reductionKernels(),
  ...productKernels(),
  ...indexingKernels(),
  ...sortKernels(),
];
