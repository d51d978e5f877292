/** What a kernel module must look like, read from its bytes before it is compiled. */
export interface ModuleLayout {
  /** Offset of the byte that says whether the imported memory is shared. */
  readonly memoryFlags: number;
  readonly exports: readonly string[];
}

const sectionNames = { import: 2, export: 7, start: 8, data: 11 } as const;

/**
 * Reads the sections of a kernel module. It must import the memory `env.memory` alone, with a maximum, and have no data and no
 * start function, so that loading it runs nothing and writes nothing. `who` names it in the errors.
 */
export function inspectModule(bytes: Uint8Array, who: string): ModuleLayout {
  const fail = (what: string): never => {
    throw new Error(`${who}: ${what}. A kernel module imports env.memory alone and has no data segment and no start function.`);
  };
  if (bytes.length < 8 || new DataView(bytes.buffer, bytes.byteOffset).getUint32(0) !== 0x0061736d) fail("not a WebAssembly module");
  let memoryFlags = -1;
  let exports: string[] = [];
  const reader = new Reader(bytes, 8);
  while (reader.at < bytes.length) {
    const section = reader.byte();
    const size = reader.unsigned();
    const end = reader.at + size;
    if (end > bytes.length) fail("its bytes end inside a section");
    if (section === sectionNames.start) fail("it has a start function");
    if (section === sectionNames.data && reader.unsigned() > 0) fail("it has data segments");
    if (section === sectionNames.import) memoryFlags = readImports(reader, fail);
    if (section === sectionNames.export) exports = readExports(reader);
    reader.at = end;
  }
  if (memoryFlags < 0) fail("it imports no memory");
  return { memoryFlags, exports };
}

function readImports(reader: Reader, fail: (what: string) => never): number {
  let flags = -1;
  for (let count = reader.unsigned(); count > 0; count--) {
    const name = `${reader.text()}.${reader.text()}`;
    if (reader.byte() !== 2 || name !== "env.memory") fail(`it imports ${name}`);
    flags = reader.at;
    if ((reader.byte() & 1) === 0) fail("its memory has no maximum");
    reader.unsigned();
    reader.unsigned();
  }
  return flags;
}

function readExports(reader: Reader): string[] {
  const names: string[] = [];
  for (let count = reader.unsigned(); count > 0; count--) {
    const name = reader.text();
    if (reader.byte() === 0) names.push(name);
    reader.unsigned();
  }
  return names;
}

class Reader {
  readonly bytes: Uint8Array;
  at: number;
  constructor(bytes: Uint8Array, at: number) {
    this.bytes = bytes;
    this.at = at;
  }
  byte(): number {
    return this.bytes[this.at++] ?? 0;
  }
  unsigned(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.byte();
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  }
  text(): string {
    const length = this.unsigned();
    let text = "";
    for (let i = 0; i < length; i++) text += String.fromCharCode(this.byte());
    return text;
  }
}

/** The module's bytes for a memory that is shared or not: the import's flag is set accordingly, in a copy. */
export function withSharedFlag(bytes: Uint8Array, shared: boolean, who: string): Uint8Array<ArrayBuffer> {
  const { memoryFlags } = inspectModule(bytes, who);
  const copy = Uint8Array.from(bytes);
  copy[memoryFlags] = shared ? 3 : 1;
  return copy;
}
