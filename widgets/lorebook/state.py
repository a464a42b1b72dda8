"""What a widget shows, made of the messages that its pages are sent: the front end keeps the same in the same way.

- `set`: `values` replace fields of the same names;
- `turn`: fields of the turn with this `id`, appended where there is none yet;
- `token`: `text` is added to what the turn `id` says;
- `cut`: the turn `id` and all after it go;
- `replace`: `turns` take the place of all turns;
- any other message passes by: it is for the moment, such as a file to be saved.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lorebook.channel import Message


class WidgetState:
    """Fields by name, and turns in their order."""

    def __init__(self, **values: Any) -> None:
        self.values: dict[str, Any] = values
        self.turns: list[Message] = []

    def apply(self, message: Message) -> None:
        """Take a message in."""
        change = _CHANGES.get(message["type"])
        if change:
            change(self, message)

    def snapshot(self) -> Message:
        """Return all fields and turns."""
        return {**self.values, "turns": [dict(turn) for turn in self.turns]}

    def turn(self, turn_id: str) -> Message | None:
        """Return a turn, None where there is none of that id."""
        return next((turn for turn in self.turns if turn["id"] == turn_id), None)

    def set(self, message: Message) -> None:
        """Replace fields."""
        self.values.update(message["values"])

    def merge(self, message: Message) -> None:
        """Change a turn, or append it."""
        fields = {name: value for name, value in message.items() if name != "type"}
        turn = self.turn(fields["id"])
        if turn is None:
            self.turns.append(fields)
        else:
            turn.update(fields)

    def add_text(self, message: Message) -> None:
        """Let a turn say more."""
        turn = self.turn(message["id"])
        if turn is not None:
            turn["text"] = turn.get("text", "") + message["text"]

    def cut(self, message: Message) -> None:
        """Drop a turn and all after it."""
        at = next((i for i, turn in enumerate(self.turns) if turn["id"] == message["id"]), len(self.turns))
        del self.turns[at:]

    def replace(self, message: Message) -> None:
        """Show other turns."""
        self.turns = [dict(turn) for turn in message["turns"]]


_CHANGES: dict[str, Callable[[WidgetState, Message], None]] = {
    "set": WidgetState.set,
    "turn": WidgetState.merge,
    "token": WidgetState.add_text,
    "cut": WidgetState.cut,
    "replace": WidgetState.replace,
}
