"""Rows 9 to 12: the object store fails, cuts, loses or replaces what is being read."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
import soundfile

from tests.faults.harness import PATIENCE, Site, Speech, eventually, row, store_of
from tests.faults.invariants import Result, assert_sound
from tests.servers.proxy import Fault, FaultProxy, fault_proxy
from tests.servers.tcp_proxy import Mode, TcpProxy, tcp_proxy
from transcribe_pipeline.ledger import transcripts
from transcribe_pipeline.ledger.models import Status


@pytest.fixture
def bucket(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An empty bucket; the tests reach its server directly."""
    for name, value in {
        "AWS_ENDPOINT_URL": s3_endpoint,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }.items():
        monkeypatch.setenv(name, value)
    made = boto3.resource("s3", region_name="us-east-1").Bucket(f"faults-{uuid.uuid4().hex}")
    made.create()
    return made


def site_on(bucket: Any, folder: Path, speech: Speech, endpoint: str) -> Site:
    return Site(folder, speech, TRANSCRIBE_STORE_URL=f"s3://{bucket.name}/base", AWS_ENDPOINT_URL=endpoint)


@pytest.fixture
def breaking(bucket: Any, s3_endpoint: str, tmp_path: Path, speech: Speech) -> Iterator[tuple[Site, FaultProxy]]:
    """A site whose answers from the store can be broken one by one."""
    with fault_proxy(s3_endpoint) as proxy:
        made = site_on(bucket, tmp_path / "site", speech, proxy.url)
        yield made, proxy
        made.close()


@pytest.fixture
def unreachable(bucket: Any, s3_endpoint: str, tmp_path: Path, speech: Speech) -> Iterator[tuple[Site, TcpProxy]]:
    """A site whose store can vanish altogether."""
    host, port = s3_endpoint.removeprefix("http://").split(":")
    with tcp_proxy(host, int(port)) as proxy:
        made = site_on(bucket, tmp_path / "site", speech, f"http://127.0.0.1:{proxy.port}")
        yield made, proxy
        made.close()


# --- 9, 10 ----------------------------------------------------------------------------------------------------------


@row(9, 10)
def test_every_other_answer_is_broken(
    breaking: tuple[Site, FaultProxy], bucket: Any, recording: Path, golden: Result
) -> None:
    """503, or a body that ends early, whenever the run reads anything; and nothing unfinished stays in the bucket."""
    site, proxy = breaking
    key = site.drop(recording, "ann")
    proxy.faults.extend([Fault(status=503), Fault(cut_after=100), Fault(status=500), Fault()] * 20)
    site.work(key)
    assert len(proxy.ranges) > 20
    assert_sound(site, golden=golden, completed=[key])
    assert not list(bucket.multipart_uploads.all())


@row(9)
@pytest.mark.nightly  # until the store is given up for this run, 15 s go by
def test_a_store_that_is_gone_for_longer_is_recovered_from(
    unreachable: tuple[Site, TcpProxy], recording: Path, golden: Result
) -> None:
    site, proxy = unreachable
    key = site.drop(recording, "ann")
    with site.speech.held(), site.worker(key) as run:
        site.speech.wait_until_asked()
        proxy.mode = Mode.REFUSE
        site.speech.gate.set()
        site.finish(run)
    file = site.file(key)
    assert file
    assert (file.status, file.error_code) == (Status.QUEUED, "STORE_UNAVAILABLE")
    proxy.mode = Mode.PASS
    site.overdue()
    site.recover(key)
    assert_sound(site, golden=golden, completed=[key])


@row(9)
@pytest.mark.nightly  # a silent connection is given up after a minute
def test_a_store_that_falls_silent_is_asked_anew(
    unreachable: tuple[Site, TcpProxy], recording: Path, golden: Result
) -> None:
    site, proxy = unreachable
    key = site.drop(recording, "ann")
    with site.speech.held(), site.worker(key) as run:
        site.speech.wait_until_asked()
        proxy.mode = Mode.SILENT
        site.speech.gate.set()
        assert proxy.unanswered.wait(PATIENCE)
        proxy.mode = Mode.PASS  # for others; this connection stays silent
        site.finish(run)
    assert_sound(site, golden=golden, completed=[key])


# --- 11 -------------------------------------------------------------------------------------------------------------


@row(11)
@pytest.mark.nightly
def test_an_object_that_is_gone_before_it_is_read(site: Site, recording: Path, golden: Result) -> None:
    gone, kept = site.drop(recording, "ann", "gone.wav"), site.drop(recording, "ann", "kept.wav")
    site.register()
    store_of(site).delete(gone)
    site.work()
    site.work()  # nobody tries again
    assert_sound(site, golden=golden, completed=[kept], ended_as={gone: Status.ORPHANED})
    file = site.file(gone)
    assert file
    assert (file.error_code, file.attempts) == ("SOURCE_GONE", 1)


# --- 12 -------------------------------------------------------------------------------------------------------------


@row(12)
def test_an_object_that_is_replaced_while_it_is_transcribed(
    site: Site, recording: Path, golden: Result, tmp_path: Path
) -> None:
    """Other bytes under the same name, while the old run holds the recogniser: it stops, and they are published."""
    key = site.drop(recording, "ann")
    samples, rate = soundfile.read(recording, dtype="int16")
    longer = tmp_path / "longer.wav"
    soundfile.write(longer, np.concatenate([samples, samples]), rate)
    with site.speech.held(), site.worker(key) as old:
        site.speech.wait_until_asked()
        site.drop(longer, "ann", recording.name)
        with site.worker(key) as new:
            eventually(lambda: is_at_work_on(site, key, generation=2), "the new content was not taken up")
            site.speech.gate.set()
            site.finish(old)
            site.finish(new)
    file = site.file(key)
    assert file
    assert (file.generation, file.status) == (2, Status.COMPLETED)
    assert file.current_transcript_id
    assert transcripts.load(site.ledger, file.current_transcript_id).audio_seconds == pytest.approx(4.0, abs=0.01)
    assert len(transcripts.versions(site.ledger, file.partition_key)) == 1
    assert_sound(site)


def is_at_work_on(site: Site, key: str, generation: int) -> bool:
    file = site.file(key)
    return file is not None and (file.generation, file.status) == (generation, Status.PROCESSING)
