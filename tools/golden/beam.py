"""Beam search and logits processors of Hugging Face transformers on a model that is a table: the fixtures of packages/generate.

python tools/golden/beam.py   (torch 2.13, transformers 5.18; writes packages/generate/test/fixtures/*.json)

The model's logits are table[last token, token before], so its sequences can be enumerated by hand. A case whose decisions hang
on a gap below 1e-3 at any step is left out: rounding would decide it.
"""

import json
import random
from pathlib import Path

import torch
from transformers import GenerationConfig, GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.generation.logits_process import (
    MinPLogitsWarper,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)
from transformers.modeling_outputs import CausalLMOutput

OUT = Path(__file__).resolve().parents[2] / "packages" / "generate" / "test" / "fixtures"
VOCAB = 12


class TableConfig(PretrainedConfig):
    model_type = "table"


class TableModel(PreTrainedModel, GenerationMixin):
    config_class = TableConfig
    main_input_name = "input_ids"

    def __init__(self, config, table):
        super().__init__(config)
        self.table = torch.nn.Parameter(table)

    def prepare_inputs_for_generation(self, input_ids, **kwargs):
        return {"input_ids": input_ids}

    def forward(self, input_ids, **kwargs):
        before = torch.nn.functional.pad(input_ids, (1, 0))[:, :-1]
        return CausalLMOutput(logits=self.table[input_ids, before])


def table_of(seed):
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(VOCAB, VOCAB, VOCAB, generator=generator) * 2).mul(64).round().div(64)


def close_call(scores, beams, width):
    """Whether a choice among the candidates of a step is nearer than the guard: between neighbours up to the cut."""
    top = scores.topk(width + 1).values
    gaps = (top[:-1] - top[1:])[torch.isfinite(top[1:]) & (top[1:] > -1e8)]
    return bool((gaps < 1e-3).any())


def beam_case(seed):
    rng = random.Random(seed)
    table = table_of(seed % 3)
    eos = rng.choice([[3], [3], [3, 5], []])
    beams = rng.choice([1, 2, 3, 4])
    length = rng.choice([3, 5, 5])
    options = {
        "beams": beams,
        "returns": rng.randint(1, beams),
        "lengthPenalty": rng.choice([1.0, 0.0, 2.0, -1.0, 0.6]),
        "earlyStopping": rng.choice([True, False, "never"]),
        "maxNewTokens": rng.choice([1, 4, 7, 10]),
        "repetitionPenalty": rng.choice([1.0, 1.0, 1.5]),
        "noRepeatNgram": rng.choice([None, None, 2]),
        "minNewTokens": rng.choice([0, 0, 3]) if eos else 0,
        "forcedEos": rng.choice([None, None, None, 3]) if eos else None,
    }
    prompts = [[rng.randrange(VOCAB) for _ in range(length)] for _ in range(rng.choice([1, 2, 3]))]
    model = TableModel(TableConfig(), table).eval()
    close = []
    original = TableModel._get_top_k_continuations

    def guarded(self, accumulated_log_probs, beams_to_keep, **kwargs):
        close.extend(close_call(row, beams, beams_to_keep) for row in accumulated_log_probs)
        return original(self, accumulated_log_probs=accumulated_log_probs, beams_to_keep=beams_to_keep, **kwargs)

    if beams > 1:
        model._get_top_k_continuations = guarded.__get__(model)
    output = model.generate(
        torch.tensor(prompts),
        generation_config=GenerationConfig(
            num_beams=beams,
            num_return_sequences=options["returns"],
            length_penalty=options["lengthPenalty"],
            early_stopping=options["earlyStopping"],
            max_new_tokens=options["maxNewTokens"],
            repetition_penalty=options["repetitionPenalty"],
            no_repeat_ngram_size=options["noRepeatNgram"],
            min_new_tokens=options["minNewTokens"] or None,
            forced_eos_token_id=options["forcedEos"],
            eos_token_id=eos or None,
            pad_token_id=0,
            do_sample=False,
            use_cache=False,
            output_scores=True,
            return_dict_in_generate=True,
        ),
    )
    if any(close):
        return None
    sequences = []
    for row in output.sequences[:, length:].tolist():
        end = next((i for i, token in enumerate(row) if token in eos), len(row) - 1)
        sequences.append(row[: end + 1])
    scores = [round(score, 6) for score in output.sequences_scores.tolist()] if beams > 1 else None
    options = {name: value for name, value in options.items() if value is not None}
    return {"table": seed % 3, "prompts": prompts, "eos": eos, "options": options, "sequences": sequences, "scores": scores}


