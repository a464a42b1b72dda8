import asyncio
import json
import threading
from pathlib import Path

import pytest
from starlette.testclient import TestClient

import tiny_models
from fake_app import AUTHORIZED, HOST, Bench, parse_events
from lorebook_api.asking import AdapterUse
from lorebook_api.errors import EngineDied, Unusable
from lorebook_api.state import AdapterInfo
from lorebook_daemon.answer.ask import ask
from lorebook_daemon.app.application import create_app
from lorebook_daemon.models.adapters import adapters_folder
from lorebook_daemon.models.shelf import LocalModel


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A model, an adapter for it, an activated one, and a text that calls itself an adapter."""
    folder = tmp_path_factory.mktemp("made")
    model = tiny_models.tiny_llama(folder / "base.gguf")
    tiny_models.tiny_adapter(folder / "plain.gguf", model)
    tiny_models.tiny_adapter(folder / "active.gguf", model, alora_invocation=(3, 5))
    (folder / "broken.gguf").write_text("a shopping list")
    return folder


@pytest.fixture
def folder(home, made):
    """lorebook's folder with three adapters in it: active, broken, plain."""
    place = adapters_folder(home)
    place.mkdir()
    for name in ("plain", "active", "broken"):
        (place / f"{name}.gguf").write_bytes((made / f"{name}.gguf").read_bytes())
    return place


@pytest.fixture
def bench():
    return Bench(answer=ask)


@pytest.fixture
def client(bench, folder):
    with TestClient(
        create_app(bench.parts), base_url=f"http://{HOST}", headers=AUTHORIZED, raise_server_exceptions=False
    ) as client:
        yield client


def put_in_memory(client):
    """Ask something, so that a model is in memory."""
    client.post("/api/ask", json={"question": "hello?", "grounding": False})


def used(bench):
    """Return the adapters of the last generation."""
    return next(call.adapters for call in reversed(bench.engine.calls) if call.what == "generate")


def error_of(response):
    return response.status_code, response.json()["error"]["message"]


def listed(client, key):
    return {adapter["name"]: adapter[key] for adapter in client.get("/api/adapters").json()["adapters"]}


# -- /api/adapters


def test_the_list_says_what_each_file_says_and_what_is_in_memory(client, folder):
    adapters = client.get("/api/adapters").json()["adapters"]
    assert [adapter["name"] for adapter in adapters] == ["active", "broken", "plain"]
    assert adapters[0].keys() == set(AdapterInfo.__dataclass_fields__)
    active, broken, plain = adapters
    assert (active["architecture"], active["ranks"], active["invocation"]) == ("llama", [4], [3, 5])
    assert "not a GGUF file" in broken["damaged"]
    assert plain["path"] == str(folder / "plain.gguf")
    assert listed(client, "loaded") == {"active": False, "broken": False, "plain": False}


def test_one_is_shown_by_name_or_path(client, made):
    assert client.get("/api/adapters/PLAIN").json()["name"] == "plain"
    path = str(made / "plain.gguf")
    assert client.get(f"/api/adapters/{path.replace('/', '%2F')}").json()["path"] == path
    assert error_of(client.get("/api/adapters/plan")) == (404, "There is no adapter 'plan'. Did you mean plain?")
    assert client.get("/api/adapters/%00").status_code == 400


def test_an_adapter_is_loaded_into_the_model_in_memory(bench, client):
    put_in_memory(client)
    events = parse_events(client.post("/api/adapters/load", json={"name": "plain"}).text)
    assert events[-1][0] == "done" and events[-1][1]["loaded"] is True
    assert listed(client, "loaded") == {"active": False, "broken": False, "plain": True}
    assert client.post("/api/adapters/unload", json={"name": "plain"}).json() == {"unloaded": "plain"}
    assert listed(client, "loaded")["plain"] is False
    assert bench.loads == ["tiny"]


