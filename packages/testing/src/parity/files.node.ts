import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

/** The text of a file. */
export const readText = (directory: string, name: string): Promise<string> => readFile(join(directory, name), "utf8");
export const listFiles = (directory: string): Promise<string[]> => readdir(directory);
