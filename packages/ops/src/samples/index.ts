export { samples } from "./all.ts";