def test_without_a_model_in_memory_the_usual_one_is_loaded_first(bench, client):
    events = parse_events(client.post("/api/adapters/load", json={"name": "plain"}).text)
    assert [name for name, _ in events] == ["progress", "done"]
    assert bench.loads == ["tiny"]


def test_what_looks_loads_nothing(bench, client):
    client.get("/api/adapters")
    client.get("/api/adapters/plain")
    client.post("/api/adapters/unload", json={"name": "plain"})
    client.post("/lora-adapters", json=[{"id": 2, "scale": 1.0}])
    client.delete("/api/adapters/plain")
    assert bench.loads == []


def test_one_that_does_not_fit_is_told(bench, client):
    bench.engine.refuses["plain"] = Unusable("The adapter plain does not fit tiny: it is too wide.", "Use another.")
    events = parse_events(client.post("/api/adapters/load", json={"name": "plain"}).text)
    assert [name for name, _ in events] == ["progress", "error"] and events[-1][1]["error"]["code"] == 422
    response = client.post("/api/adapters/load", json={"name": "plain"})
    assert error_of(response) == (422, "The adapter plain does not fit tiny: it is too wide.")
    assert client.post("/api/adapters/load", json={"name": "nobody"}).status_code == 404


def test_an_engine_that_died_has_nothing_in_memory(bench, client):
    put_in_memory(client)

    async def died():
        raise EngineDied("The engine's process ended.", "Ask again.")

    bench.engine.loaded = died
    assert not any(listed(client, "loaded").values())


def test_import_and_removal(bench, client, made, folder):
    adapter = client.post("/api/adapters/import", json={"path": str(made / "plain.gguf"), "name": "mine"}).json()
    assert (adapter["name"], adapter["path"]) == ("mine", str(folder / "mine.gguf"))
    put_in_memory(client)
    client.post("/api/adapters/load", json={"name": "mine"})
    assert client.delete("/api/adapters/mine").json() == {"removed": "mine"}
    assert not (folder / "mine.gguf").exists() and asyncio.run(bench.engine.loaded()) == ()
    assert client.delete("/api/adapters/mine").status_code == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"path": "plain.gguf"}, 400),
        ({"path": ""}, 400),
        ({"path": "/a\0b"}, 400),
        ({"path": "/nowhere/x.gguf"}, 404),
        ({"path": "/" + "x" * 5000}, 404),
        ({"path": "PLAIN", "name": "../../up"}, 400),
        ({"path": "PLAIN", "name": "a/b"}, 400),
        ({"path": "PLAIN", "name": "a\0b"}, 400),
        ({"path": "PLAIN", "name": "plain"}, 409),
        ({"path": "PLAIN", "name": "Active"}, 409),
        ({"path": "BASE"}, 422),
        ({"path": "BROKEN"}, 422),
        ({}, 400),
        ([], 400),
    ],
    ids=str,
)
def test_a_bad_import_is_refused_and_leaves_nothing(client, made, folder, body, status):
    before = sorted(folder.glob("*.gguf"))
    if isinstance(body, dict) and body.get("path", "").isupper():
        body = {**body, "path": str(made / f"{body['path'].lower()}.gguf")}
    response = client.post("/api/adapters/import", json=body)
    assert response.status_code == status, response.text
    assert response.json()["error"]["hint"] and "\n" not in response.json()["error"]["message"]
    assert sorted(folder.glob("*.gguf")) == before


@pytest.mark.parametrize(
    "name", ["..%2F..%2Fstate", "%2Fetc%2Fpasswd", "..%5Cx", ".", "nobody", "a%00b", "%F0%9F%92%A9"]
)
def test_only_files_of_the_folder_are_removed(client, made, folder, name):
    before = sorted(folder.iterdir())
    assert client.delete(f"/api/adapters/{name}").status_code in (400, 404, 405)
    assert client.delete(f"/api/adapters/{str(made / 'plain.gguf').replace('/', '%2F')}").status_code == 404
    assert sorted(folder.iterdir()) == before and (made / "plain.gguf").is_file()


