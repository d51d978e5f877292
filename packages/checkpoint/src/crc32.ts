let tables: Uint32Array[] | undefined;

/** Table k advances a byte through k more bytes of zeros: four bytes are taken at a time. */
function makeTables(): Uint32Array[] {
  const made = Array.from({ length: 4 }, () => new Uint32Array(256));
  for (let byte = 0; byte < 256; byte++) {
    let value = byte;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
    made[0]![byte] = value;
  }
  for (let k = 1; k < 4; k++)
    for (let byte = 0; byte < 256; byte++) {
      const before = made[k - 1]![byte]!;
      made[k]![byte] = (before >>> 8) ^ made[0]![before & 255]!;
    }
  return made;
}

/** CRC-32 (polynomial 0xEDB88320) of `bytes`, going on from `previous`; for hosts without a native one. */
export function crc32(bytes: Uint8Array, previous = 0): number {
  tables ??= makeTables();
  const [t0, t1, t2, t3] = tables as [Uint32Array, Uint32Array, Uint32Array, Uint32Array];
  let crc = ~previous;
  let i = 0;
  for (; i + 4 <= bytes.length; i += 4) {
    crc ^= bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24);
    crc = t3[crc & 255]! ^ t2[(crc >>> 8) & 255]! ^ t1[(crc >>> 16) & 255]! ^ t0[crc >>> 24]!;
  }
  for (; i < bytes.length; i++) crc = (crc >>> 8) ^ t0[(crc ^ bytes[i]!) & 255]!;
  return ~crc >>> 0;
}
