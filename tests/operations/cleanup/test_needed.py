"""Nothing that a current transcript, a rollback, a recovery or a redrive reads is ever in a plan."""

from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from transcribe_pipeline.ledger.cleanup import FileFacts, Version
from transcribe_pipeline.ledger.models import Status
from transcribe_pipeline.operations.cleanup.planning import Made, needed_by

CONTENTS = ("a" * 64, "b" * 64)
NAMES = ("upload.json.zst", "audio.json.zst", "audio.flac", "channel1.flac", "transcript.json.zst", "strange.bin")

generations = st.integers(1, 6)
contents = st.sampled_from(CONTENTS)


def made_by(content: str, generation: int, name: str) -> Made:
    return Made(content[:16], generation, name, f"artifacts/f/{content[:16]}/g{generation:04d}/{name}")


objects = st.sets(st.builds(made_by, contents, generations, st.sampled_from(NAMES)), max_size=40)
versions = st.lists(st.tuples(contents, generations), max_size=4)


def file(sha256: str | None, generation: int, base: int, made: list[tuple[str, int]]) -> FileFacts:
    return FileFacts(
        id="1",
        partition_key="f",
        object_key="uploads/ann/f",
        owner="ann",
        etag="e",
        size_bytes=1,
        sha256=sha256,
        generation=generation,
        base_generation=base,
        status=Status.COMPLETED,
        finished_at=datetime.now(UTC),
        error_code=None,
        legal_hold=None,
        lease_owner=None,
        current_transcript_id=None,
        versions=tuple(
            Version(content, number, made_by(content, number, "transcript.json.zst").key) for content, number in made
        ),
    )


def read_by(stored: set[Made], content: str, generation: int) -> set[str]:
    """What a run of this generation finds of each stage: as `ArtifactStore.find`, plainly said once more."""
    found = set()
    for name in NAMES:
        if not name.endswith(".json.zst"):
            continue
        there = [o for o in stored if (o.content, o.name) == (content[:16], name) and o.generation <= generation]
        if not there:
            continue
        newest = max(there, key=lambda each: each.generation)
        found.add(newest.key)
        if name == "audio.json.zst":  # it points at the files of its own generation
            found |= {
                o.key
                for o in stored
                if o.name.endswith(".flac") and (o.content, o.generation) == (newest.content, newest.generation)
            }
    return found


@settings(max_examples=200, deadline=None)
@given(objects, contents, st.tuples(generations, generations), versions)
def test_whatever_anybody_may_read_is_needed(
    stored: set[Made], content: str, bounds: tuple[int, int], made: list[tuple[str, int]]
):
    base, generation = sorted(bounds)
    needed = needed_by(file(content, generation, base, made), stored)
    redrive = read_by(stored, content, generation)
    rollbacks = set().union(*(read_by(stored, of, number) for of, number in made))
    recovery = {each.key for each in stored if each.content == content[:16] and each.generation >= base}
    records = {version.artifact_key for version in file(content, generation, base, made).versions}
    strange = {each.key for each in stored if each.name == "strange.bin"}
    assert redrive | rollbacks | recovery | strange <= needed
    assert needed <= redrive | rollbacks | recovery | strange | records | _audio_of(stored, recovery | records)


def _audio_of(stored: set[Made], kept: set[str]) -> set[str]:
    pointing = {(o.content, o.generation) for o in stored if o.name == "audio.json.zst" and o.key in kept}
    return {o.key for o in stored if o.name.endswith(".flac") and (o.content, o.generation) in pointing}


@settings(max_examples=30, deadline=None)
@given(objects, versions)
def test_of_unknown_content_everything_is_needed(stored: set[Made], made: list[tuple[str, int]]):
    assert needed_by(file(None, 6, 6, made), stored) == {each.key for each in stored}
