import { listDirectory } from "#platform";
import { DataError, integer } from "../errors.ts";
import { readText } from "./text-chunks.ts";

export interface RepositoryTextOptions {
  /** Endings of the files to take, with the dot. Default: sources and documents (.ts .tsx .js .mjs .c .h .wgsl .cu .py .md). */
  extensions?: readonly string[];
  /** Stop before the file with which the text would be larger than this, in bytes of UTF-8. Default 16 MiB. */
  maxBytes?: number;
}

export interface RepositoryText {
  /** The files one after the other, each beginning with a line that names it. */
  text: string;
  /** Paths below the directory, with "/", in the order of the text. */
  files: string[];
}

const EXTENSIONS = [".ts", ".tsx", ".js", ".mjs", ".c", ".h", ".wgsl", ".cu", ".py", ".md"];
const SKIPPED_DIRECTORIES = new Set(["node_modules", "dist", "build", "coverage", "fixtures", "__pycache__"]);
const SKIPPED_FILES = /\.(gen|min)\.[^.]+$|\.d\.ts$|(^|[.-])lock(\.|$)|^CHANGELOG\.md$/;

/**
 * The sources and documents below a directory as one text, for a first training without a download. Node only.
 * The order depends on the names alone. Left out: hidden files and directories, links, what is installed, built or generated,
 * lock files, and files that are no UTF-8 text.
 * @throws DataError when the directory cannot be read or holds no such file.
 */
export async function gatherRepositoryText(directory: string, options: RepositoryTextOptions = {}): Promise<RepositoryText> {
  const { extensions = EXTENSIONS } = options;
  const maxBytes = integer("gatherRepositoryText", "maxBytes", options.maxBytes ?? 1 << 24, 1);
  const encoder = new TextEncoder();
  const files: string[] = [];
  const pieces: string[] = [];
  let bytes = 0;
  for await (const path of walk(directory, "", extensions)) {
    const content = await textOrNothing(`${directory}/${path}`);
    if (content === undefined) continue;
    const piece = `==> ${path}\n${content.endsWith("\n") ? content : `${content}\n`}\n`;
    bytes += encoder.encode(piece).length;
    if (bytes > maxBytes) break;
    files.push(path);
    pieces.push(piece);
  }
  if (files.length === 0) {
    throw new DataError(
      `${directory}: no text ending in ${extensions.join(", ")} within ${maxBytes} bytes; name another directory or --data.`,
    );
  }
  return { text: pieces.join(""), files };
}

/** Paths of the files to take, below `directory`, sorted by UTF-16 code unit within each directory. */
async function* walk(directory: string, below: string, extensions: readonly string[]): AsyncGenerator<string, void, undefined> {
  const entries = await list(`${directory}/${below}`);
  for (const { name, isFile, isDirectory } of entries) {
    if (name.startsWith(".")) continue;
    if (isDirectory && !SKIPPED_DIRECTORIES.has(name)) yield* walk(directory, `${below}${name}/`, extensions);
    if (isFile && !SKIPPED_FILES.test(name) && extensions.some((extension) => name.endsWith(extension))) yield below + name;
  }
}

async function list(path: string) {
  try {
    return (await listDirectory(path)).sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch (cause) {
    if (cause instanceof DataError) throw cause;
    throw new DataError(`${path}: cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

/** The text of a file, or undefined where it is empty, no text, or gone. */
async function textOrNothing(path: string): Promise<string | undefined> {
  try {
    return await readText(path);
  } catch {
    return undefined;
  }
}
