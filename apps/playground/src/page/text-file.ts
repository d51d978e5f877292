/** More would not fit beside the model in a page's memory. */
const maxBytes = 32 * 1024 * 1024;

/** The text of a file that a user chose. Rejects with words where it is none. */
export async function readTextFile(file: Blob, name: string): Promise<string> {
  if (file.size === 0) throw new Error(`${name}: the file is empty. Choose one with some text in it.`);
  if (file.size > maxBytes)
    throw new Error(`${name}: has ${megabytes(file.size)}, at most ${megabytes(maxBytes)} are taken. Choose a part of it.`);
  const bytes = new Uint8Array(await file.arrayBuffer());
  if (bytes.includes(0)) throw new Error(`${name}: is no text file (it has bytes that are zero). Choose a text.`);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new Error(`${name}: is not UTF-8. Save it as UTF-8 first.`);
  }
}

const megabytes = (bytes: number): string => `${(bytes / 1024 / 1024).toFixed(1)} MB`;
