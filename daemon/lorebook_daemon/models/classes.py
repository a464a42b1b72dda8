"""The output layer of a classifier, in a file beside its adapter: read and applied without torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorebook_api.errors import StorageFailed, Unusable

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

HEAD = "classes.npz"
"""The file's name in the folder that stands beside the adapter."""
TASK = "classification"
"""What the adapter's file says that it is for (`adapter.lora.task_name`): it answers no questions."""


@dataclass(frozen=True, eq=False)
class Head:
    """Classes in order, and what makes their scores of a hidden state: weight [classes, width], bias [classes]."""

    classes: tuple[str, ...]
    weight: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]

    def probabilities(self, hidden: Any) -> npt.NDArray[np.float64]:
        """Return how likely each class is for hidden states [texts, width], as [texts, classes]."""
        import numpy as np  # heavy, and not there where only the client is installed

        scores = np.asarray(hidden, np.float64) @ self.weight.T + self.bias
        likely = np.exp(scores - scores.max(axis=-1, keepdims=True))
        return likely / likely.sum(axis=-1, keepdims=True)  # type: ignore[no-any-return]


def write_head(path: Path, head: Head) -> None:
    """Write an output layer; raises StorageFailed."""
    import numpy as np

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, classes=np.array(head.classes), weight=head.weight, bias=head.bias)
    except OSError as error:
        told = f"{path} cannot be written ({error.strerror or error})."
        raise StorageFailed(told, "Free some space, then: lorebook jobs resume") from error


def read_head(path: Path) -> Head:
    """Return what `write_head` wrote; raises Unusable."""
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as arrays:
            classes = tuple(str(name) for name in arrays["classes"])
            head = Head(classes, arrays["weight"].astype(np.float32), arrays["bias"].astype(np.float32))
    except Exception as error:  # numpy meets a damaged archive with whatever went wrong inside it
        raise Unusable(f"{path.name} holds no classes that can be read.", "Teach it again: lorebook teach …") from error
    fits = head.weight.ndim == 2 and head.weight.shape[0] == len(classes) == len(head.bias) > 1
    if not fits or not (np.isfinite(head.weight).all() and np.isfinite(head.bias).all()):
        raise Unusable(f"{path.name} holds classes that make no sense.", "Teach it again: lorebook teach …")
    return head
