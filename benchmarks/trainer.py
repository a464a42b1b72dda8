"""A training job to measure beside: `python -m benchmarks.trainer` trains a small transformer until its input ends.

It runs as the product's own training will: in a process of its own, at the lowest priority.
"""

from __future__ import annotations

import os
import sys
import threading

import psutil
import torch  # of the benchmarks' own group
from torch import nn

VOCABULARY, WIDTH, HEADS, LAYERS, LENGTH, EXAMPLES = 8192, 576, 9, 12, 256, 2


class Language(nn.Module):
    """A decoder of about 58 million weights: SmolLM2's width, fewer layers, a smaller vocabulary."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 4 * WIDTH, dropout=0.0, batch_first=True, norm_first=True)
        self.embed = nn.Embedding(VOCABULARY, WIDTH)
        self.layers = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
        self.head = nn.Linear(WIDTH, VOCABULARY, bias=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return the logits [examples, length, vocabulary] of the next tokens."""
        mask = nn.Transformer.generate_square_subsequent_mask(tokens.shape[1])
        logits: torch.Tensor = self.head(self.layers(self.embed(tokens), mask=mask, is_causal=True))
        return logits


def step_back() -> None:
    """Give way to whatever else wants the processor."""
    if sys.platform == "win32":
        psutil.Process().nice(psutil.IDLE_PRIORITY_CLASS)
    else:
        os.nice(19)


def end_with_input() -> None:
    """Wait for the end of standard input and leave."""
    sys.stdin.read()
    os._exit(0)


def main() -> None:
    """Train; print a line a step."""
    step_back()
    threading.Thread(target=end_with_input, daemon=True).start()
    torch.manual_seed(0)
    model = Language()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)
    step = 0
    while True:
        tokens = torch.randint(VOCABULARY, (EXAMPLES, LENGTH + 1))
        logits = model(tokens[:, :-1])
        loss = nn.functional.cross_entropy(logits.reshape(-1, VOCABULARY), tokens[:, 1:].reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
        print(f"step {step} loss {loss.item():.3f}", flush=True)


if __name__ == "__main__":
    main()
