"""Writes the golden JSON Schemas of all messages: `python -m tools.schemas`.

A test compares them with the code, so that a change of the contract is always a decision, seen in the review.
"""

import json
from pathlib import Path

from shared.contracts import MESSAGES

FOLDER = Path(__file__).parents[1] / "shared" / "contracts" / "schemas"


def current() -> dict[str, str]:
    """File name and text of every message's schema, as it stands on the wire."""
    return {
        f"{type_}.json": json.dumps(message.model_json_schema(mode="serialization"), indent=2, sort_keys=True) + "\n"
        for type_, message in MESSAGES.items()
    }


def golden() -> dict[str, str]:
    """The same as it was last decided."""
    return {file.name: file.read_text() for file in FOLDER.glob("*.json")}


def write() -> None:
    """Make the golden schemas what the code says."""
    for name in golden().keys() - current().keys():
        (FOLDER / name).unlink()
    for name, text in current().items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    write()
