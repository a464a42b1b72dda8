"""Embeddings, driven by the published OpenAI client."""

import base64

import numpy as np
import openai
import pytest

from fakes import HashEmbedder


def embed(**asked):
    return lambda client: client.embeddings.create(**{"model": "auto", "input": "some text", **asked})


@pytest.mark.parametrize("asked", [{}, {"encoding_format": "float"}, {"encoding_format": "base64"}])
@pytest.mark.parametrize("model", ["auto", "hash"])
def test_vectors_are_those_of_the_index(play, asked, model):
    texts = [f"text number {i}" for i in range(40)]
    answer = play(embed(input=texts, model=model, **asked))
    assert (answer.object, answer.model) == ("list", "hash")
    assert [one.index for one in answer.data] == list(range(40))
    vectors = [decoded(one.embedding) for one in answer.data]
    np.testing.assert_allclose(vectors, HashEmbedder().embed(texts), rtol=1e-6)
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (120, 120)


def decoded(vector):
    return np.frombuffer(base64.b64decode(vector), "<f4") if isinstance(vector, str) else vector


def test_one_text_is_one_vector(play):
    (one,) = play(embed(dimensions=64)).data
    assert len(one.embedding) == 64


REFUSED = [
    {"input": ""},
    {"input": []},
    {"input": ["a", " "]},
    {"input": [1, 2]},
    {"input": [[1], [2]]},
    {"input": ["a"] * 2049},
    {"input": "a\0b"},
    {"dimensions": 32},
    {"encoding_format": "int8"},
    {"extra_body": {"truncate": True}},
]


def test_input_that_cannot_be_is_refused(play, bench):
    async def scene(client):
        for asked in REFUSED:
            with pytest.raises(openai.BadRequestError) as refused:
                await embed(**asked)(client)
            assert refused.value.body["hint"]

    play(scene)
    assert bench.engine.calls == []


def test_another_model_makes_no_embeddings(play):
    with pytest.raises(openai.NotFoundError, match="makes no embeddings"):
        play(embed(model="tiny"))


def test_a_missing_embedder_is_told(play, bench):
    bench.indexes.why_not = "There is no embedder here."
    with pytest.raises(openai.NotFoundError, match="no embedder here"):
        play(embed())
