import type { Device } from "@x/tensor";
import { presetOf } from "../presets.ts";
import type { Command, Report, TextChoice } from "../protocol.ts";
import { lookForDevices, openDevice } from "./device.ts";
import { families } from "./families.ts";
import type { TrainingText } from "./parts.ts";
import { describedRun } from "./run-description.ts";
import { unpackRun } from "./run-file.ts";
import { Runs } from "./runs.ts";
import { Session, type SessionOptions } from "./session.ts";

type Handlers = { readonly [T in Command["type"]]: (command: Extract<Command, { type: T }>) => Promise<void> };

/** What a session is made of, but for its device. */
interface Plan extends Pick<SessionOptions, "preset" | "parts" | "steps" | "seed" | "text" | "earlier" | "directory"> {
  /** Goes on from the checkpoint in the directory, and waits there to be resumed. */
  readonly restore: boolean;
}

/** Does what the page asks, one session at a time. Nothing that goes wrong ends it: it comes back as words. */
export class Host {
  readonly #report: (report: Report) => void;
  readonly #runs = Runs.open();
  #session: Session | undefined;

  constructor(report: (report: Report) => void) {
    this.#report = report;
  }

  /** Tells the page what there is to choose from. */
  async greet(): Promise<void> {
    const runs = await this.#runs;
    const [devices, { ownSources }, kept] = await Promise.all([lookForDevices(), import("./own-sources.ts"), runs.newest()]);
    const { name, text, files } = ownSources;
    this.#report({ type: "ready", devices, kept: kept?.words, sources: { name, characters: text.length, files } });
  }

  async handle(command: Command): Promise<void> {
    try {
      await (this.#handlers[command.type] as (command: Command) => Promise<void>)(command);
    } catch (error) {
      this.#report({ type: "failed", command: command.type, words: wordsOf(error), kept: undefined, ended: false });
    }
  }

  readonly #handlers: Handlers = {
    start: ({ preset, parts, device, text, steps, seed }) =>
      this.#beginNew(device, text, async (_, text, directory) => ({
        ...{ preset: presetOf(preset)!, parts, steps, seed, text, directory, restore: false },
      })),
    open: ({ file, name, device, text }) =>
      this.#beginNew(device, text, async (runs, text, directory) =>
        goingOn(await unpackRun(file, name, directory, runs.files), name, text, directory),
      ),
    recover: async ({ device }) => {
      const runs = await this.#runs;
      const kept = await runs.newest();
      if (!kept) throw new Error("No checkpoint is kept. Start a new run.");
      await this.#begin(device, goingOn(kept.json, "The kept checkpoint", await runs.text(kept.directory), kept.directory));
    },
    pause: () => this.#running.pause(),
    resume: async () => this.#running.resume(),
    save: async () => {
      const { blob, step } = await this.#running.save();
      this.#report({ type: "saved", name: `${this.#running.words.preset}-step-${step}.safetensors`, file: blob });
    },
    sample: ({ prompt, temperature }) => this.#running.sample(prompt, temperature),
    look: ({ layer, head }) => this.#running.look(layer, head),
  };

  get #running(): Session {
    if (!this.#session) throw new Error("Nothing is being trained. Start a run first.");
    return this.#session;
  }

  /** Begins a run in a directory of its own, which goes again where that fails. */
  async #beginNew(
    device: string,
    choice: TextChoice,
    plan: (runs: Runs, text: TrainingText, directory: string) => Promise<Plan>,
  ): Promise<void> {
    const runs = await this.#runs;
    const text = await textOf(choice);
    const directory = await runs.add(text);
    try {
      await this.#begin(device, await plan(runs, text, directory));
    } catch (error) {
      await runs.remove(directory);
      throw error;
    }
    await runs.keepOnly(directory);
  }

  /** Puts a session in the place of the one that is there, which waits meanwhile. Where that fails, the old one goes on as if nothing had been. */
  async #begin(device: string, plan: Plan): Promise<void> {
    const { files, lasting } = await this.#runs;
    const makeModel = await families[plan.preset.family](plan.parts);
    let made: Session | undefined;
    const lost = (error: Error) => made && void this.#lost(made, error);
    const make = async () => {
      const options = { ...plan, make: makeModel, files, lasting, report: this.#report };
      made = await sessionOn(await openDevice(device, lost), options, plan.restore);
      return made;
    };
    const old = this.#session;
    const next = await (old ? old.gate.run(make) : make());
    await old?.close();
    this.#session = next;
    if (plan.restore) next.gate.pause();
    this.#report({ type: "begun", run: next.words, paused: plan.restore });
    if (plan.restore) void next.measure().catch((error: unknown) => this.#lost(next, error));
    void next.train().catch((error: unknown) => this.#lost(next, error));
  }

  /** A run has ended before its time: says why, and from where it can go on. */
  async #lost(session: Session, error: unknown): Promise<void> {
    if (this.#session !== session) return;
    this.#session = undefined;
    await session.close().catch(() => undefined);
    const kept = await (await this.#runs).newest();
    this.#report({ type: "failed", command: "training", words: wordsOf(error), kept: kept?.words.step, ended: true });
  }
}

async function sessionOn(device: Device, options: Omit<SessionOptions, "device">, restore: boolean): Promise<Session> {
  try {
    const session = new Session({ ...options, device });
    if (restore) await session.restore();
    return session;
  } catch (error) {
    device.close();
    throw error;
  }
}

/** The plan of a run that a checkpoint of this JSON goes on with. */
function goingOn(json: unknown, name: string, text: TrainingText, directory: string): Plan {
  const { run, preset, parts } = describedRun(json, name);
  return { preset, parts, steps: run.steps, seed: run.seed, text, directory, earlier: run, restore: true };
}

async function textOf(choice: TextChoice): Promise<TrainingText> {
  return choice.kind === "own" ? choice : (await import("./own-sources.ts")).ownSources;
}

const wordsOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
