import type { FileSystem } from "@x/checkpoint";

/** Blobs by path, changed all or nothing. */
export interface Shelf {
  get(path: string): Promise<Blob | undefined>;
  /** Every path that begins with `prefix`. */
  paths(prefix: string): Promise<string[]>;
  change(edits: { readonly put?: ReadonlyMap<string, Blob>; readonly remove?: readonly string[] }): Promise<void>;
}

/** A shelf that lasts as long as the page, for browsers that keep nothing. */
export function memoryShelf(): Shelf {
  const blobs = new Map<string, Blob>();
  return {
    get: async (path) => blobs.get(path),
    paths: async (prefix) => [...blobs.keys()].filter((path) => path.startsWith(prefix)),
    async change({ put = new Map(), remove = [] }) {
      for (const path of remove) blobs.delete(path);
      for (const [path, blob] of put) blobs.set(path, blob);
    },
  };
}

/** A shelf in IndexedDB, which lasts beyond the page. Rejects where the browser has none for this page. */
export async function databaseShelf(name: string): Promise<Shelf> {
  const opening = indexedDB.open(name, 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore("files");
  const database = await settled(opening);
  const store = (mode: IDBTransactionMode) => database.transaction("files", mode, { durability: "strict" }).objectStore("files");
  return {
    get: (path) => settled(store("readonly").get(path) as IDBRequest<Blob | undefined>),
    paths: async (prefix) => (await settled(store("readonly").getAllKeys(IDBKeyRange.bound(prefix, `${prefix}\uffff`)))) as string[],
    change({ put = new Map(), remove = [] }) {
      const files = store("readwrite");
      for (const path of remove) files.delete(path);
      for (const [path, blob] of put) files.put(blob, path);
      return new Promise<void>((resolve, reject) => {
        files.transaction.oncomplete = () => resolve();
        files.transaction.onabort = () => reject(failure(files.transaction.error));
      });
    },
  };
}

const settled = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(failure(request.error));
  });

/** With the code that the checkpoint package has words for. */
const failure = (cause: DOMException | null): Error =>
  Object.assign(new Error(cause?.message ?? "the browser's storage failed"), cause?.name === "QuotaExceededError" && { code: "ENOSPC" });

/** A shelf as the file system that training checkpoints are written to. Folders are what paths have in common. */
export function filesOn(shelf: Shelf): FileSystem {
  /** The file of this path, or the files below it. */
  const below = async (path: string) => [...((await shelf.get(path)) ? [path] : []), ...(await shelf.paths(`${path}/`))];
  return {
    async open(path) {
      const blob = await shelf.get(path);
      if (!blob) throw Object.assign(new Error(`${path} does not exist`), { code: "ENOENT" });
      return {
        size: async () => blob.size,
        read: async (begin, end) => new Uint8Array(await blob.slice(begin, end).arrayBuffer()),
        close: async () => {},
      };
    },
    async create(path) {
      const parts: Uint8Array<ArrayBuffer>[] = [];
      return {
        write: async (bytes) => void parts.push(bytes.slice()),
        sync: () => shelf.change({ put: new Map([[path, new Blob(parts)]]) }),
        close: async () => {},
      };
    },
    async rename(from, to) {
      const remove = await below(from);
      const put = new Map<string, Blob>();
      for (const path of remove) put.set(to + path.slice(from.length), (await shelf.get(path))!);
      await shelf.change({ put, remove });
    },
    remove: async (path) => shelf.change({ remove: await below(path) }),
    makeDirectory: async () => {},
    async list(path) {
      const paths = await shelf.paths(`${path}/`);
      return [...new Set(paths.map((each) => each.slice(path.length + 1).split("/")[0]!))];
    },
    syncDirectory: async () => {},
  };
}
