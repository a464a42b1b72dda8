"""The forward pass of a Llama or Qwen2 in torch, made for training what little of it is not frozen.

Layers and weights are named as Hugging Face names them, so that PEFT's adapters fit. What precedes the tokens that are
learnt from may be given as keys and values that were computed before (`Past`): with nothing to learn there, nothing of
it changes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own name for it
from torch.utils.checkpoint import checkpoint

from lorebook_daemon.teach.packing import Workplace, unpacked
from lorebook_daemon.teach.weights import Shape, Weight

Past = list[tuple[Tensor, Tensor]]
"""Keys (rotated) and values of each layer: [batch, kv heads, tokens, head]. What is kept of them may be in 16 bits."""
_LAYER = re.compile(r"model\.layers\.(\d+)\.")


@dataclass(frozen=True)
class Entering:
    """What enters a layer, where those below it were computed before."""

    layer: int
    states: Tensor
    """[batch, tokens, width] in 32 bits."""


@dataclass(frozen=True)
class Span:
    """A sample in a row that holds several: its tokens, and where they may look."""

    start: int
    end: int
    mask: Tensor
    """[tokens, past + shared + tokens], True where a token may look."""
    shared: int = 0
    """Tokens at the row's beginning that it looks at beside its own."""
    past: Past | None = None
    """What it looks at before those."""


@dataclass(frozen=True)
class Packed:
    """Samples one after another in one row, so that no padding is computed; each looks at its own tokens only."""

    spans: tuple[Span, ...]

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Return what the tokens of each sample attend to: [1, heads, tokens, head]."""
        # Split, not sliced: the gradient of each slice would be as large as the row, and nearly all zeros.
        lengths = [span.end - span.start for span in self.spans]
        queries, keys, values = (x.split(lengths, dim=2) for x in (q, k, v))
        parts = []
        for n, span in enumerate(self.spans):
            seen = [(keys[n], values[n])]
            if span.shared:
                seen.insert(0, (keys[0], values[0]))
            if span.past is not None:
                seen.insert(0, (span.past[layer][0].float(), span.past[layer][1].float()))
            own_keys, own_values = (torch.cat(one, dim=2) for one in zip(*seen, strict=True))
            parts.append(_attend(queries[n], own_keys, own_values, span.mask))
        return torch.cat(parts, dim=2)


def _attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    group = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


class _FrozenProduct(torch.autograd.Function):
    """x · Wᵀ for a weight that is packed, or stored in fewer bits: it is widened for the moment of use, twice."""

    @staticmethod
    def forward(context: Any, x: Tensor, weight: Tensor, kind: int | None) -> Tensor:
        context.save_for_backward(weight)
        context.kind = kind
        return x @ for_now(weight, kind, x.dtype).T

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (weight,) = context.saved_tensors
        return gradients[0] @ for_now(weight, context.kind, gradients[0].dtype), None, None


_WORKPLACE = Workplace()


def for_now(weight: Tensor, kind: int | None, dtype: torch.dtype) -> Tensor:
    """Return the weight's numbers for one product."""
    return weight.to(dtype) if kind is None else _WORKPLACE.unpacked(weight, kind, dtype)


class Packable(nn.Module):
    """A layer whose weight may be kept as the file packs it: `kind` is ggml's number of the packing then."""

    weight: Tensor
    kind: int | None = None

    def keep(self, weight: Weight) -> None:
        """Take a weight that is not trained."""
        self.weight = nn.Parameter(weight.values, requires_grad=False)
        self.kind = weight.kind

    def widen(self) -> None:
        """Have the weight in 32 bits, so that it can be trained."""
        wide = self.weight.float() if self.kind is None else unpacked(self.weight, self.kind, torch.float32)
        self.weight = nn.Parameter(wide, requires_grad=False)
        self.kind = None

    def product(self, x: Tensor) -> Tensor:
        """Return x · Wᵀ in x's precision; in the weight's where that one is trained."""
        weight = self.weight
        if weight.requires_grad:
            return F.linear(x.to(weight.dtype), weight)
        product: Tensor = _FrozenProduct.apply(x, weight, self.kind)
        return product


class FrozenLinear(Packable, nn.Linear):
    """A linear layer whose weight is not trained."""

    def forward(self, x: Tensor) -> Tensor:
        """Return x · Wᵀ in x's precision; with a bias in the wider of the two: Qwen2's keys need its 32 bits."""
        product = self.product(x)
        return product if self.bias is None else product + self.bias


