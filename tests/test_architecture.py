"""The rooms of the house: arrows point down only, and the lower rooms know nothing of Dagster or of databases."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "transcribe_pipeline"

# Lower number = lower room; a module imports from its own level or below.
LEVELS = {
    "artifacts": 0,
    "insights": 0,
    "crontab": 0,
    "errors": 0,
    "settings": 0,
    "partitions": 0,
    "options": 1,
    "scratch": 1,
    "ledger": 1,
    "media": 1,
    "speech": 1,
    "text": 1,
    "noise": 1,
    "search": 1,
    "export": 1,
    "evaluation": 1,
    "language_models": 1,
    "insight": 1,
    "resources": 2,
    "stage": 2,
    "backfills": 2,
    "operations": 3,
    "assets": 3,
    "checks": 3,
    "doctor": 3,
    "jobs": 3,
    "schedules": 3,
    "sensors": 3,
    "definitions": 4,
    "corpus": 4,
    "cli": 4,
    "api": 4,
}
# Plain Python: no framework, no database.
FORBIDDEN = {
    room: {"dagster", "sqlalchemy"}
    for room in (
        *("media", "speech", "text", "noise", "search", "export", "evaluation"),
        *("insight", "language_models"),
    )
} | {
    "ledger": {"dagster"},
    "scratch": {"dagster", "sqlalchemy"},
    "options": {"dagster", "sqlalchemy"},
    "artifacts": {"dagster", "sqlalchemy"},
    "insights": {"dagster", "sqlalchemy"},
    "crontab": {"dagster", "sqlalchemy"},
    "errors": {"dagster", "sqlalchemy"},
    "settings": {"dagster", "sqlalchemy"},
}

modules = pytest.mark.parametrize(
    "module", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)


def _room(module: Path) -> str:
    return module.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _imports(module: Path) -> Iterator[str]:
    """Dotted names of everything imported anywhere in the module, inside functions and for type checkers too."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module.name}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_every_room_has_its_level():
    rooms = {_room(module) for module in PACKAGE.rglob("*.py")} - {"__init__"}
    assert rooms <= LEVELS.keys()


@modules
def test_arrows_point_down_only(module):
    imported = {name.split(".")[1] for name in _imports(module) if name.startswith("transcribe_pipeline.")}
    level = LEVELS.get(_room(module), 0)
    assert not {room for room in imported if LEVELS.get(room, 0) > level}


@modules
def test_plain_rooms_stay_plain(module):
    found = {name.split(".")[0] for name in _imports(module)} & FORBIDDEN.get(_room(module), set())
    assert not found


@pytest.mark.parametrize("module", sorted((PACKAGE / "assets").rglob("*.py")), ids=lambda path: path.name)
def test_asset_modules_keep_their_annotations(module):
    # Dagster reads the annotations of assets at run time; as strings they lose the types of inputs and outputs.
    assert "__future__.annotations" not in _imports(module)