def test_a_damaged_file_can_be_removed(client, folder):
    assert client.delete("/api/adapters/broken").status_code == 200
    assert not (folder / "broken.gguf").exists()


# -- /lora-adapters


def test_lora_adapters_in_llama_cpp_s_shape(client, folder):
    assert client.get("/lora-adapters").json() == [
        {
            "id": 0,
            "path": str(folder / "active.gguf"),
            "scale": 0.0,
            "task_name": "",
            "prompt_prefix": "",
            "alora_invocation_tokens": [3, 5],
        },
        {"id": 1, "path": str(folder / "broken.gguf"), "scale": 0.0, "task_name": "", "prompt_prefix": ""},
        {"id": 2, "path": str(folder / "plain.gguf"), "scale": 0.0, "task_name": "", "prompt_prefix": ""},
    ]


def test_a_request_that_names_no_adapter_gets_the_default_ones(bench, client):
    body = {"question": "hello?", "grounding": False}
    assert client.post("/lora-adapters", json=[{"id": 2, "scale": 0.5}]).json() == {"success": True}
    assert [one["scale"] for one in client.get("/lora-adapters").json()] == [0.0, 0.0, 0.5]
    assert listed(client, "scale") == {"active": 0.0, "broken": 0.0, "plain": 0.5}
    assert client.get("/api/adapters/plain").json()["scale"] == 0.5
    answer = parse_events(client.post("/api/ask", json=body).text)[-1][1]
    assert used(bench) == (AdapterUse("plain", 0.5),)
    assert answer["adapters"] == [{"name": "plain", "scale": 0.5}]
    client.post("/api/ask", json={**body, "adapters": [{"name": "active"}]})
    assert used(bench) == (AdapterUse("active", 1.0),)


def test_what_is_not_in_the_list_gets_scale_0(bench, client):
    client.post("/lora-adapters", json=[{"id": 2, "scale": 0.5}])
    client.post("/lora-adapters", json=[{"id": 0, "scale": -1}, {"id": 2, "scale": 0}])
    assert [one["scale"] for one in client.get("/lora-adapters").json()] == [-1.0, 0.0, 0.0]
    client.post("/lora-adapters", json=[])
    put_in_memory(client)
    assert used(bench) == ()


def test_the_default_ones_stay_what_they_are_when_numbers_move(client, made, folder):
    client.post("/lora-adapters", json=[{"id": 2, "scale": 0.5}])
    (folder / "aaa.gguf").write_bytes((made / "plain.gguf").read_bytes())
    assert [one["scale"] for one in client.get("/lora-adapters").json()] == [0.0, 0.0, 0.0, 0.5]
    client.delete("/api/adapters/plain")
    assert [one["scale"] for one in client.get("/lora-adapters").json()] == [0.0, 0.0, 0.0]


