import type { DType, HostArray } from "@x/tensor";
import { CheckpointError, show } from "./errors.ts";
import { describe, emptyReport, formatReport, isExact, type LoadReport, suggest } from "./load-report.ts";
import { shapesToOurs, toOurs } from "./names/apply.ts";
import { type Move, type NameTable, sameNames } from "./names/rename.ts";
import type { TensorReader } from "./reader.ts";
import { type ConvertOptions, canOverflow, refusal } from "./safetensors/decode.ts";

/** A parameter that a checkpoint is loaded into. `write` gets row-major values, f16 and bf16 as Float32Array. */
export interface LoadTarget {
  readonly shape: readonly number[];
  readonly dtype: DType;
  write(values: HostArray): void;
}

export type LoadTargets = ReadonlyMap<string, LoadTarget>;

export interface LoadOptions extends ConvertOptions {
  /** Default true: anything missing, unused or mismatched is an error, with all of it. False loads what fits. */
  readonly strict?: boolean;
  /**
   * Other names of tied tensors: alias to name. Whichever the checkpoint has serves both. An alias that is a target of its own takes its
   * own values if there are any.
   */
  readonly aliases?: ReadonlyMap<string, string>;
}

/** Where the values of one target come from. */
interface Origin {
  readonly move: Move;
  readonly which: number;
}
interface Plan {
  readonly report: LoadReport;
  readonly work: { readonly name: string; readonly target: LoadTarget; readonly origin: Origin }[];
}

/** Loads `source` into `targets`. All is checked first: an error of the check leaves every target as it was. */
export async function loadCheckpoint(
  targets: LoadTargets,
  source: TensorReader,
  names: NameTable = sameNames,
  { strict = true, aliases = new Map(), narrow = false }: LoadOptions = {},
): Promise<LoadReport> {
  const { report, work } = await plan(targets, source, names, aliases, { narrow });
  if (strict && !isExact(report))
    throw new CheckpointError(`${source.name}: does not fit the model; nothing was loaded. ${formatReport(report)}`);
  // Conversions whose success depends on values are tried before anything is written. They are of integers, which are few.
  for (const { name, target, origin } of work)
    if (origin.move.published.some((published) => canOverflow(source.tensors.get(published)!.dtype, target.dtype)))
      await read(source, origin, target, name, { narrow });
  for (const { name, target, origin } of work) target.write(await read(source, origin, target, name, { narrow }));
  return report;
}

async function plan(
  targets: LoadTargets,
  source: TensorReader,
  names: NameTable,
  aliases: ReadonlyMap<string, string>,
  options: ConvertOptions,
): Promise<Plan> {
  const report = emptyReport();
  const { moves, dropped, unmatched } = names.toOurs(source.tensors.keys());
  report.dropped.push(...dropped);
  report.unused.push(...unmatched);
  const origins = collectOrigins(moves, source, report);
  const used = new Set<Move>();
  await resolveAliases(targets, origins, aliases, source, report, used);
  const work: Plan["work"] = [];
  for (const [name, target] of targets) {
    const origin = origins.get(name);
    if (origin === undefined) report.missing.push({ name, shape: target.shape, published: publishedNames(names, name), near: [] });
    else {
      used.add(origin.move);
      const wrong = misfit(source, origin, target, options);
      if (wrong) report.mismatched.push({ name, ...wrong });
      else {
        work.push({ name, target, origin });
        report.loaded.push(name);
      }
    }
  }
  const taken = new Set([...used].flatMap((move) => move.published));
  for (const name of moves.flatMap((move) => move.published)) if (source.tensors.has(name) && !taken.has(name)) report.unused.push(name);
  suggest(report);
  return { report, work };
}

/** For each name of ours where it comes from; moves that lack a published tensor give none. */
function collectOrigins(moves: readonly Move[], source: TensorReader, report: LoadReport): Map<string, Origin> {
  const origins = new Map<string, Origin>();
  for (const move of moves)
    if (move.published.every((name) => source.tensors.has(name)))
      for (const [which, name] of move.ours.entries()) {
        const first = origins.get(name)?.move.published;
        if (first === undefined) origins.set(name, { move, which });
        else
          report.mismatched.push({
            name,
            expected: first.join(" + "),
            received: `also ${move.published.join(" + ")}`,
            why: "both names stand for it",
          });
      }
  return origins;
}

async function resolveAliases(
  targets: LoadTargets,
  origins: Map<string, Origin>,
  aliases: ReadonlyMap<string, string>,
  source: TensorReader,
  report: LoadReport,
  used: Set<Move>,
): Promise<void> {
  for (const [alias, name] of aliases) {
    const [own, other] = [origins.get(alias), origins.get(name)];
    if (own === undefined && other !== undefined) {
      if (targets.has(alias)) origins.set(alias, other);
      report.tied.push({ name: alias, from: name });
    } else if (own !== undefined && other === undefined && targets.has(name)) {
      origins.set(name, own);
      report.tied.push({ name, from: alias });
    } else if (own !== undefined && other !== undefined && !targets.has(alias)) {
      used.add(own.move);
      if (await sameValues(source, own, other)) report.tied.push({ name: alias, from: name });
      else report.untied.push({ name: alias, from: name });
    }
  }
}

async function sameValues(source: TensorReader, a: Origin, b: Origin): Promise<boolean> {
  const [left, right] = await Promise.all([whole(source, a), whole(source, b)]);
  return (
    left.shape.join() === right.shape.join() &&
    left.values.length === right.values.length &&
    left.values.every((x, i) => Object.is(x, right.values[i]))
  );
}

const whole = async (source: TensorReader, { move, which }: Origin) => toOurs(move, await readPublished(source, move), which);

const readPublished = (source: TensorReader, move: Move, dtype?: DType, options?: ConvertOptions) =>
  Promise.all(
    move.published.map(async (name) => ({ shape: source.tensors.get(name)!.shape, values: await source.values(name, dtype, options) })),
  );

function publishedNames(names: NameTable, name: string): readonly string[] {
  return names.toPublished([name]).moves[0]?.published ?? [];
}

function misfit(source: TensorReader, { move, which }: Origin, target: LoadTarget, options: ConvertOptions) {
  const infos = move.published.map((name) => source.tensors.get(name)!);
  const expected = describe(target.dtype, target.shape);
  const received = infos.map(({ dtype, shape }) => describe(dtype, shape)).join(" + ");
  const refused = infos.map(({ dtype }) => refusal(dtype, target.dtype, options)).find((why) => why !== undefined);
  if (refused !== undefined) return { expected, received, why: refused };
  try {
    const shape = shapesToOurs(
      move,
      infos.map((info) => info.shape),
    )[which]!;
    if (shape.join() === target.shape.join()) return undefined;
    return { expected, received, why: `${move.published.join(" + ")} gives shape [${shape.join(", ")}]` };
  } catch (error) {
    return { expected, received, why: (error as Error).message };
  }
}

async function read(
  source: TensorReader,
  { move, which }: Origin,
  target: LoadTarget,
  name: string,
  options: ConvertOptions,
): Promise<HostArray> {
  try {
    return toOurs(move, await readPublished(source, move, target.dtype, options), which).values;
  } catch (cause) {
    throw new CheckpointError(`${source.name}: cannot load ${show(name)}: ${(cause as Error).message}`, { cause });
  }
}
