/** What Chromium tells of the small matrices that the subgroups of an adapter multiply. */
interface MatrixConfig {
  readonly componentType: string;
  readonly resultComponentType: string;
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

type Info = Pick<GPUAdapterInfo, "vendor"> & {
  readonly subgroupMinSize?: number;
  readonly subgroupMaxSize?: number;
  readonly subgroupMatrixConfigs?: Iterable<MatrixConfig>;
};

/** The trial feature, as features and as sources name it. */
export const matrixFeature = "chromium-experimental-subgroup-matrix";

/**
 * `Caps.matrices` of an adapter: of each type of component the largest m x n x k that sums in f32 and goes evenly into tiles of 16, where every subgroup has as many invocations, and a workgroup room
 * for four of them.
 */
export function matricesOf(
  info: Info,
  features: Pick<ReadonlySet<string>, "has">,
  { maxComputeInvocationsPerWorkgroup }: { readonly maxComputeInvocationsPerWorkgroup: number },
): string {
  const lanes = subgroupSize(info);
  if (![matrixFeature, "subgroups"].every((name) => features.has(name)) || !lanes || 4 * lanes > maxComputeInvocationsPerWorkgroup)
    return "";
  const types = ["f32", ...(features.has("shader-f16") ? ["f16"] : [])];
  return types
    .flatMap((type) => {
      const fitting = [...(info.subgroupMatrixConfigs ?? [])].filter(
        ({ componentType, resultComponentType, M, N, K }) =>
          componentType === type && resultComponentType === "f32" && [M, N, K].every((side) => side >= 4 && 16 % side === 0),
      );
      const [largest] = fitting.sort((a, b) => b.M * b.N * b.K - a.M * a.N * a.K);
      return largest ? [`${type} ${largest.M}x${largest.N}x${largest.K} by ${lanes}`] : [];
    })
    .join(", ");
}

/** Invocations of every subgroup; undefined where they differ. Metal tells a range of everything it can name, while Apple's GPUs have 32. */
function subgroupSize({ vendor, subgroupMinSize, subgroupMaxSize }: Info): number | undefined {
  if (vendor === "apple") return 32;
  return subgroupMinSize === subgroupMaxSize ? subgroupMaxSize : undefined;
}