def test_with_a_model_in_memory_one_that_does_not_fit_is_no_default(bench, client):
    put_in_memory(client)
    client.post("/lora-adapters", json=[{"id": 2, "scale": 1}])
    assert asyncio.run(bench.engine.loaded()) == ("plain",)
    bench.engine.refuses["active"] = Unusable("It does not fit.", "Use another.")
    assert error_of(client.post("/lora-adapters", json=[{"id": 0, "scale": 1}])) == (422, "It does not fit.")
    assert [one["scale"] for one in client.get("/lora-adapters").json()] == [0.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("content", "status", "says"),
    [
        ('[{"id": 3, "scale": 1}]', 400, "no adapter with the id 3"),
        ('[{"id": -1, "scale": 1}]', 400, "no adapter with the id -1"),
        ('[{"id": 99999999999999999999, "scale": 1}]', 400, "99999999999999999999"),
        ('[{"id": 2, "scale": 1}, {"id": 2, "scale": 0}]', 400, "stands twice"),
        ('[{"id": 1, "scale": 1}]', 422, "broken.gguf"),
        ('[{"id": 2, "scale": NaN}]', 400, "nan"),
        ('[{"id": 2, "scale": Infinity}]', 400, "inf"),
        ('[{"id": 2, "scale": 1e999}]', 400, "inf"),
        ('[{"id": 2, "scale": 1e9}]', 400, "1000000000.0"),
        ('[{"id": 2, "scale": "1"}]', 400, "scale"),
        ('[{"id": "2", "scale": 1}]', 400, "id"),
        ('[{"id": true, "scale": 1}]', 400, "id"),
        ('[{"id": 2}]', 400, "scale"),
        ('{"id": 2, "scale": 1}', 400, "list"),
        ("[2]", 400, ""),
        ("[", 400, ""),
        ("", 400, ""),
        (json.dumps([{"id": n, "scale": 1} for n in range(1000)]), 422, "broken.gguf"),
        (json.dumps([{"id": n, "scale": 0} for n in range(1000)]), 400, "no adapter with the id 3"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_bad_scales_change_nothing(client, content, status, says):
    client.post("/lora-adapters", json=[{"id": 2, "scale": 0.5}])
    response = client.post("/lora-adapters", content=content, headers={"Content-Type": "application/json"})
    assert response.status_code == status, response.text
    assert says in response.json()["error"]["message"] and response.json()["error"]["hint"]
    assert [one["scale"] for one in client.get("/lora-adapters").json()] == [0.0, 0.0, 0.5]


def test_a_few_act_together_not_a_thousand(client, made, folder):
    for n in range(9):
        (folder / f"many{n}.gguf").write_bytes((made / "plain.gguf").read_bytes())
    ids = [one["id"] for one in client.get("/lora-adapters").json() if "many" in Path(one["path"]).name]
    assert client.post("/lora-adapters", json=[{"id": n, "scale": 1} for n in ids[:8]]).status_code == 200
    response = client.post("/lora-adapters", json=[{"id": n, "scale": 1} for n in ids])
    assert error_of(response) == (400, "9 adapters are too many at once; 8 can act.")


@pytest.mark.parametrize("scale", ["NaN", "Infinity", "-1e9"])
def test_a_question_s_own_scale_is_bounded_too(client, scale):
    body = f'{{"question": "q", "grounding": false, "adapters": [{{"name": "plain", "scale": {scale}}}]}}'
    response = client.post("/api/ask", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 400 and "1 is as trained" in response.json()["error"]["hint"]


def test_changes_while_others_look_and_ask(bench, client):
    """Scales are set whole: nobody sees half of a change."""
    seen, failed, over = set(), [], threading.Event()

    def look():
        while not over.is_set():
            seen.add(tuple(one["scale"] for one in client.get("/lora-adapters").json()))

    def change():
        for n in range(25):
            scale = n % 2
            body = [{"id": 0, "scale": scale}, {"id": 2, "scale": scale}]
            failed.append(client.post("/lora-adapters", json=body).status_code != 200)

    looking = threading.Thread(target=look)
    looking.start()
    change()
    over.set()
    looking.join()
    assert not any(failed) and seen <= {(0.0, 0.0, 0.0), (1.0, 0.0, 1.0)}


def test_the_engine_in_memory_is_joined_and_not_waited_for(bench):
    async def scene():
        async with bench.parts.engines.joined() as engine:
            assert engine is None
        first, other = (LocalModel(name, Path("/models") / name, None, "lorebook") for name in ("first", "other"))
        async with bench.parts.engines.using(first, lambda progress: None):
            async with bench.parts.engines.joined() as engine:
                assert engine is bench.engine and bench.parts.engines.depth == 2

            async def want_other():
                async with bench.parts.engines.using(other, lambda progress: None):
                    pass

            waiting = asyncio.create_task(want_other())
            await asyncio.sleep(0)
            async with bench.parts.engines.joined() as engine:
                assert engine is None
        await waiting
        async with bench.parts.engines.joined() as engine:
            assert engine is not None
        assert bench.loads == ["first", "other"]

    asyncio.run(scene())
