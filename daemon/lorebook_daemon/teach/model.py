"""The forward pass of a Llama or Qwen2 in torch, made for training what little of it is not frozen.

Layers and weights are named as Hugging Face names them, so that PEFT's adapters fit. What precedes the tokens that are
learnt from may be given as keys and values that were computed before (`Past`): with nothing to learn there, nothing of
it changes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own name for it
from torch.utils.checkpoint import checkpoint

from lorebook_daemon.teach.weights import Shape

Past = list[tuple[Tensor, Tensor]]
"""Keys (rotated) and values of each layer: [batch, kv heads, tokens, head]."""


class _FrozenProduct(torch.autograd.Function):
    """x · Wᵀ for a weight that may be stored in fewer bits: it is widened for the moment of use, twice."""

    @staticmethod
    def forward(context: Any, x: Tensor, weight: Tensor) -> Tensor:
        context.save_for_backward(weight)
        return x @ weight.to(x.dtype).T

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (weight,) = context.saved_tensors
        return gradients[0] @ weight.to(gradients[0].dtype), None


class FrozenLinear(nn.Linear):
    """A linear layer whose weight is not trained."""

    def forward(self, x: Tensor) -> Tensor:
        """Return x · Wᵀ + b in x's precision."""
        if self.weight.requires_grad or self.weight.dtype == x.dtype:
            return F.linear(x, self.weight, self.bias)
        product: Tensor = _FrozenProduct.apply(x, self.weight)
        return product if self.bias is None else product + self.bias


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

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        biased = shape.architecture == "qwen2"
        inner, narrow = shape.heads * shape.head, shape.kv_heads * shape.head
        self.q_proj = FrozenLinear(shape.width, inner, bias=biased)
        self.k_proj = FrozenLinear(shape.width, narrow, bias=biased)
        self.v_proj = FrozenLinear(shape.width, narrow, bias=biased)
        self.o_proj = FrozenLinear(inner, shape.width, bias=False)

    def forward(
        self, x: Tensor, rotation: tuple[Tensor, Tensor], mask: Tensor, past: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return what is attended to, and the new tokens' own keys and values."""
        batch, tokens, _ = x.shape
        q = _rotated(self._heads(self.q_proj(x)), rotation)
        k = own_k = _rotated(self._heads(self.k_proj(x)), rotation)
        v = own_v = self._heads(self.v_proj(x))
        if past is not None:
            k, v = torch.cat((past[0], k), dim=2), torch.cat((past[1], v), dim=2)
        group = self.shape.heads // self.shape.kv_heads
        k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.o_proj(attended.transpose(1, 2).reshape(batch, tokens, -1)), (own_k, own_v)

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
    """Attention, then feed-forward, each on the normalised sum of all before."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.self_attn = Attention(shape)
        self.mlp = FeedForward(shape)
        self.input_layernorm = RMSNorm(shape.width, shape.norm_eps)
        self.post_attention_layernorm = RMSNorm(shape.width, shape.norm_eps)

    def forward(
        self, x: Tensor, rotation: tuple[Tensor, Tensor], mask: Tensor, past: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return the new hidden states, and the new tokens' own keys and values."""
        attended, own = self.self_attn(self.input_layernorm(x), rotation, mask, past)
        x = x + attended
        return x + self.mlp(self.post_attention_layernorm(x)), own


class Decoder(nn.Module):
    """Embedding, layers, norm."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(shape.vocabulary, shape.width)
        self.layers = nn.ModuleList([Layer(shape) for _ in range(shape.layers)])
        self.norm = RMSNorm(shape.width, shape.norm_eps)


class CausalLM(nn.Module):
    """A language model; `breathe` is called between layers, forward and backward, and may wait there."""

    def __init__(self, shape: Shape, breathe: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.shape = shape
        self.model = Decoder(shape)
        self.lm_head = None if shape.tied else FrozenLinear(shape.width, shape.vocabulary, bias=False)
        self.breathe = breathe
        self.thrifty = False
        """Compute each layer again for its gradient rather than keep what it computed."""

    def forward(self, tokens: Tensor, positions: Tensor, mask: Tensor, past: Past | None = None) -> tuple[Tensor, Past]:
        """Return the last hidden states [batch, tokens, width], and the tokens' own keys and values.

        `mask` [batch, 1, tokens, past + tokens] is True where a token may look.
        """
        x = self.model.embed_tokens(tokens).float()
        rotation = rotations(self.shape, positions)
        own: Past = []
        for n, layer in enumerate(self.model.layers):
            x = _Breath.apply(x, self.breathe)
            arguments = (x, rotation, mask, None if past is None else past[n])
            if self.thrifty and torch.is_grad_enabled():
                x, kv = checkpoint(layer, *arguments, use_reentrant=False)
            else:
                x, kv = layer(*arguments)
            own.append(kv)
        return self.model.norm(x), own

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the logits [..., vocabulary] of hidden states."""
        if self.lm_head is not None:
            output: Tensor = self.lm_head(hidden)
            return output
        weight = self.model.embed_tokens.weight
        if weight.dtype == hidden.dtype:
            return F.linear(hidden, weight)
        product: Tensor = _FrozenProduct.apply(hidden, weight)
        return product


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
    """Return queries or keys turned by their positions, the first half of each head with the second."""
    cosine, sine = rotation
    first, second = x.chunk(2, dim=-1)
    return x * cosine + torch.cat((-second, first), dim=-1) * sine


def causal(tokens: int) -> Tensor:
    """Return the mask [1, 1, tokens, tokens] by which each token looks at itself and those before."""
    return torch.ones(tokens, tokens, dtype=torch.bool).tril()[None, None]


def trained(model: CausalLM) -> dict[str, nn.Parameter]:
    """Return what is trained, by name, in order."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
