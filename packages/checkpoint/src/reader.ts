import type { DType, HostArray } from "@x/tensor";
import type { ConvertOptions } from "./safetensors/decode.ts";
import type { TensorInfo } from "./safetensors/header.ts";

/** Named tensors that can be read one by one: a safetensors file, or several as one. */
export interface TensorReader {
  /** What messages call it. */
  readonly name: string;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly metadata: ReadonlyMap<string, string>;
  /** The tensor's bytes as they stand in the file, in pieces of whole elements. */
  chunks(name: string): AsyncGenerator<Uint8Array>;
  /** The tensor's bytes as they stand in the file, in memory of their own. */
  bytes(name: string): Promise<Uint8Array>;
  /** The tensor's values in row-major order as `dtype`, or as what the file's type becomes by itself (`nativeDType`). */
  values(name: string, dtype?: DType, options?: ConvertOptions): Promise<HostArray>;
  close(): Promise<void>;
}
