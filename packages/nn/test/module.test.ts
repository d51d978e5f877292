import {
  Cell,
  Parameter,
  reference,
  ShapeError,
  State,
  setDefaultDevice,
  type Tensor,
  TensorError,
  tensor,
  valueAndGrad,
  zeros,
} from "@x/tensor";
import fc from "fast-check";
import { beforeAll, describe, expect, expectTypeOf, test } from "vitest";
import { cellAliases, cellPaths, Embedding, Linear, Module, namedCells, parameter, zerosInit } from "../src/index.ts";

const device = reference();
beforeAll(() => setDefaultDevice(device));

const weight = (...shape: number[]) => parameter(shape, zerosInit);

class Block extends Module {
  readonly mlp: { up: Linear; down: Linear };
  constructor(dim: number) {
    super();
    this.mlp = {
      up: new Linear({ inputDim: dim, outputDim: 2 * dim, bias: false }),
      down: new Linear({ inputDim: 2 * dim, outputDim: dim }),
    };
  }
  forward(x: Tensor): Tensor {
    return this.mlp.down.forward(this.mlp.up.forward(x));
  }
}

class Model extends Module {
  readonly tokens = new Embedding({ vocabSize: 5, dim: 3 });
  readonly blocks = [new Block(3), new Block(3)];
  readonly count = new State({ shape: [1] });
  readonly table = new Cell({ shape: [9] });
  readonly head = { weight: this.tokens.weight };
  forward(ids: Tensor): Tensor {
    return this.blocks.reduce((x, block) => block.forward(x), this.tokens.forward(ids));
  }
}

describe("paths", () => {
  test("lead through lists, records and maps, in the order of fields; constants are left out", () => {
    const model = new Model();
    expect([...cellPaths(model)].map(([path]) => path)).toEqual([
      "tokens.weight",
      "blocks.0.mlp.up.weight",
      "blocks.0.mlp.down.weight",
      "blocks.0.mlp.down.bias",
      "blocks.1.mlp.up.weight",
      "blocks.1.mlp.down.weight",
      "blocks.1.mlp.down.bias",
      "count",
      "head.weight",
    ]);
    class Experts extends Module {
      readonly byName = new Map([
        ["left", new Linear({ inputDim: 1, outputDim: 1, bias: false })],
        ["right", new Linear({ inputDim: 1, outputDim: 1, bias: false })],
      ]);
      forward(): void {}
    }
    expect([...new Experts().namedParameters().keys()]).toEqual(["byName.left.weight", "byName.right.weight"]);
  });

  test("a tied cell comes once, its other paths are aliases", () => {
    const model = new Model();
    expect([...namedCells(model).keys()]).not.toContain("head.weight");
    expect(cellAliases(model)).toEqual(new Map([["head.weight", "tokens.weight"]]));
    expect(model.numParameters).toBe(5 * 3 + 2 * (6 * 3 + 3 * 6 + 3));
  });

  test("states are carried along but not trained", () => {
    const model = new Model();
    expect(namedCells(model).has("count")).toBe(true);
    expect(model.namedParameters().has("count")).toBe(false);
    expect(model.parameters()).toEqual([...model.namedParameters().values()]);
  });

  test("a shared part comes under each of its paths, its cells once", () => {
    class Shared extends Module {
      readonly first = new Linear({ inputDim: 2, outputDim: 2 });
      readonly second = this.first;
      forward(): void {}
    }
    const shared = new Shared();
    expect([...shared.namedParameters().keys()]).toEqual(["first.weight", "first.bias"]);
    expect([...cellAliases(shared)]).toEqual([
      ["second.weight", "first.weight"],
      ["second.bias", "first.bias"],
    ]);
  });

  test("a module that contains itself is refused, a private reference is not followed", () => {
    class Child extends Module {
      readonly parent: Module;
      readonly #model: Module;
      constructor(model: Module, open: boolean) {
        super();
        this.#model = model;
        this.parent = open ? model : this.#model;
        if (!open) delete (this as { parent?: Module }).parent;
      }
      forward(): void {}
    }
    class Parent extends Module {
      readonly child: Child;
      constructor(open: boolean) {
        super();
        this.child = new Child(this, open);
      }
      forward(): void {}
    }
    expect(new Parent(false).parameters()).toEqual([]);
    expect(() => new Parent(true).parameters()).toThrow(
      "Parent: child.parent is a module that contains it. Keep references to outer modules in #private",
    );
  });

  type Tree = { [key: string]: Tree } | Tree[] | null;
  const { tree } = fc.letrec<{ tree: Tree }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 4 },
      fc.constant(null),
      fc.array(tie("tree"), { maxLength: 3 }),
      fc.dictionary(fc.stringMatching(/^[a-z]{1,4}$/), tie("tree"), { maxKeys: 3 }),
    ),
  }));

  test("every nesting of lists and records gives the path by which JavaScript reaches the cell", () => {
    class Holder extends Module {
      readonly root: unknown;
      constructor(shape: Tree) {
        super();
        const grow = (node: Tree): unknown => {
          if (node === null) return weight(1);
          return Array.isArray(node) ? node.map(grow) : Object.fromEntries(Object.entries(node).map(([key, inner]) => [key, grow(inner)]));
        };
        this.root = grow(shape);
      }
      forward(): void {}
    }
    const leaves = (node: Tree): number => (node === null ? 1 : Object.values(node).reduce((sum, inner) => sum + leaves(inner), 0));
    fc.assert(
      fc.property(tree, (shape) => {
        const holder = new Holder(shape);
        const named = holder.namedParameters();
        expect(named.size).toBe(leaves(shape));
        for (const [path, cell] of named) {
          const reached = path.split(".").reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], holder);
          expect(reached).toBe(cell);
        }
      }),
      { numRuns: 50 },
    );
  });
});

