export {
  type DecoderConfig,
  decoderConfig,
  type FullDecoderConfig,
  type Mixer,
  mixers,
  type NormKind,
  norms,
  type Position,
  positions,
  type ResidualKind,
  residuals,
} from "./config.ts";
export { Decoder, type DecoderOptions, type DecoderStateOptions } from "./decoder.ts";
