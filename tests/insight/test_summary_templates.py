"""Templates: which is taken, and what is wrong with those that cannot be."""

from typing import get_args

import pytest

from tests.insight.recordings import meeting
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.insight.summary.templates import load, template_for
from transcribe_pipeline.insights import ContentType

OWN = "version: 3\ncontent_type: meeting\nparts: [decisions]\ninstructions: {}\n"


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())


@pytest.mark.parametrize("kind", get_args(ContentType))
def test_every_kind_of_recording_has_one(kind):
    template = load(kind)
    assert (template.label, template.content_type) == (f"{kind}/1", kind)
    assert template.instructions


def test_by_kind_of_recording_unless_asked_for():
    assert template_for(meeting()).name == "meeting"
    assert template_for(meeting(), wanted="lecture").name == "lecture"


def test_the_owners_before_everybodys_before_ours(tmp_path):
    write(tmp_path / "meeting.yaml", OWN.format("Everybody's."))
    write(tmp_path / "ann" / "meeting.yaml", OWN.format("Ann's."))
    assert load("meeting", folder=tmp_path, owner="ann").instructions == "Ann's."
    assert load("meeting", folder=tmp_path, owner="bob").instructions == "Everybody's."
    assert load("lecture", folder=tmp_path, owner="ann").label == "lecture/1"


def test_names_of_ones_own(tmp_path):
    write(tmp_path / "standup.yaml", OWN.format("Short."))
    template = load("standup", folder=tmp_path)
    assert (template.label, template.parts, template.content_type) == ("standup/3", ("decisions",), "meeting")


def test_what_it_says_is_in_its_digest(tmp_path):
    write(tmp_path / "meeting.yaml", OWN.format("One."))
    one = load("meeting", folder=tmp_path).digest
    write(tmp_path / "meeting.yaml", OWN.format("Two."))
    assert load("meeting", folder=tmp_path).digest != one


@pytest.mark.parametrize(
    "name", ["nothing", "../meeting", "meeting.yaml", "Meeting", "", "a" * 41, "ann/meeting", "x\x00"]
)
def test_a_name_that_there_is_not(tmp_path, name):
    write(tmp_path / "standup.yaml", OWN.format("Short."))
    with pytest.raises(PipelineError) as caught:
        load(name, folder=tmp_path)
    assert caught.value.code == ErrorCode.CONFIGURATION
    assert "standup" in caught.value.detail
    assert "meeting" in caught.value.detail


@pytest.mark.parametrize("owner", ["..", ".", "../other", "a/b", "a\\b", "\x00"])
def test_owners_lead_nowhere_else(tmp_path, owner):
    write(tmp_path / "other" / "meeting.yaml", OWN.format("Another's."))
    write(tmp_path / "meeting.yaml", OWN.format("Outside."))
    write(tmp_path / "a" / "b" / "meeting.yaml", OWN.format("Below."))
    write(tmp_path / "in" / "x.yaml", "")
    assert load("meeting", folder=tmp_path / "in", owner=owner).label == "meeting/1"


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "file"),
        ("version: 1", "content_type"),
        ("- a\n- b", "file"),
        (OWN.format("x") + "more: 1", "more"),
        (OWN.format("x").replace("3", "'3'"), "version"),
        (OWN.format("x").replace("decisions", "secrets"), "parts"),
        (OWN.format("x" * 4001), "instructions"),
        (OWN.format("!!python/object:os.system"), "tags"),
        (OWN.format("&a x"), "aliases"),
        (b"\xff\xfe\x00", "UTF-8"),
        ("a" * 70_000, "larger"),
        (OWN.format("[") , "line"),
    ],
)  # fmt: skip
def test_broken_ones_are_named(tmp_path, text, wrong):
    write(tmp_path / "meeting.yaml", text)
    with pytest.raises(PipelineError) as caught:
        load("meeting", folder=tmp_path)
    assert caught.value.code == ErrorCode.CONFIGURATION
    assert "meeting.yaml" in caught.value.detail
    assert wrong in caught.value.detail


def test_instructions_are_one_clean_line(tmp_path):
    write(tmp_path / "meeting.yaml", OWN.format("|\n  One.\n  \u202f Two."))
    assert "\n" not in load("meeting", folder=tmp_path).instructions
