"""Choosing many files by what they have in common."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from tests.ledger.samples import NOON, nobody_finished, take, transcript, upload
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.ledger import forgetting, transcripts
from transcribe_pipeline.ledger.files import every, register
from transcribe_pipeline.ledger.leases import complete, fail
from transcribe_pipeline.ledger.slices import Slice
from transcribe_pipeline.ledger.states import State


@pytest.fixture(autouse=True)
def _five_files(engine: Engine) -> None:
    """Of ann: done (English), degraded (German, another model), failed, waiting; of bob: failed in another way."""
    for day, name in enumerate(["done.mp3", "lacking.MP3", "100%_failed.wav", "waiting.mp3"]):
        register(engine, [upload(name)], settle_seconds=0, now=NOON + timedelta(days=day))
    register(engine, [upload("bobs.mp3", owner="bob")], settle_seconds=0, now=NOON)
    heard = {"done.mp3": ("en", "faster-whisper base"), "lacking.MP3": ("de", "whisperx small")}
    for name, (language, recogniser) in heard.items():
        held = take(engine, key=upload(name).partition_key)
        made = transcript().model_copy(update={"language": language, "recogniser": recogniser})
        transcripts.save(engine, held, made, artifact_key="x", provenance={})
        complete(engine, held, degraded=["summary"] if language == "de" else [])
    failed = (("100%_failed.wav", "ann", ErrorCode.NO_AUDIO), ("bobs.mp3", "bob", ErrorCode.STORE_DENIED))
    for name, owner, code in failed:
        held = take(engine, key=upload(name, owner=owner).partition_key)
        fail(engine, held, PipelineError(code), final=True)


@pytest.mark.parametrize(
    ("within", "names"),
    [
        (Slice(), {"done.mp3", "lacking.MP3", "100%_failed.wav", "waiting.mp3", "bobs.mp3"}),
        (Slice(owner="bob"), {"bobs.mp3"}),
        (Slice(names="*.mp3"), {"done.mp3", "lacking.MP3", "waiting.mp3", "bobs.mp3"}),
        (Slice(names="?one.mp3"), {"done.mp3"}),
        (Slice(names="100%*"), {"100%_failed.wav"}),
        (Slice(names="%"), set()),
        (Slice(names="*0%_f*"), {"100%_failed.wav"}),
        (Slice(names="____.mp3"), set()),
        (Slice(since=NOON + timedelta(days=2)), {"100%_failed.wav", "waiting.mp3"}),
        (Slice(until=NOON + timedelta(days=1)), {"done.mp3", "bobs.mp3"}),
        (Slice(states=[State.COMPLETED]), {"done.mp3"}),
        (Slice(states=[State.DEGRADED, State.PENDING]), {"lacking.MP3", "waiting.mp3"}),
        (Slice(states=[State.ERROR]), {"100%_failed.wav", "bobs.mp3"}),
        (Slice(codes=[ErrorCode.NO_AUDIO]), {"100%_failed.wav"}),
        (Slice(owner="bob", codes=[ErrorCode.NO_AUDIO]), set()),
        (Slice(language="de"), {"lacking.MP3"}),
        (Slice(model="base"), {"done.mp3"}),
        (Slice(model="whisperx small"), {"lacking.MP3"}),
        (Slice(model="whisperx"), set()),
        (Slice(language="en", model="small"), set()),
    ],
)
def test_all_conditions_hold(engine: Engine, within: Slice, names: set[str]):
    assert {file.file_name for file in every(engine, within)} == names


def test_failed_since(engine: Engine):
    with engine.begin() as connection:
        connection.execute(text("UPDATE media_file SET status_since = '2026-01-01 00:00:00' WHERE owner = 'bob'"))
    lately = datetime.now(UTC) - timedelta(days=1)
    (file,) = every(engine, Slice(states=[State.ERROR], state_since=lately))
    assert file.owner == "ann"


def test_what_is_being_forgotten_is_in_no_slice(engine: Engine):
    forgetting.seal(engine, upload("done.mp3").partition_key, holder_finished=nobody_finished)
    assert len(every(engine, Slice())) == 4
    assert {file.file_name for file in every(engine, Slice(states=[State.ERROR]))} == {"100%_failed.wav", "bobs.mp3"}


def test_an_owner_alone_narrows_nothing():
    assert not Slice(owner="ann").is_narrowed
    assert Slice(owner="ann", names="*").is_narrowed


def test_every_file_of_many_pages(engine: Engine):
    register(engine, [upload(f"{number}.wav", owner="eve") for number in range(2_001)], settle_seconds=0)
    assert len({file.id for file in every(engine, Slice(owner="eve"))}) == 2_001