describe("calling a module", () => {
  test("is a scope: what is neither returned nor saved goes back", async () => {
    class Keeps extends Module {
      lost: Tensor | undefined;
      forward(x: Tensor): { y: Tensor; list: Tensor[] } {
        this.lost = x.matmul(x);
        return { y: x.matmul(this.lost), list: [x.matmul(x)] };
      }
    }
    const module = new Keeps();
    const { y, list } = module.forward(
      tensor([
        [1, 2],
        [3, 4],
      ]),
    );
    expect(await y.array()).toEqual([
      [37, 54],
      [81, 118],
    ]);
    expect(await list[0]!.array()).toEqual([
      [7, 10],
      [15, 22],
    ]);
    expect(() => module.lost!.inner).toThrow("used after it was freed");
  });

  test("keeps what a gradient saves", async () => {
    const block = new Block(2);
    const { gradients } = valueAndGrad(() => block.forward(tensor([[1, 2]])).sum(), block.mlp.down.bias!);
    expect(await gradients.array()).toEqual([1, 1]);
  });

  test("leaves no memory live after many calls", () => {
    const block = new Block(4);
    const x = zeros([3, 4]).copy();
    const live = () => {
      block.forward(x).dispose();
      return device.memory().live;
    };
    const first = live();
    for (let i = 0; i < 20; i++) expect(live()).toBe(first);
  });

  test("refuses a promise", () => {
    class Late extends Module {
      async forward(): Promise<void> {}
    }
    expect(() => new Late().forward()).toThrow(/Late: .*must be synchronous/);
  });

  test("an error names the path to the layer in which it arose", () => {
    class GPT extends Module {
      readonly blocks = [new Block(3), new Block(4)];
      forward(x: Tensor): Tensor {
        return this.blocks.reduce((y, block) => block.forward(y), x);
      }
    }
    const wrong = () => new GPT().forward(zeros([2, 3]));
    expect(wrong).toThrow(ShapeError);
    expect(wrong).toThrow(/^GPT\.blocks\.1\.mlp\.up: linear: weight must be \[outputs, 3\] to match x \[2, 3\], got \[8, 4\]\.$/);
  });

  test("an error names the path even where a model calls a part of its part, and after it the next error starts anew", () => {
    class Skips extends Module {
      readonly inner = new Block(3);
      readonly apart = { forward: (x: Tensor) => new Linear({ inputDim: 2, outputDim: 2 }).forward(x) };
      forward(x: Tensor, inside: boolean): Tensor {
        return inside ? this.inner.mlp.up.forward(x) : this.apart.forward(x);
      }
    }
    const skips = new Skips();
    expect(() => skips.forward(zeros([1, 5]), true)).toThrow(/^Skips\.inner\.mlp\.up: linear/);
    expect(() => skips.forward(zeros([1, 5]), false)).toThrow(/^Skips\.Linear: linear/);
    expect(() => skips.inner.forward(zeros([1, 5]))).toThrow(/^Block\.mlp\.up: linear/);
  });

  test("errors that are not of these packages pass unchanged", () => {
    class Broken extends Module {
      forward(): void {
        throw new RangeError("its own");
      }
    }
    expect(() => new Broken().forward()).toThrow(/^its own$/);
  });

  test("forward is a method: a field would escape the scope", () => {
    class Field extends Module {
      readonly forward = () => {};
    }
    expect(() => new Field()).toThrow("Field: forward must be a method of the class");
  });

  test("an overridden forward can call the one above", async () => {
    class Twice extends Linear {
      override forward(x: Tensor): Tensor {
        return super.forward(x).mul(2);
      }
    }
    const layer = new Twice({ inputDim: 1, outputDim: 1, init: () => [3], bias: false });
    expect(await layer.forward(tensor([[5]])).item()).toBe(30);
  });
});

