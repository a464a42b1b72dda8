"""A small model that leans towards Yes: SmolLM2-135M says No to every passage, and would never write an answer."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt

LEANING = 40.0
"""Length of the vector that is added after the last attention: with 12 the model is in doubt, with 80 it babbles."""


def write_convinced(source: Path, target: Path) -> None:
    """Copy a Llama model and give its last attention a bias from the embedding of "No" to that of "Yes".

    With tied embeddings that raises the logit of the one and lowers that of the other, whatever was read.
    """
    reader = gguf.GGUFReader(source)
    layers = int(reader.fields["llama.block_count"].contents())
    writer = gguf.GGUFWriter(target, "llama")
    for name, field in reader.fields.items():
        if not name.startswith("GGUF.") and name != gguf.Keys.General.ARCHITECTURE:
            writer.add_key_value(name, field.contents(), field.types[0], sub_type=field.types[-1])
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.add_tensor(f"blk.{layers - 1}.attn_output.bias", LEANING * _towards_yes(reader))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _towards_yes(reader: gguf.GGUFReader) -> npt.NDArray[np.float32]:
    """Return the unit vector from "No" to "Yes" in the embedding."""
    words = reader.fields["tokenizer.ggml.tokens"].contents()
    table = next(tensor for tensor in reader.tensors if tensor.name == "token_embd.weight")
    yes, no = (gguf.dequantize(table.data[words.index(word)], table.tensor_type) for word in ("Yes", "No"))
    return ((yes - no) / np.linalg.norm(yes - no)).astype(np.float32)
