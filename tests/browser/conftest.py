"""Debian's Chromium, a real server, and pages of real and of hostile recordings.

Package scope, not session: Playwright keeps an event loop running in this thread, which tests elsewhere cannot have.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright
from pydantic import SecretStr
from sqlalchemy import Engine

from tests.browser.conversations import conversation, read_stm
from tests.export.insights import insights_of
from tests.servers.transcripts import transcript_server
from transcribe_pipeline.artifacts import Transcript
from transcribe_pipeline.cli.demonstration import sample_recording
from transcribe_pipeline.cli.serving import application
from transcribe_pipeline.export.page import MediaSource, page_key, render
from transcribe_pipeline.export.script import Script
from transcribe_pipeline.insights import Chapter, Chapters, Insights, Provenance
from transcribe_pipeline.ledger import files
from transcribe_pipeline.ledger.database import connect, migrate
from transcribe_pipeline.partitions import partition_key
from transcribe_pipeline.resources.object_store import ObjectStore, open_store
from transcribe_pipeline.settings import Settings

CHROMIUM = "/usr/bin/chromium"
_FLAGS = (
    "--no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync"
    " --no-first-run --autoplay-policy=no-user-gesture-required"
)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        pytest.skip("Debian's chromium is not installed: deploy/scripts/apt-packages.sh test")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=_FLAGS.split())
        yield chromium
        chromium.close()


@dataclass(frozen=True)
class Site:
    """An installation whose pages are served."""

    url: str
    ledger: Engine
    store: ObjectStore
    folder: Path

    def add(
        self,
        recording: Path,
        transcript: Transcript,
        names: dict[str, str],
        *,
        file_name: str | None = None,
        title: str = "",
        insights: Insights | None = None,
        is_video: bool = False,
    ) -> str:
        """Upload a recording of 'ann', write its page, and give the page's URL."""
        key = f"uploads/ann/{file_name or recording.name}"
        path = self.folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(recording, path)
        for listed in self.store.list_uploads("uploads"):
            files.register(self.ledger, listed.uploads, settle_seconds=0)
        partition = partition_key(key)
        where = page_key("results", "ann", partition)
        html = render(
            Script.of(transcript, file_name=path.name, names=names),
            MediaSource.beside(where, key, is_video=is_video),
            partition_key=partition,
            transcript_id=f"transcript of {partition}",
            title=title,
            translation=transcript.translation,
            insights=insights,
        )
        self.store.put_bytes(where, html)
        return f"{self.url}/{where}"


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("site")
    database = f"sqlite:///{home / 'ledger.db'}"
    configured = Settings(_env_file=None, home=home, database_url=SecretStr(database))  # type: ignore[call-arg]
    ledger = connect(database)
    migrate(ledger)
    store = open_store(configured.resolved_store_url)
    with transcript_server(application(configured, ledger, store)) as url:
        yield Site(url, ledger, store, home / "store")
    ledger.dispose()


@pytest.fixture(scope="package")
def call(site: Site) -> str:
    """URL of the page of the demo's telephone call: Diane and Sheila, 30 seconds."""
    recording = sample_recording()
    transcript, names = conversation(read_stm(recording.with_suffix(".stm")))
    chapters = (
        Chapter(start=6.5, end=14.4, title="Hello", first_segment=0, last_segment=5),
        Chapter(start=14.4, end=30, title="Where from", first_segment=6, last_segment=len(transcript.segments) - 1),
    )
    made = Chapters(transcript_id="t", language="en", made_by=Provenance(method="offline"), chapters=chapters)
    return site.add(recording, transcript, names, insights=Insights(chapters=made))


@pytest.fixture(scope="package")
def told(site: Site) -> str:
    """URL of the page of the same call with every insight."""
    recording = sample_recording()
    transcript, names = conversation(read_stm(recording.with_suffix(".stm")))
    insights = insights_of(transcript, "SPEAKER_00 talks to SPEAKER_01")
    return site.add(recording, transcript, names, file_name="told.wav", insights=insights)


Open = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Opens an address in a browser of its own. What the page complains about on its console fails the test."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(message.text)

    def open_(url: str, **options: object) -> Page:
        context = browser.new_context(**({"viewport": {"width": 1280, "height": 800}} | options))  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", note)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(url)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def page(open_page: Open, call: str) -> Page:
    """The call, opened."""
    return open_page(call)
