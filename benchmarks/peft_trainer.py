"""The peer of `teach_speed`: transformers' Trainer with PEFT, over the very samples that our loop trains on.

    python -m benchmarks.peft_trainer WORK.json

In an environment with torch, transformers, peft and accelerate. It reads the model from the same GGUF file, as
transformers does, in float32, or with `bf16` under Trainer's own autocast. One JSON object on the last line of stdout:
seconds of training, the held-out loss, and the most memory that the process had.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch.utils.data import Dataset, SequentialSampler
from transformers import AutoModelForCausalLM, Trainer, TrainingArguments

_IGNORED = -100


class Rows(Dataset):  # type: ignore[type-arg]
    """Token lists with the number of tokens that are read only."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.rows)

    def __getitem__(self, n: int) -> dict[str, Any]:
        """Return one of them."""
        return self.rows[n]


class InOrder(Trainer):
    """A Trainer that takes the rows as they come: their order is already that of our loop."""

    def _get_train_sampler(self, *_: Any) -> SequentialSampler:
        return SequentialSampler(self.train_dataset)


def collate(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """Pad to the longest of the batch, as transformers' own collators do."""
    longest = max(len(row["tokens"]) for row in rows)
    inputs = torch.zeros(len(rows), longest, dtype=torch.long)
    mask = torch.zeros_like(inputs)
    labels = torch.full_like(inputs, _IGNORED)
    for n, row in enumerate(rows):
        tokens = torch.tensor(row["tokens"])
        inputs[n, : len(tokens)] = tokens
        mask[n, : len(tokens)] = 1
        labels[n, row["learnt"] : len(tokens)] = tokens[row["learnt"] :]
    return {"input_ids": inputs, "attention_mask": mask, "labels": labels}


def main(path: Path) -> None:
    """Train and tell."""
    work = json.loads(path.read_text(encoding="utf-8"))
    torch.set_num_threads(work["threads"])
    file = Path(work["model"])
    base = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    base.is_quantized = False  # the weights were written out; Trainer looks at this mark and would refuse
    config = LoraConfig(
        r=work["rank"],
        lora_alpha=work["alpha"],
        lora_dropout=0.0,
        target_modules=[f"{target}_proj" for target in work["targets"]],
        task_type="CAUSAL_LM",
        alora_invocation_tokens=work["invocation"] or None,
    )
    torch.manual_seed(0)
    model = get_peft_model(base, config)
    model.config.use_cache = False
    optimizer = torch.optim.AdamW(
        [one for one in model.parameters() if one.requires_grad], work["learning_rate"], weight_decay=0.01
    )
    shares = work["rates"]
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: shares[min(step, len(shares) - 1)])
    arguments = TrainingArguments(
        output_dir=str(path.parent / "out"),
        per_device_train_batch_size=work["batch"],
        num_train_epochs=1,  # the rows of all passes stand one after another
        max_grad_norm=1.0,
        logging_strategy="no",
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        bf16=work["bf16"],
        remove_unused_columns=False,
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    trainer = InOrder(
        model,
        arguments,
        data_collator=collate,
        train_dataset=Rows(work["rows"]),
        optimizers=(optimizer, schedule),
    )
    began = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - began
    told = {"seconds": seconds, "held_out": _mean_loss(model, work), "memory_mb": _memory_mb()}
    print(json.dumps(told), flush=True)


def _mean_loss(model: torch.nn.Module, work: dict[str, Any]) -> float:
    """Return the mean loss over the learnt tokens of what was kept back, in float32."""
    model.eval()
    total, count = 0.0, 0
    for n in range(0, len(work["held_out"]), work["batch"]):
        batch = collate(work["held_out"][n : n + work["batch"]])
        learnt = int((batch["labels"] != _IGNORED).sum())
        with torch.no_grad():
            total += float(model(**batch).loss) * learnt
        count += learnt
    return total / count


def _memory_mb() -> float:
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (2**20 if sys.platform == "darwin" else 2**10)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
