"""The README is true: its settings table is current; commands, paths, settings and assets that it names exist."""

import re
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from transcribe_pipeline.cli import app
from transcribe_pipeline.errors import ErrorCode
from transcribe_pipeline.settings import Settings
from transcribe_pipeline.stage import STAGES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def all_in(pattern: str) -> list[str]:
    """Everything that the README names in this way; a pattern that finds nothing would make its test worthless."""
    found = re.findall(pattern, README, re.MULTILINE)
    assert found, f"the README no longer has anything like {pattern}"
    return found


def test_the_settings_table_is_what_the_program_prints():
    table = README.split("<!-- settings: transcribe config --markdown -->\n")[1].split("<!-- /settings -->")[0]
    printed = CliRunner().invoke(app, ["config", "--markdown"])
    assert table == printed.stdout, "paste the output of 'transcribe config --markdown' between the markers"


def test_linked_files_and_pictures_exist():
    links = [link for link in all_in(r"\]\(([^)]+)\)") if not link.startswith("http")]
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_make_targets_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(all_in(r"`(?:\$ )?make ([a-z-]+)")) <= targets


@pytest.mark.parametrize("line", all_in(r"(?:^|`|&& )transcribe ([a-z][^`#&\n]*)"))
def test_commands_and_their_options_exist(line):
    words = line.split()
    command = typer.main.get_command(app)
    while hasattr(command, "commands"):  # 'voices confirm' is a command of a group
        command = command.get_command(typer.Context(command), words.pop(0))
        assert command is not None
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("-")} <= known


def test_settings_exist():
    assert set(all_in(r"TRANSCRIBE_([A-Z_]+)")) <= {name.upper() for name in Settings.model_fields}


def test_the_pipeline_table_lists_the_stages_in_flow_order():
    table = README.split("| Asset |")[1].split("\n\n")[0]
    assert re.findall(r"^\| `(\w+)`", table, re.MULTILINE) == list(STAGES)


def test_error_codes_exist():
    assert set(all_in(r"\b([A-Z]+_MEDIA)\b")) <= set(ErrorCode)
