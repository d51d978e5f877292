export { philox, randomBits, uniformFromBits } from "./random.ts";
