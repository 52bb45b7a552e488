"""A file dropped into the uploads folder becomes a transcript, with Dagster's own daemon doing the work."""

from pathlib import Path

import dagster as dg
from sqlalchemy import text

from tests.e2e.deployment import TERMINAL, Home
from tests.scoring import der, rttm, turns_of
from transcribe_pipeline.ledger import events, timings, transcripts
from transcribe_pipeline.ledger.models import Status
from transcribe_pipeline.stage import STAGES


def test_a_dropped_recording_becomes_a_speaker_labelled_transcript(deployment: Home, two_speakers: Path) -> None:
    key = deployment.drop(two_speakers, "ann", "Diane & Sheila.wav")
    file = deployment.wait(key, lambda seen: seen.status in TERMINAL)

    assert (file.status, file.error_text, file.progress) == (Status.COMPLETED, None, 1.0)
    assert file.current_transcript_id
    transcript = transcripts.load(deployment.ledger, file.current_transcript_id)
    spoken = " ".join(word.text for word in transcript.words)
    assert "Diane" in spoken
    assert "New Jersey" in spoken
    assert [speaker.label for speaker in transcript.speakers] == ["SPEAKER_00", "SPEAKER_01"]
    error_rate = der(rttm(two_speakers.with_suffix(".rttm")), turns_of(transcript))
    print(f"DER {error_rate:.3f}")
    assert error_rate < 0.20  # 0.101 measured

    assert {path.name for path in deployment.results(file).iterdir()} >= {
        *(f"transcript.{extension}" for extension in ("html", "srt", "vtt", "txt", "json", "csv")),
        *("summary.md", "insights.json", "graph.graphml", "analytics.csv"),
    }
    assert [timing.stage for timing in timings.of_file(deployment.ledger, file.id)] == list(STAGES)
    with deployment.ledger.connect() as connection:
        artifact_key = connection.execute(text("SELECT artifact_key FROM transcript")).scalar_one()
    assert (deployment.folder / "store" / artifact_key).is_file()  # the version's source is where it says
    assert [event.kind.value for event in events.pending(deployment.ledger, 10)] == ["transcribed", "completed"]


def test_identical_bytes_are_not_transcribed_again(deployment: Home, two_speakers: Path) -> None:
    key = deployment.drop(two_speakers, "ann", "Diane & Sheila.wav")
    file = deployment.wait(key, lambda seen: seen.generation == 2 and seen.status in TERMINAL)
    assert file.status == Status.COMPLETED
    assert [run.status for run in deployment.runs(file)] == [dg.DagsterRunStatus.SUCCESS] * 2
    assert len(transcripts.versions(deployment.ledger, file.partition_key)) == 1
    transcribed = [timing.generation for timing in timings.of_file(deployment.ledger, file.id)]
    assert transcribed == [1] * len(STAGES) + [2]  # the second run only read the upload


def test_dagster_shows_what_happened(deployment: Home) -> None:
    file = deployment.file("uploads/ann/Diane & Sheila.wav")
    assert file
    with deployment.instance as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey("transcript"))
        checks = instance.event_log_storage.get_asset_check_summary_records(
            [dg.AssetCheckKey(dg.AssetKey("subtitles"), "exports_are_lossless")]
        )
    assert event
    assert event.asset_materialization
    metadata = event.asset_materialization.metadata
    assert {"words", "speakers", "mean_confidence", "stage_seconds", "audio_seconds"} <= metadata.keys()
    assert isinstance(metadata["words"].value, int)
    assert "data:image/png;base64," in str(metadata["who_spoke_when"].value)
    assert "Diane" in str(metadata["preview"].value)
    assert {run.tags["transcribe/owner"] for run in deployment.runs(file)} == {"ann"}
    assert checks


def test_a_file_that_is_no_media_ends_at_once_with_a_remedy(deployment: Home, tmp_path: Path) -> None:
    page = tmp_path / "talk.mp3"
    page.write_text("<html><body>502 Bad Gateway</body></html>" * 50)
    key = deployment.drop(page, "bob")
    file = deployment.wait(key, lambda seen: seen.status in TERMINAL)
    assert (file.status, file.error_code) == (Status.ERROR, "NOT_MEDIA")
    (run,) = deployment.runs(file)  # one run: never retried
    assert run.status == dg.DagsterRunStatus.FAILURE
    with deployment.instance as instance:
        (failed,) = [
            record.event_log_entry.dagster_event
            for record in instance.get_records_for_run(run.run_id).records
            if record.event_log_entry.dagster_event and record.event_log_entry.dagster_event.is_step_failure
        ]
    data = failed.step_failure_data.user_failure_data
    assert data
    assert data.description
    assert data.description.startswith("The file is not audio or video, whatever its name says")
    assert str(data.metadata["remedy"].value) == "Upload the recording itself."


def test_new_content_under_the_same_name_is_a_new_generation(deployment: Home, tmp_path: Path) -> None:
    page = tmp_path / "talk.mp3"
    page.write_bytes(b"")
    key = deployment.drop(page, "bob")
    file = deployment.wait(key, lambda seen: seen.generation == 2 and seen.status in TERMINAL)
    assert (file.status, file.error_code) == (Status.ERROR, "EMPTY_FILE")
