"""What an index should hold, and files that get back what they lacked."""

from sqlalchemy import Engine, insert

from tests.export.insights import insights_of
from tests.ledger.samples import MEETING, claimed, take, transcript, upload
from transcribe_pipeline.ledger import files, insights, leases, searchable, transcripts
from transcribe_pipeline.ledger.database import write
from transcribe_pipeline.ledger.models import SpeakerIdentity

SHA256 = "a" * 64


def _transcribed(engine: Engine, name: str, owner: str = "ann") -> str:
    """Id of the file's transcript."""
    found = upload(name, owner=owner)
    files.register(engine, [found], settle_seconds=0)
    claim = take(engine, f"run-{owner}-{name}", key=found.partition_key)
    leases.record_sha256(engine, claim, SHA256)
    return transcripts.save(engine, claim, transcript(), artifact_key="a", provenance={}).transcript_id


def test_every_current_transcript_in_order_of_bytes_with_the_names_shown(engine: Engine, monkeypatch):
    monkeypatch.setattr(searchable, "_PAGE", 2)  # several pages
    names = ["b-2.mp3", "b 1.mp3", "b1.mp3", "B.mp3", "a.mp3"]
    ids = {name: _transcribed(engine, name) for name in names}
    files.register(engine, [upload("without.mp3")], settle_seconds=0)
    rows = [
        {"transcript_id": ids["a.mp3"], "label": "SPEAKER_00", "band": "auto", "name": "Ann"},
        {"transcript_id": ids["a.mp3"], "label": "SPEAKER_01", "band": "suggested", "name": "Bob"},
        {"transcript_id": ids["b1.mp3"], "label": "SPEAKER_00", "band": "confirmed", "name": "Cy"},
    ]
    write(engine, lambda connection: connection.execute(insert(SpeakerIdentity), rows))
    found = list(searchable.all_files(engine))
    assert [each.partition_key for each in found] == sorted(each.partition_key for each in found)
    assert {each.file_name: each.transcript_id for each in found} == ids
    assert {each.file_name: each.names for each in found if each.names} == {
        "a.mp3": {"SPEAKER_00": "Ann"},
        "b1.mp3": {"SPEAKER_00": "Cy"},
    }


def test_the_versions_of_insights_are_those_that_people_see(engine: Engine):
    """And those of the current transcript alone."""
    claim = claimed(engine)
    leases.record_sha256(engine, claim, SHA256)
    ids = [
        transcripts.save(engine, claim, transcript(first_word=word), artifact_key="a", provenance={}).transcript_id
        for word in ("One", "Two")
    ]
    for transcript_id, texts in zip(ids, [["a"], ["a", "b", "c"]], strict=True):
        for text in texts:
            told = insights_of(transcript(), text)
            assert told.summary
            about = {"transcript_id": transcript_id}
            insights.save(engine, claim, "summary", told.summary.model_copy(update=about))
    (found,) = searchable.all_files(engine)
    assert (found.transcript_id, found.insights) == (ids[1], {"summary": 3})


def test_a_file_is_mended_for_the_transcript_that_it_has(engine: Engine):
    claim = claimed(engine)
    leases.record_sha256(engine, claim, SHA256)
    saved = transcripts.save(engine, claim, transcript(), artifact_key="a", provenance={})
    leases.complete(engine, claim, degraded=["subtitles", "search_document"])
    lacking = [(MEETING, saved.transcript_id)]
    assert files.lacking(engine, "search_document") == lacking
    files.mend(engine, MEETING, "search_document", "another transcript")
    assert files.lacking(engine, "search_document") == lacking
    files.mend(engine, MEETING, "search_document", saved.transcript_id)
    assert (files.lacking(engine, "search_document"), files.lacking(engine, "subtitles")) == ([], lacking)
    assert files.get(engine, MEETING).degraded == ["subtitles"]
