/** A file open for reading. */
export interface ReadFile {
  size(): Promise<number>;
  /** Bytes [begin, end); fewer where the file ends before. */
  read(begin: number, end: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** A file open for writing from its start. */
export interface WriteFile {
  write(bytes: Uint8Array): Promise<void>;
  /** Returns once the written bytes survive a loss of power. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/**
 * The few calls on files that this package makes, so that they can stand on Node, on a browser's private file system, or on a test's
 * disk that is full. Paths are joined with "/". Failures carry a `code` such as "ENOENT" or "ENOSPC", as Node's do.
 */
export interface FileSystem {
  open(path: string): Promise<ReadFile>;
  /** Creates the file, or empties it. */
  create(path: string): Promise<WriteFile>;
  /** Atomic; replaces a file of the new name. */
  rename(from: string, to: string): Promise<void>;
  /** Removes a file, or a directory with all in it; absent is fine. */
  remove(path: string): Promise<void>;
  /** Makes the directory and those above it; present is fine. */
  makeDirectory(path: string): Promise<void>;
  /** Names in the directory. */
  list(path: string): Promise<string[]>;
  /** Returns once names made, renamed or removed in the directory survive a loss of power. */
  syncDirectory(path: string): Promise<void>;
}

/** What differs between Node and browsers. */
export interface Platform {
  /** The file system of this machine. */
  localFiles(): FileSystem;
  /** CRC-32 (the polynomial of zip and PNG) of `bytes`, going on from `previous`. */
  crc32(bytes: Uint8Array, previous?: number): number;
}