test("toString is the tree with shapes and ties", () => {
  class Tied extends Module {
    readonly tokens = new Embedding({ vocabSize: 7, dim: 2 });
    readonly layers = [new Linear({ inputDim: 2, outputDim: 4 })];
    readonly head = { weight: this.tokens.weight };
    forward(): void {}
  }
  expect(`${new Tied()}`).toBe(
    [
      "Tied",
      "  tokens: Embedding",
      "    weight: f32[7, 2]",
      "  layers.0: Linear",
      "    weight: f32[4, 2]",
      "    bias: f32[4]",
      "  head.weight: f32[7, 2] = tokens.weight",
    ].join("\n"),
  );
});

test("types: a module has a forward, layers want their options, cells are no tensors", () => {
  // @ts-expect-error forward is missing
  class Incomplete extends Module {}
  expect(() => new Incomplete()).toThrow(TensorError);
  const layer = new Linear({ inputDim: 2, outputDim: 2 });
  expectTypeOf(layer.forward).parameter(0).toEqualTypeOf<Tensor>();
  expectTypeOf(layer.forward).returns.toEqualTypeOf<Tensor>();
  expectTypeOf(layer.weight).toEqualTypeOf<Parameter>();
  expectTypeOf(layer.bias).toEqualTypeOf<Parameter | undefined>();
  // @ts-expect-error there is no such activation
  expect(() => layer.forward(zeros([1, 2]), { activation: "gleu" })).toThrow();
  // @ts-expect-error a misspelt option
  expect(() => new Linear({ inDim: 2, outputDim: 2 })).toThrow("Linear: inputDim is missing. Pass { inputDim }, a positive integer.");
  // @ts-expect-error a cell has no arithmetic
  expect(layer.weight.mul).toBeUndefined();
  // @ts-expect-error a layer's parts are not replaced
  layer.weight = new Parameter({ shape: [2, 2] });
  expect(Module.isModule(layer)).toBe(true);
  expect(Module.isModule({ forward() {} })).toBe(false);
});