def processor_cases():
    cases = []
    settings = [
        ("repetitionPenalty", RepetitionPenaltyLogitsProcessor, [0.7, 1.3, 2.0]),
        ("noRepeatNgram", NoRepeatNGramLogitsProcessor, [1, 2, 3]),
        ("temperature", TemperatureLogitsWarper, [0.3, 0.7, 1.9]),
        ("topK", TopKLogitsWarper, [1, 4, 12, 40]),
        ("topP", TopPLogitsWarper, [0.0, 0.1, 0.5, 0.9, 0.99]),
        ("minP", MinPLogitsWarper, [0.0, 0.05, 0.3, 1.0]),
    ]
    generator = torch.Generator().manual_seed(7)
    for name, processor, values in settings:
        for value in values:
            scores = (torch.randn(1, 24, generator=generator) * 3).mul(8).round().div(8)  # eighths: ties occur
            if name == "topP":
                scores = torch.randn(1, 24, generator=generator) * 3
                scores[0, 5] = -torch.inf
            history = torch.randint(0, 6, (1, 14), generator=generator)
            result = processor(value)(history, scores.clone())
            cases.append({"name": name, "value": value, "history": history[0].tolist(), "scores": plain(scores), "result": plain(result)})
    return cases


def chain_cases():
    """The whole chain in the order in which `generate` builds it."""
    cases = []
    generator = torch.Generator().manual_seed(11)
    model = TableModel(TableConfig(), table_of(0))
    for penalty, heat, k, p, low in [(1.3, 0.7, 10, 0.9, 0.05), (0.8, 1.6, 15, 0.8, 0.02), (2.0, 0.5, 5, 0.95, 0.2), (1.1, 1.2, 20, 0.6, 0.1)]:
        scores = torch.randn(1, 24, generator=generator) * 3
        history = torch.randint(0, 24, (1, 9), generator=generator)
        config = GenerationConfig(
            do_sample=True, repetition_penalty=penalty, temperature=heat, top_k=k, top_p=p, min_p=low, num_beams=1, eos_token_id=None
        )
        model._prepare_special_tokens(config, device="cpu")
        result = model._get_logits_processor(config, input_ids_seq_length=9)(history, scores.clone())
        options = {"repetitionPenalty": penalty, "temperature": heat, "topK": k, "topP": p, "minP": low}
        cases.append({"options": options, "history": history[0].tolist(), "scores": plain(scores), "result": plain(result)})
    return cases


def plain(scores):
    return [None if value == -torch.inf else value for value in scores[0].tolist()]


def write(name, value):
    OUT.mkdir(parents=True, exist_ok=True)
    lists = {key: "[\n" + ",\n".join(json.dumps(item) for item in items) + "\n]" for key, items in value.items()}
    (OUT / name).write_text("{\n" + ",\n".join(f"{json.dumps(key)}: {text}" for key, text in lists.items()) + "\n}\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    cases = [case for seed in range(400) if (case := beam_case(seed))][:160]
    print(len(cases), "beam cases")
    write("beam.json", {"tables": [table_of(seed).mul(64).int().flatten().tolist() for seed in range(3)], "cases": cases})
    write("processors.json", {"processors": processor_cases(), "chains": chain_cases()})
