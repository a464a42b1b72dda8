"""Which models there are, and what a model's name and `lora` mean."""

from dataclasses import replace

import openai
import pytest

import tiny_models
from lorebook_api.asking import AdapterUse
from lorebook_api.home import find_home
from lorebook_api.state import ModelInfo
from lorebook_daemon.app.adapterroom import Adapters
from lorebook_daemon.models.adapters import adapters_folder

HELLO = [{"role": "user", "content": "hello"}]


@pytest.fixture(scope="module")
def adapter(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    model = tiny_models.tiny_llama(folder / "base.gguf")
    return tiny_models.tiny_adapter(folder / "plain.gguf", model).read_bytes()


@pytest.fixture(autouse=True)
def folder(home, adapter):
    """lorebook's folder with three adapters: broken, notes, style."""
    place = adapters_folder(home)
    place.mkdir()
    for name in ("notes", "style"):
        (place / f"{name}.gguf").write_bytes(adapter)
    (place / "broken.gguf").write_text("a shopping list")
    return place


def chat(model="auto", **extra):
    return lambda client: client.chat.completions.create(model=model, messages=HELLO, extra_body=extra)


def used(bench):
    return bench.engine.calls[-1].adapters


def test_the_list_holds_models_that_are_here_and_usable_adapters(play, bench, folder):
    async def scene(client):
        return [model async for model in client.models.list()]

    models = play(scene)
    assert [model.id for model in models] == ["tiny", "notes", "style"]
    assert {(model.object, model.owned_by) for model in models} == {("model", "lorebook")}
    assert models[1].created == int((folder / "notes.gguf").stat().st_mtime)
    assert not hasattr(models[0], "parent")
    assert hasattr(models[1], "parent")


def test_one_of_them_by_its_name(play):
    async def scene(client):
        return [(await client.models.retrieve(name)).id for name in ("tiny", "notes")]

    assert play(scene) == ["tiny", "notes"]


def test_another_name_is_not_found(play):
    async def scene(client):
        for name in ("broken", "unknown", "a/b", "é\n"):
            with pytest.raises(openai.NotFoundError) as refused:
                await client.models.retrieve(name)
            assert refused.value.body["type"] == "not_found_error"

    play(scene)


def test_auto_is_the_model_of_the_settings_and_a_name_its_model(play, bench):
    assert play(chat()).model == "tiny"
    assert play(chat("other")).model == "other"
    assert bench.loads == ["tiny", "other"]
    assert used(bench) == ()


def test_an_adapters_name_is_its_base_with_the_adapter(play, bench):
    assert play(chat("notes")).model == "notes"
    assert used(bench) == (AdapterUse("notes"),)
    assert bench.loads == ["tiny"]


def test_an_adapter_acts_on_the_model_in_use(play, bench):
    async def scene(client):
        await chat("other")(client)
        await chat("notes")(client)

    play(scene)
    assert bench.loads == ["other"]


class Based(Adapters):
    """Adapters that were all made for `Base`."""

    def known(self):
        return tuple(replace(one, base="Base") for one in super().known())


def test_an_adapter_that_names_its_base_is_used_with_it(play, bench):
    here = [ModelInfo(name, f"/models/{name}", 2, "lorebook", installed=True) for name in ("tiny", "base")]
    models = replace(bench.parts.models, known=lambda: here)
    bench.parts = replace(bench.parts, adapters=Based(find_home()), models=models)
    play(chat("notes"))
    assert bench.loads == ["base"]
    assert play(lambda client: client.models.retrieve("notes")).parent == "Base"


def test_lora_numbers_the_adapters_as_they_are_listed(play, bench):
    play(chat(lora=[{"id": 1, "scale": 0.5}, {"id": 2}]))
    assert used(bench) == (AdapterUse("notes", 0.5), AdapterUse("style", 1.0))
    play(chat("notes", lora=[{"id": 2, "scale": 0.25}]))
    assert used(bench) == (AdapterUse("notes"), AdapterUse("style", 0.25))
    play(chat("notes", lora=[{"id": 1, "scale": 0.25}]))
    assert used(bench) == (AdapterUse("notes", 0.25),)


def test_the_scales_that_were_set_act_where_a_request_names_none(play, bench):
    bench.parts.adapters.set_defaults((AdapterUse("style", 0.5),))
    play(chat())
    assert used(bench) == (AdapterUse("style", 0.5),)
    play(chat(lora=[]))
    assert used(bench) == ()
    play(chat("notes"))
    assert used(bench) == (AdapterUse("notes"),)


REFUSED = [
    (chat("missing"), openai.NotFoundError),
    (chat("broken"), openai.UnprocessableEntityError),
    (chat(lora=[{"id": 3}]), openai.BadRequestError),
    (chat(lora=[{"id": -1}]), openai.BadRequestError),
    (chat(lora=[{"id": 0}]), openai.UnprocessableEntityError),
    (chat(lora=[{"id": 1}, {"id": 1}]), openai.BadRequestError),
    (chat(lora=[{"id": 1, "scale": 1e9}]), openai.BadRequestError),
    (chat(lora={"id": 1}), openai.BadRequestError),
]


def test_unknown_models_and_adapters_are_refused(play, bench):
    async def scene(client):
        for asked, error in REFUSED:
            with pytest.raises(error) as refused:
                await asked(client)
            assert refused.value.body["hint"]

    play(scene)
    assert bench.engine.calls == []
