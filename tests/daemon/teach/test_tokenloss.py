"""The loss of tokens upon a frozen output layer: the same as torch's own, and its gradient too."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="training is tested where pip install 'lorebook[train]' was typed")

import torch
from torch.nn import functional as F  # noqa: N812 - torch's own name for it

from lorebook_daemon.teach import tokenloss
from lorebook_daemon.teach.teacher import load
from lorebook_daemon.teach.tokenloss import token_losses
from lorebook_daemon.teach.weights import read_shape

pytestmark = [pytest.mark.train, pytest.mark.usefixtures("one_thread")]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("chunk", [256, 3])
def test_loss_and_gradient_are_those_of_cross_entropy(base, monkeypatch, chunk, packed):
    monkeypatch.setattr(tokenloss, "_CHUNK", chunk)
    model = load(base, read_shape(base), packed=packed)
    torch.manual_seed(0)
    states = 20 * torch.randn(10, model.shape.width)
    targets, weights = torch.randint(model.shape.vocabulary, (10,)), torch.rand(10)
    found = []
    for losses_of in (
        lambda given: token_losses(model, given, targets),
        lambda given: F.cross_entropy(model.logits(given), targets, reduction="none"),
    ):
        given = states.clone().requires_grad_()
        losses = losses_of(given)
        (losses * weights).sum().backward()
        found.append((losses.detach(), given.grad))
    (ours, our_gradient), (theirs, their_gradient) = found
    assert torch.allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    assert torch.allclose(our_gradient, their_gradient, rtol=1e-4, atol=1e-6) and our_gradient.abs().max() > 0
    with torch.no_grad():
        assert torch.equal(token_losses(model, states, targets), ours), "the same where nothing is learnt"


def test_an_output_layer_that_is_trained_gets_its_gradient(base):
    model = load(base, read_shape(base))
    weight = model.output.weight.requires_grad_()
    states, targets = torch.randn(4, model.shape.width), torch.tensor([1, 2, 3, 4])
    token_losses(model, states, targets).sum().backward()
    assert weight.grad is not None and weight.grad.abs().sum() > 0