class Words(Packable, nn.Embedding):
    """The vectors of tokens, which some models use as the output's weight too."""

    def forward(self, tokens: Tensor, dtype: torch.dtype) -> Tensor:
        """Return the vectors [..., width] of tokens, rounded to `dtype`, in 32 bits."""
        if self.kind is None:
            return F.embedding(tokens, self.weight).float()
        rows = unpacked(self.weight[tokens.flatten()], self.kind, dtype)
        return rows.float().view(*tokens.shape, -1)


class RMSNorm(nn.Module):
    """Root-mean-square normalisation (arXiv:1910.07467)."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Return x scaled to a mean square of 1, times the weight."""
        return F.rms_norm(x, (x.shape[-1],), self.weight, self.eps)


class Attention(nn.Module):
    """Grouped-query attention (arXiv:2305.13245) with rotary positions (arXiv:2104.09864)."""

    def __init__(self, shape: Shape, number: int) -> None:
        super().__init__()
        self.shape, self.number = shape, number
        biased = shape.architecture == "qwen2"
        inner, narrow = shape.heads * shape.head, shape.kv_heads * shape.head
        self.q_proj = FrozenLinear(shape.width, inner, bias=biased)
        self.k_proj = FrozenLinear(shape.width, narrow, bias=biased)
        self.v_proj = FrozenLinear(shape.width, narrow, bias=biased)
        self.o_proj = FrozenLinear(inner, shape.width, bias=False)

    def forward(
        self, x: Tensor, rotation: tuple[Tensor, Tensor], look: Tensor | Packed, past: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return what is attended to, and the new tokens' own keys and values."""
        batch, tokens, _ = x.shape
        q = _rotated(self._heads(self.q_proj(x)), rotation)
        k = _rotated(self._heads(self.k_proj(x)), rotation)
        v = self._heads(self.v_proj(x)).float()
        own = k, v
        if isinstance(look, Packed):
            attended = look.attend(self.number, q, k, v)
        elif past is not None:
            attended = _attend(q, torch.cat((past[0].float(), k), dim=2), torch.cat((past[1].float(), v), dim=2), look)
        else:
            attended = _attend(q, k, v, look)
        return self.o_proj(attended.transpose(1, 2).reshape(batch, tokens, -1).to(x.dtype)), own

    def _heads(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], -1, self.shape.head).transpose(1, 2)


class FeedForward(nn.Module):
    """SwiGLU (arXiv:2002.05202)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_proj = FrozenLinear(shape.width, shape.feed_forward, bias=False)
        self.up_proj = FrozenLinear(shape.width, shape.feed_forward, bias=False)
        self.down_proj = FrozenLinear(shape.feed_forward, shape.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the feed-forward's output."""
        output: Tensor = self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))
        return output


