import type { Device } from "@x/tensor";
import type { TestRunner } from "./conformance/conformance.ts";

/** One entry of a device matrix. */
export interface DeviceEntry {
  readonly name: string;
  /** Rejects with the reason where the device is not to be had. */
  open(): Device | Promise<Device>;
  /** The device must be there: its absence is a failure, not a skip. */
  readonly required?: boolean;
}

/**
 * Registers the same tests on every device that is there. An absent one is loud: a line "NAME: REASON, N tests not run" on the console and, as a
 * skipped test, in the report; where it is `required`, a failing test. Devices are opened first, so await it at the top of a test file.
 */
export async function describeDevices(
  devices: readonly DeviceEntry[],
  body: (device: Device, runner: TestRunner) => void,
  runner: TestRunner & { readonly test: { skip?(name: string, body: () => Promise<void>): unknown } },
): Promise<void> {
  const opened = await Promise.all(devices.map(open));
  for (const [i, { name, required }] of devices.entries()) {
    const { device, reason } = opened[i]!;
    if (device) runner.describe(name, () => body(device, runner));
    else reportAbsent(`${name}: ${reason}, ${countTests(name, body)} not run`, required ?? false, runner);
  }
}

async function open(entry: DeviceEntry): Promise<{ readonly device?: Device; readonly reason?: string }> {
  try {
    return { device: await entry.open() };
  } catch (error) {
    return { reason: (error instanceof Error ? error.message : String(error)).split("\n")[0]!.replace(/\.$/, "") };
  }
}

function reportAbsent(line: string, required: boolean, { test }: Parameters<typeof describeDevices>[2]): void {
  const fail = async () => {
    throw new Error(`${line}. It is required here.`);
  };
  if (required) {
    test(line, fail);
    return;
  }
  console.warn(line);
  test.skip?.(line, async () => {});
}

/** How many tests a body would register, told by a runner that only counts. */
function countTests(name: string, body: (device: Device, runner: TestRunner) => void): string {
  let count = 0;
  const counting: TestRunner = { describe: (_, inner) => inner(), test: () => count++ };
  try {
    body({ name } as Device, counting);
  } catch {
    return count === 0 ? "its tests" : `${count} tests and more`;
  }
  return `${count} ${count === 1 ? "test" : "tests"}`;
}
