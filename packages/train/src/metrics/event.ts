/**
 * The few messages of TensorBoard's event files, encoded by hand (protocol buffers: tensorflow/core/util/event.proto and
 * framework/summary.proto), and the TFRecord frame around each.
 */
import { maskedCrc32c } from "./crc32c.ts";

export interface Event {
  /** Seconds since 1970. */
  wallTime: number;
  step?: number;
  /** First event of a file: "brain.Event:2". */
  fileVersion?: string;
  /** Scalars by tag. */
  scalars?: readonly (readonly [tag: string, value: number])[];
  /** This run goes on at `step`: TensorBoard forgets what it has from that step on. */
  sessionStart?: boolean;
}

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

/** An Event message. */
export function encodeEvent({ wallTime, step, fileVersion, scalars, sessionStart }: Event): Uint8Array {
  const fields = [key(1, FIXED64), float64(wallTime)];
  if (step !== undefined) fields.push(key(2, VARINT), varint(step));
  if (fileVersion !== undefined) fields.push(delimited(3, utf8(fileVersion)));
  if (scalars) fields.push(delimited(5, concat(scalars.map(([tag, value]) => delimited(1, scalar(tag, value))))));
  if (sessionStart) fields.push(delimited(7, concat([key(1, VARINT), varint(1)])));
  return concat(fields);
}

/** A TFRecord: length (u64), masked CRC of the length, data, masked CRC of the data; little-endian. */
export function frame(data: Uint8Array): Uint8Array {
  const record = new Uint8Array(data.length + 16);
  const view = new DataView(record.buffer);
  view.setUint32(0, data.length, true);
  view.setUint32(8, maskedCrc32c(record.subarray(0, 8)), true);
  record.set(data, 12);
  view.setUint32(12 + data.length, maskedCrc32c(data), true);
  return record;
}

/** Summary.Value: tag, simple_value. */
function scalar(tag: string, value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setFloat32(0, value, true);
  return concat([delimited(1, utf8(tag)), key(2, FIXED32), bytes]);
}

const utf8 = (text: string) => new TextEncoder().encode(text);
const key = (field: number, wire: number) => Uint8Array.of((field << 3) | wire);
const delimited = (field: number, data: Uint8Array) => concat([key(field, BYTES), varint(data.length), data]);

/** A whole number from 0 to 2^53 - 1, seven bits a byte, lowest first. */
function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  for (; value >= 128; value = Math.floor(value / 128)) bytes.push((value % 128) | 128);
  bytes.push(value);
  return Uint8Array.from(bytes);
}

function float64(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, value, true);
  return bytes;
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