class Layer(nn.Module):
    """Attention, then feed-forward, each on the normalised sum of all before; the sum is in 32 bits."""

    def __init__(self, shape: Shape, number: int) -> None:
        super().__init__()
        self.self_attn = Attention(shape, number)
        self.mlp = FeedForward(shape)
        self.input_layernorm = RMSNorm(shape.width, shape.norm_eps)
        self.post_attention_layernorm = RMSNorm(shape.width, shape.norm_eps)

    def forward(
        self,
        x: Tensor,
        rotation: tuple[Tensor, Tensor],
        look: Tensor | Packed,
        past: tuple[Tensor, Tensor] | None,
        dtype: torch.dtype,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return the new hidden states, and the new tokens' own keys and values; products are of `dtype`."""
        attended, own = self.self_attn(self.input_layernorm(x).to(dtype), rotation, look, past)
        x = x + attended
        return x + self.mlp(self.post_attention_layernorm(x).to(dtype)), own


class Decoder(nn.Module):
    """Embedding, layers, norm."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.embed_tokens = Words(shape.vocabulary, shape.width)
        self.layers = nn.ModuleList([Layer(shape, number) for number in range(shape.layers)])
        self.norm = RMSNorm(shape.width, shape.norm_eps)


class CausalLM(nn.Module):
    """A language model; `breathe` is called between layers, forward and backward, and may wait there."""

    def __init__(self, shape: Shape, breathe: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.shape = shape
        self.model = Decoder(shape)
        self.lm_head = None if shape.tied else FrozenLinear(shape.width, shape.vocabulary, bias=False)
        self.register_parameter("soft", None)
        self.breathe = breathe
        self.thrifty = False
        """Compute each layer again for its gradient rather than keep what it computed."""
        self.dtype = torch.float32
        """Of what is multiplied with the weights: 16 bits where the processor is quicker with them."""

    def forward(
        self,
        tokens: Tensor,
        positions: Tensor,
        look: Tensor | Packed,
        past: Past | None = None,
        entering: Entering | None = None,
    ) -> tuple[Tensor, Past]:
        """Return the last hidden states [batch, tokens, width] in 32 bits, and the tokens' own keys and values.

        `look` is a mask [batch, 1, tokens, past + tokens], True where a token may look, or says it for a packed row,
        which brings its past itself. With `entering` only the layers from that one on are computed, and return theirs.
        """
        entering = entering or Entering(0, self._embedded(tokens))
        numbers = range(entering.layer, self.shape.layers)
        x, own = self._through(numbers, entering.states, positions, look, past)
        return self.model.norm(x), own

    def up_to(self, layer: int, tokens: Tensor, positions: Tensor, look: Tensor | Packed) -> Entering:
        """Return what enters a layer, computed without a gradient."""
        with torch.no_grad():
            return Entering(layer, self._through(range(layer), self._embedded(tokens), positions, look, None)[0])

    def _through(
        self, numbers: Iterable[int], x: Tensor, positions: Tensor, look: Tensor | Packed, past: Past | None
    ) -> tuple[Tensor, Past]:
        """Return what some layers, one after another, make of what enters the first; and their keys and values."""
        rotation = rotations(self.shape, positions)
        own: Past = []
        for n in numbers:
            layer = self.model.layers[n]
            x = _Breath.apply(x, self.breathe)
            arguments = (x, rotation, look, None if past is None else past[n], self.dtype)
            if self.thrifty and torch.is_grad_enabled():
                x, kv = checkpoint(layer, *arguments, use_reentrant=False)
            else:
                x, kv = layer(*arguments)
            own.append(kv)
        return x, own

    def _embedded(self, tokens: Tensor) -> Tensor:
        """Return the vectors of tokens; numbers beyond the vocabulary are those of the soft prompt."""
        size = self.shape.vocabulary
        words: Tensor = self.model.embed_tokens(tokens.clamp(max=size - 1), self.dtype)
        if self.soft is None:
            return words
        return torch.where((tokens >= size)[..., None], self.soft[(tokens - size).clamp(min=0)], words)

    @property
    def output(self) -> Packable:
        """The layer whose weight makes logits of hidden states; it has no bias."""
        return self.model.embed_tokens if self.lm_head is None else self.lm_head

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the logits [..., vocabulary] of hidden states, in 32 bits."""
        return self.output.product(hidden.to(self.dtype)).float()


class _Breath(torch.autograd.Function):
    """The identity, with a call on the way there and on the way back."""

    @staticmethod
    def forward(context: Any, x: Tensor, breathe: Callable[[], None]) -> Tensor:
        context.breathe = breathe
        breathe()
        return x.view_as(x)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        context.breathe()
        return gradients[0], None


def rotations(shape: Shape, positions: Tensor) -> tuple[Tensor, Tensor]:
    """Return cosine and sine [batch, 1, tokens, head] of each position's rotation."""
    frequencies = shape.rope_base ** (-torch.arange(0, shape.head, 2, dtype=torch.float32) / shape.head)
    angles = positions[:, None, :, None].float() * torch.cat((frequencies, frequencies))
    return angles.cos(), angles.sin()


def _rotated(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Return queries or keys in 32 bits, turned by their positions, the first half of each head with the second."""
    cosine, sine = rotation
    first, second = x.chunk(2, dim=-1)
    return x * cosine + torch.cat((-second, first), dim=-1) * sine


def causal(tokens: int) -> Tensor:
    """Return the mask [1, 1, tokens, tokens] by which each token looks at itself and those before."""
    return torch.ones(tokens, tokens, dtype=torch.bool).tril()[None, None]


def trained(model: CausalLM) -> dict[str, nn.Parameter]:
    """Return what is trained, by name, in order."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def lowest_trained(model: CausalLM) -> int:
    """Return the first layer in which something is trained; 0 where what enters all of them is."""
    lowest = model.shape.layers
    for name in trained(model):
        match = _LAYER.match(name)
        if match:
            lowest = min(lowest, int(match[1]))
        elif name == "soft" or name.startswith("model.embed_tokens."):
            return 0
    return lowest
