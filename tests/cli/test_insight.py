import json
from collections.abc import Callable

import pytest
import typer
from sqlalchemy import Engine

from tests.export.insights import insights_of
from tests.ledger.samples import take, transcript, upload
from transcribe_pipeline.artifacts import InsightStage
from transcribe_pipeline.cli import insight
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.insights import INSIGHTS
from transcribe_pipeline.ledger import files, insights, leases, voices
from transcribe_pipeline.settings import load_settings
from transcribe_pipeline.speech.voices import Thresholds

Show = Callable[..., str]


@pytest.fixture
def show(capsys: pytest.CaptureFixture[str]) -> Show:
    """What the command prints."""

    def shown(name: str, stage: InsightStage | None = None, *, as_json: bool = False, versions: bool = False) -> str:
        insight.show(name, stage=stage, owner=None, as_json=as_json, versions=versions)
        return capsys.readouterr().out

    return shown


def save(ledger: Engine, key: str, text: str, *stages: InsightStage) -> None:
    claim = take(ledger, text, key=key)
    told = insights_of(transcript(), text)
    for stage in stages or INSIGHTS:
        about = {"transcript_id": files.get(ledger, key).current_transcript_id}
        insights.save(ledger, claim, stage, getattr(told, stage).model_copy(update=about))
    leases.complete(ledger, claim)


def name_speaker(ledger: Engine, key: str, name: str) -> None:
    transcript_id = files.get(ledger, key).current_transcript_id or ""
    voices.confirm(ledger, "ann", transcript_id, "SPEAKER_00", name=name)
    claim = take(ledger, "names", key=key)
    voices.identities(ledger, claim, transcript_id, Thresholds.of(load_settings()))
    leases.complete(ledger, claim)


def test_everything_is_shown_with_moments_and_how_it_was_made(ledger: Engine, meeting: str, show: Show) -> None:
    save(ledger, meeting, "SPEAKER_00 sells the house")
    lines = [line.strip() for line in show("meeting.mp3").splitlines()]
    made = "By llama (ollama); check against the recording."
    assert f"Summary  {made} 2 statements were left out, since the recording does not bear them out." in lines
    for line in (
        "Bottom line",
        "0:00:00  Bottom line: SPEAKER_00 sells the house",
        "0:00:00  To do: SPEAKER_00 sells the house  [SPEAKER_01]  [by Friday]  [high]",
        "0:00:00  SPEAKER_00 sells the house (1)",
        "0:00:07  SPEAKER_00 sells the house (2)",
        "Left open",
        "0:00:00  Open: SPEAKER_00 sells the house?",
        "0:00:07  → Answer: SPEAKER_00 sells the house",
        'SPEAKER_01: Sheila, 80%: Says "SPEAKER_00 sells the house".',
        "Silence: 1:01 (25%)",
        "Topic: SPEAKER_00 sells the house",
        "Chunks: 1",
    ):
        assert line in lines
    labelled = [line.split("  ")[0] for line in lines if made in line]
    assert labelled == ["Summary", "Chapters", "Questions", "Speaker names", "Knowledge graph"]
    assert {"Analytics", "Semantic chunks"} <= set(lines)


def test_one_stage_alone(ledger: Engine, meeting: str, show: Show) -> None:
    save(ledger, meeting, "a house", "chapters", "summary")
    assert [line.strip() for line in show(meeting, "chapters").splitlines()[1:]] == [
        "0:00:00  a house (1)",
        "0:00:07  a house (2)",
    ]
    with pytest.raises(PipelineError, match="has no questions yet") as missing:
        show(meeting, "questions")
    assert missing.value.code is ErrorCode.ARTIFACT_MISSING


def test_json_has_everything_and_says_who_speaks(ledger: Engine, meeting: str, show: Show) -> None:
    save(ledger, meeting, "SPEAKER_00 sells the house")
    shown = json.loads(show(meeting, as_json=True))
    assert list(shown["insights"]) == list(INSIGHTS)
    assert shown["versions"]["summary"]["version"] == 1
    assert (shown["partition_key"], shown["speakers"][0]) == (meeting, {"label": "SPEAKER_00", "name": "SPEAKER_00"})


def test_names_that_people_gave_stand_in_texts(ledger: Engine, meeting: str, show: Show) -> None:
    save(ledger, meeting, "SPEAKER_00 sells the house")
    name_speaker(ledger, meeting, "Diane")
    assert "Bottom line: Diane sells the house" in show(meeting)
    shown = json.loads(show(meeting, "summary", as_json=True))
    assert shown["insights"]["summary"]["bottom_line"]["text"] == "Bottom line: Diane sells the house"
    assert shown["speakers"][0] == {"label": "SPEAKER_00", "name": "Diane"}


def test_versions_are_listed_oldest_first(ledger: Engine, meeting: str, show: Show) -> None:
    save(ledger, meeting, "one", "summary", "chapters")
    save(ledger, meeting, "two", "summary")
    shown = json.loads(show(meeting, "summary", as_json=True, versions=True))
    assert [(each["stage"], each["version"], each["model"]) for each in shown] == [
        ("summary", 1, "llama"),
        ("summary", 2, "llama"),
    ]
    header, *rows = show(meeting, versions=True).splitlines()
    assert header.split() == ["STAGE", "VERSION", "MADE", "BY"]
    assert [row.split()[:2] for row in rows] == [["chapters", "1"], ["summary", "1"], ["summary", "2"]]
    assert rows[0].endswith("ollama/llama")


def test_nothing_that_is_said_commands_the_terminal(ledger: Engine, meeting: str, show: Show) -> None:
    save(ledger, meeting, "a\x9b2Jb [bold]c[/bold]\r\n\u2028d")
    text = show(meeting)
    assert not {"\x1b", "\x9b", "\r", "\u2028"} & set(text)
    assert "Bottom line: a2Jb [bold]c[/bold] d" in text


@pytest.mark.parametrize("name", ["meeting.mp3", "interview.wav"])
def test_without_insights_it_is_said(show: Show, meeting: str, waiting: str, name: str) -> None:
    with pytest.raises(PipelineError, match="yet") as missing:
        show(name)
    assert missing.value.code is ErrorCode.ARTIFACT_MISSING


def test_a_name_of_several_files_is_asked_about(ledger: Engine, show: Show, meeting: str) -> None:
    files.register(ledger, [upload(owner="bob")], settle_seconds=0)
    with pytest.raises(typer.Exit):
        show("meeting.mp3")
