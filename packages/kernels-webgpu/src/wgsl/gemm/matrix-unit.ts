import type { WebgpuLaunch } from "../../device/launch.ts";

/** Products of small matrices that the invocations of a subgroup make together, as text: c (m x n) += a (m x k) b (k x n), summed in f32. */
export interface MatrixUnit {
  /** What labels and figures call it. */
  readonly name: string;
  /** The type of the numbers of a and b. */
  readonly component: "f16" | "f32";
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** Invocations of a subgroup. */
  readonly lanes: number;
  readonly enable: NonNullable<WebgpuLaunch["enable"]>;
  /** Declarations of what the rest is made of. */
  readonly code: string;
  /** What main takes beside its usual parameters; it ends in a comma. */
  readonly parameter: string;
  /** The number of the subgroup in its workgroup. */
  readonly subgroup: string;
  /** The type of c; a variable without a value is 0. */
  readonly sum: string;
  /** a and b out of workgroup memory, `tile_a` and `tile_b`: from the number at `at` on, `stride` numbers from one step of the sum to the next. */
  left(at: string, stride: number): string;
  right(at: string, stride: number): string;
  multiplyAdd(a: string, b: string, c: string): string;
  /** A statement: c into `tile_c`, f32 in workgroup memory, row by row. */
  store(c: string, at: string, stride: number): string;
}

/** Subgroup matrices as Chromium has them on trial: types say columns before rows. */
export function subgroupUnit({ component, m, n, k, lanes }: Pick<MatrixUnit, "component" | "m" | "n" | "k" | "lanes">): MatrixUnit {
  return {
    ...{ name: `${component} ${m}x${n}x${k} by ${lanes}`, component, m, n, k, lanes },
    enable: [...(component === "f16" ? (["f16"] as const) : []), "subgroups", "chromium_experimental_subgroup_matrix"],
    code: `alias Left = subgroup_matrix_left<${component}, ${k}, ${m}>;
alias Right = subgroup_matrix_right<${component}, ${n}, ${k}>;
alias Sum = subgroup_matrix_result<f32, ${n}, ${m}>;`,
    ...{ parameter: "@builtin(subgroup_id) subgroup: u32,", subgroup: "subgroup", sum: "Sum" },
    left: (at, stride) => `subgroupMatrixLoad<Left, col_major>(&tile_a, ${at}, ${stride}u)`,
    right: (at, stride) => `subgroupMatrixLoad<Right, row_major>(&tile_b, ${at}, ${stride}u)`,
    multiplyAdd: (a, b, c) => `subgroupMatrixMultiplyAccumulate(${a}, ${b}, ${c})`,
    store: (c, at, stride) => `subgroupMatrixStore<row_major>(&tile_c, ${at}, ${c}, ${stride}u);`,
  };
}
