export { type DType, dtypes, encode, fromBfloat, fromHalf, type HostArray } from "../../tensor/src/dtype.ts";
