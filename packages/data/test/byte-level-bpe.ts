/** A byte-level BPE tokenizer.json as GPT-2's is, small: 256 bytes, some merges (one across a character's bytes), one special token. */
export function byteLevelBpe() {
  const byteToSymbol = byteSymbols();
  const symbols = (text: string) => [...new TextEncoder().encode(text)].map((byte) => byteToSymbol[byte]!);
  const vocab: Record<string, number> = Object.fromEntries(byteToSymbol.map((symbol, id) => [symbol, id]));
  const merges: [string, string][] = [];
  const merge = (left: string, right: string) => {
    merges.push([left, right]);
    vocab[left + right] = Object.keys(vocab).length;
  };
  merge("h", "e");
  merge("l", "l");
  merge("he", "ll");
  merge("Ġ", "w");
  const [first, second] = symbols("😀") as [string, string];
  merge(first, second);
  const eos = Object.keys(vocab).length;
  return {
    version: "1.0",
    added_tokens: [
      { id: eos, content: "<|endoftext|>", single_word: false, lstrip: false, rstrip: false, normalized: false, special: true },
    ],
    normalizer: null,
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: { type: "ByteLevel", add_prefix_space: true, trim_offsets: false, use_regex: true },
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: { type: "BPE", dropout: null, unk_token: null, fuse_unk: false, byte_fallback: false, vocab, merges },
  };
}

/** GPT-2's printable symbol for each byte: itself where printable, else the next code point from U+0100 on. */
function byteSymbols(): string[] {
  const printable = (byte: number) => (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(printable(byte) ? byte : next++));
}
