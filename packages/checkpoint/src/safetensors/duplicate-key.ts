/**
 * The first key that an object of `text` (valid JSON) has twice, looking at objects within objects up to depth 2: those of a
 * safetensors header, its tensors and their fields. Undefined if there is none.
 */
export function duplicateKey(text: string): string | undefined {
  const keys: Set<string>[] = [];
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const character = text[i];
    if (character === "{" || character === "[") {
      depth++;
      if (depth <= 2) keys[depth] = new Set();
    } else if (character === "}" || character === "]") depth--;
    else if (character === '"') {
      const end = endOfString(text, i);
      if (depth <= 2 && isKey(text, end)) {
        const key = JSON.parse(text.slice(i, end)) as string;
        if (keys[depth]!.has(key)) return key;
        keys[depth]!.add(key);
      }
      i = end - 1;
    }
  }
  return undefined;
}

/** Index after the closing quote of the string that opens at `start`. */
function endOfString(text: string, start: number): number {
  let i = start + 1;
  while (text[i] !== '"') i += text[i] === "\\" ? 2 : 1;
  return i + 1;
}

function isKey(text: string, afterString: number): boolean {
  let i = afterString;
  while (text[i] === " " || text[i] === "\n" || text[i] === "\t" || text[i] === "\r") i++;
  return text[i] === ":";
}
