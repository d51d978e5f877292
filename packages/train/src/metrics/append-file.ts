/** A file that grows at its end. Appended bytes are with the system, not in a buffer of the program, when `append` returns. */
export interface AppendFile {
  append(bytes: Uint8Array): void;
  close(): void;
}
