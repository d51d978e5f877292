export { type ArgumentLayout, layoutOf, packArguments } from "./arguments.ts";
export { collapse, type Iteration, type LeafAccess, maximumRank } from "./collapse.ts";
export { type CompiledProgram, type CompileOptions, cacheKey, compileProgram } from "./compile.ts";
export { unsupported } from "./unsupported.ts";
