import { CheckpointError, type FileSystem, openTraining } from "@x/checkpoint";
import type { KeptWords } from "../protocol.ts";
import { databaseShelf, filesOn, memoryShelf, type Shelf } from "./kept-files.ts";
import type { TrainingText } from "./parts.ts";
import { describedRun } from "./run-description.ts";

const root = "runs";

/** The runs that this browser keeps, each in a directory with its text and its checkpoints. Only the newest stays. */
export class Runs {
  readonly #shelf: Shelf;
  readonly files: FileSystem;
  /** Whether they outlive the page. */
  readonly lasting: boolean;

  constructor(shelf: Shelf, lasting: boolean) {
    this.#shelf = shelf;
    this.lasting = lasting;
    this.files = filesOn(shelf);
  }

  /** On the browser's storage; in memory where it has none for this page, or where another tab uses it: two writers would harm each other. */
  static async open(): Promise<Runs> {
    const alone = await new Promise<boolean>((resolve) => {
      const held = () => new Promise<never>(() => {});
      const asked = globalThis.navigator?.locks?.request("x-playground", { ifAvailable: true }, (lock) => {
        resolve(lock !== null);
        return lock ? held() : undefined;
      });
      if (!asked) resolve(true);
    });
    const shelf = alone ? await databaseShelf("x-playground").catch(() => undefined) : undefined;
    return new Runs(shelf ?? memoryShelf(), shelf !== undefined);
  }

  /** A directory for a new run, with its text. */
  async add(text: TrainingText): Promise<string> {
    const directory = `${root}/${Date.now().toString().padStart(15, "0")}`;
    await this.#shelf.change({ put: new Map([[`${directory}/text.json`, new Blob([JSON.stringify(text)])]]) });
    return directory;
  }

  /** Removes every run but one. */
  async keepOnly(directory: string): Promise<void> {
    for (const name of await this.files.list(root)) if (`${root}/${name}` !== directory) await this.remove(`${root}/${name}`);
  }

  remove(directory: string): Promise<void> {
    return this.files.remove(directory);
  }

  async text(directory: string): Promise<TrainingText> {
    const blob = await this.#shelf.get(`${directory}/text.json`);
    if (!blob) throw new CheckpointError("The text of the kept run is gone. Start a new run.");
    return JSON.parse(await blob.text());
  }

  /** The newest run that has a checkpoint. */
  async newest(): Promise<{ readonly words: KeptWords; readonly directory: string; readonly json: unknown } | undefined> {
    for (const name of (await this.files.list(root)).sort().reverse()) {
      const directory = `${root}/${name}`;
      const opened = await openTraining(directory, { files: this.files, warn: () => {} }).catch(() => undefined);
      if (!opened) continue;
      await opened.close();
      try {
        const { run } = describedRun(opened.json, directory);
        const { name: text } = await this.text(directory);
        return { directory, json: opened.json, words: { step: opened.step, preset: run.preset, text } };
      } catch {
        // Kept by another version of this page.
      }
    }
    return undefined;
  }
}
