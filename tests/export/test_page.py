"""What is in the page's file. How it behaves in a browser: tests/browser."""

import base64
import hashlib
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html.parser import HTMLParser
from urllib.parse import unquote, urljoin

import pytest
from hypothesis import given, settings

from tests.export import strategies
from tests.export.insights import BY_MODEL, OFFLINE, insights_of
from tests.export.transcripts import timed, transcript_of
from transcribe_pipeline.artifacts import Doubt, SpeakerTurn, Transcript, TranscriptSpeaker, Translation
from transcribe_pipeline.export import page
from transcribe_pipeline.export.colours import speaker_colours
from transcribe_pipeline.export.options import ExportOptions
from transcribe_pipeline.export.page import Entry, MediaSource, page_key, render, render_index
from transcribe_pipeline.export.script import Script
from transcribe_pipeline.insights import Chapter, Chapters, Insights, Provenance, Summary

BESIDE = MediaSource("a.mp3", "'self'")


def rendered(transcript: Transcript, names: dict[str, str] | None = None, **arguments) -> str:
    script = Script.of(transcript, file_name=arguments.pop("file_name", "a.mp3"), names=names or {})
    media = arguments.pop("media", BESIDE)
    return render(script, media, partition_key="a-mp3-0", transcript_id="t", **arguments).decode()


@dataclass
class Read(HTMLParser):
    """The page as a reader without a browser sees it."""

    html: str
    paragraphs: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    english: list[str] = field(default_factory=list)
    attributes: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    scripts: list[str] = field(default_factory=list)
    styles: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self._into: list[str] | None = None
        self.feed(self.html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.attributes.append((tag, values))
        texts = {
            ("p", "said"): self.paragraphs,
            ("p", "english"): self.english,
            ("bdi", "name"): self.names,
            ("script", ""): self.scripts,
            ("style", ""): self.styles,
        }.get((tag, values.get("class") or ""))
        if texts is not None:
            texts.append("")
            self._into = texts

    def handle_endtag(self, tag: str) -> None:
        if tag in ("p", "bdi", "script", "style"):
            self._into = None

    def handle_data(self, data: str) -> None:
        if self._into is not None:
            self._into[-1] += data

    @property
    def data(self) -> dict:
        return json.loads(self.scripts[0])

    @property
    def policy(self) -> str:
        return next(
            a["content"] or "" for tag, a in self.attributes if a.get("http-equiv") == "Content-Security-Policy"
        )

    def words(self) -> list[tuple[str, int, int]]:
        """Text and milliseconds of every word, put together as the script does."""
        data, end, words = self.data, 0, []
        numbers = iter(zip(data["gaps"], data["lasts"], data["lengths"], strict=True))
        for text, count in zip(self.paragraphs, data["turns"], strict=True):
            units = text.encode("utf-16-le")
            for _ in range(count):
                gap, lasts, length = next(numbers)
                units = units.removeprefix(b" \0")
                start, end = end + gap, end + gap + lasts
                words.append((units[: 2 * length].decode("utf-16-le"), start, end))
                units = units[2 * length :]
            assert units == b""
        return words


@settings(max_examples=60, deadline=None)
@given(strategies.transcripts(), strategies.speaker_names())
def test_every_word_is_in_the_page_with_its_time_speaker_and_certainty(transcript, names):
    read = Read(rendered(transcript, names))
    script = Script.of(transcript, file_name="a.mp3", names=names)
    words = script.transcript.words
    assert read.words() == [
        (word.text, round(word.start * 1000), max(round(word.end * 1000), round(word.start * 1000))) for word in words
    ]
    assert read.data["certainty"] == "".join(str(min(int(word.probability * 10), 9)) for word in words)
    listed = [script.name(speaker.label) for speaker in transcript.speakers]
    said = [script.name(segment.speaker) for segment in script.transcript.segments if segment.words and segment.speaker]
    assert read.names == [*listed, *said]
    assert [speaker["name"] for speaker in read.data["speakers"]] == listed


@settings(max_examples=40, deadline=None)
@given(strategies.transcripts(), strategies.speaker_names())
def test_the_policy_lets_through_exactly_the_script_and_the_style_of_the_package(transcript, names):
    read = Read(rendered(transcript, names))
    data, script = read.scripts
    assert script == page._text("page.js")

    def hashed(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    assert len(read.styles) == 1
    assert read.policy == (
        f"default-src 'none'; script-src {hashed(script)}; style-src {hashed(read.styles[0])}; media-src 'self';"
        " img-src data:; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
    assert not set(data) & set("<>&\u2028\u2029")
    assert all(not name.startswith("on") and name != "style" for _, values in read.attributes for name in values)


def test_nothing_is_loaded_but_the_recording():
    read = Read(rendered(transcript_of([("SPEAKER_00", timed("Hello there"))])))
    loaded = [values.get("src") or values.get("href") for _, values in read.attributes if {"src", "href"} & set(values)]
    assert {address for address in loaded if address and not address.startswith(("#", "data:"))} == {"a.mp3"}


def test_the_script_and_the_styles_can_stand_inside_html():
    for name in ("page.js", "page.css", "base.css", "index.css"):
        assert not re.search(r"</|<!--|<script", page._text(name), re.IGNORECASE), name


@pytest.mark.parametrize(
    "key",
    ["uploads/ann/talk.mp3", "uploads/ann/a b/#1 100%?.mp3", "uploads/ann/javascript:x", "uploads/Zoë/…/\"'<b>.mp3"],
)
def test_a_recording_in_the_same_store_is_found_by_its_relative_address(key):
    here = page_key("out/results", "ann", "talk-mp3-0a1b")
    media = MediaSource.beside(here, key)
    assert unquote(urljoin(f"http://host/{here}", media.url)) == f"http://host/{key}"
    assert media.allowed == "'self' file:"


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "file:///etc/passwd",
        "//host/a.mp3",
        "a.mp3",
        "https:///a.mp3",
        "https://host; script-src */a.mp3",
        "https://host,*/a.mp3",
        "https://*/a.mp3",
        "https://*.example.org/a.mp3",
        "https://user@host/a.mp3",
    ],
)
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(ValueError, match="http"):
        MediaSource.at(url)


def test_a_signed_address_is_allowed_by_its_host_alone():
    media = MediaSource.at("https://bucket.s3.example.org:9000/a.mp3?X-Amz-Signature=0a&b=1")
    read = Read(rendered(transcript_of([("SPEAKER_00", timed("Hello"))]), media=media))
    assert "media-src https://bucket.s3.example.org:9000;" in read.policy
    assert media.url in [values.get("src") for tag, values in read.attributes if tag == "audio"]


def test_a_recording_inside_the_page():
    media = MediaSource.embedded(b"ID3\0", "audio/mpeg", is_video=False)
    read = Read(rendered(transcript_of([("SPEAKER_00", timed("Hello"))]), media=media))
    (source,) = [values["src"] or "" for tag, values in read.attributes if tag == "audio"]
    assert base64.b64decode(source.removeprefix("data:audio/mpeg;base64,")) == b"ID3\0"
    assert "media-src data:;" in read.policy


def test_where_names_are_not_wanted_there_are_labels():
    transcript = transcript_of([("SPEAKER_00", timed("Hello"))])
    script = Script.of(transcript, file_name="a.mp3", names={"SPEAKER_00": "Ann"}, options=ExportOptions(names=False))
    read = Read(render(script, BESIDE, partition_key="a-mp3-0", transcript_id="t").decode())
    assert read.names == ["SPEAKER_00", "SPEAKER_00"]


def test_a_recording_without_speech_says_so():
    silence = transcript_of([]).model_copy(update={"no_speech": True})
    assert "Nobody speaks in this recording." in rendered(silence)
    assert "This transcript has no words." in rendered(silence.model_copy(update={"no_speech": False}))


def test_what_is_known_of_the_recording_stands_above_it():
    transcript = transcript_of([("SPEAKER_00", timed("Guten Tag"))], "de", audio_seconds=3723.9)
    html = rendered(
        transcript,
        title="Besprechung",
        file_name="b.mp3",
        added_at=datetime(2026, 5, 3, tzinfo=UTC),
        insights=Insights(
            chapters=Chapters(
                transcript_id="t",
                language="de",
                made_by=OFFLINE,
                chapters=(Chapter(start=61.25, end=3723.9, title="Anfang & Ende", first_segment=0, last_segment=0),),
            )
        ),
    )
    assert "<bdi>b.mp3</bdi> · 1:02:03 · 1 speaker · 2 words · German · added 2026-05-03</p>" in html
    assert '<a href="#t=61.25"><time>1:01</time> <bdi lang="de">Anfang &amp; Ende</bdi></a>' in html
    assert '<main id="transcript" tabindex="-1" aria-label="Transcript" lang="de" dir="ltr">' in html


@pytest.mark.parametrize(("language", "shown"), [("ar", "rtl"), ("he", "rtl"), ("fa", "rtl"), ("en", "ltr")])
def test_the_direction_is_the_languages(language, shown):
    assert f'lang="{language}" dir="{shown}"' in rendered(transcript_of([(None, timed("x"))], language))


def test_every_doubt_has_its_words():
    assert page._REASONS.keys() == set(Doubt)


def test_a_translation_stands_below_the_paragraph_in_which_it_is_said():
    transcript = transcript_of([("A", timed("eins zwei", 0)), ("B", timed("drei", 10)), ("A", timed("vier", 20))])
    english = [
        Translation(start=0, end=0.5, text="one two"),
        Translation(start=9.5, end=11, text="three"),
        Translation(start=10.2, end=11, text="<three>"),
        Translation(start=90, end=91, text="too late"),
    ]
    assert Read(rendered(transcript, translation=english)).english == ["one two", "three <three>", "too late"]


def test_the_timeline_has_a_bar_for_every_stretch_inside_the_picture_and_few_for_ten_hours():
    turns = tuple(SpeakerTurn(start=n / 2, end=n / 2 + 0.4, speaker=f"SPEAKER_0{n % 2}") for n in range(2 * 36_000 - 1))
    speakers = tuple(TranscriptSpeaker(label=f"SPEAKER_0{n}", seconds=1, words=1) for n in range(2))
    transcript = transcript_of([("SPEAKER_00", timed("x"))], audio_seconds=36_000)
    html = rendered(transcript.model_copy(update={"turns": turns, "speakers": speakers}))
    first, second = re.findall(r'<path class="s\d" d="([^"]*)"', html)
    assert len(first) + len(second) < 100_000
    for path in (first, second):
        bars = [tuple(map(int, bar)) for bar in re.findall(r"M(\d+) \d+h(\d+)v6h-\d+z", path)]
        assert "".join(f"M{x} {2 if path is first else 12}h{w}v6h-{w}z" for x, w in bars) == path
        assert all(x + w <= 4_000 for x, w in bars)


def test_a_speaker_has_the_same_colour_as_in_every_other_picture():
    transcript = transcript_of([(f"SPEAKER_{n:02}", timed("x", n)) for n in range(12)])
    (style,) = Read(rendered(transcript)).styles
    colours = speaker_colours(speaker.label for speaker in transcript.speakers)
    assert dict(re.findall(r"^\.s(\d+)\{--speaker:(#\w+)\}$", style, re.MULTILINE)) == {
        str(lane): colour for lane, colour in enumerate(colours.values())
    }


# --- insights -------------------------------------------------------------------------------------------------------


CALL = transcript_of(
    [("SPEAKER_00", timed("Hello there", 3.25)), ("SPEAKER_01", timed("And you?", 70))], audio_seconds=80
)
NAMES = {"SPEAKER_00": "Diane", "SPEAKER_01": "Sheila"}


def overview(html: str) -> str:
    """The part of the page about what was said, as text between tags."""
    found = re.search(r'<section class="overview".*?</section>', html, re.DOTALL)
    assert found
    return found[0]


def texts(html: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", "", html).split())


def test_what_was_said_stands_above_the_transcript_with_names_and_moments():
    html = rendered(CALL, NAMES, insights=insights_of(CALL))
    shown = texts(overview(html))
    for sentence in (
        "Bottom line: Diane sells the house 0:03",
        "Brief: Diane sells the house 0:03",
        "Key: Diane sells the house 0:03",
        "Type: call · Sentiment: mixed By llama (ollama)",
        "Decided: Diane sells the house Context: Diane sells the house Stakeholders: Sheila 0:03",
        "To do: Diane sells the house Owner: Sheila Due: by Friday Priority: high 0:03",
        "Follow up: Diane sells the house 0:03",
        "Topic: Diane sells the house 0:00 About: Diane sells the house 0:03 Point: Diane sells the house 0:03",
        "Diane Role: host Says: Diane sells the house 0:03",
        "Diane sells the house? By: Diane 0:03 Answer: Diane sells the house 0:40",
        "Open: Diane sells the house? 0:03",
        "Next: Diane sells the house? 0:03",
        "Which day is &#34;next Tuesday&#34;? Diane sells the house 0:03",
        "Silence 1:01 (25%)",
        "Pace 144 words/min",
    ):
        assert sentence in shown
    assert "SPEAKER" not in shown
    assert html.index('<section class="overview"') < html.index('<main id="transcript"')
    moments = {values["href"] for tag, values in Read(html).attributes if values.get("class") == "jump"}
    assert moments == {"#t=3.25", "#t=0.0", "#t=40.0"} == {move for move in moments if _is_followed(move)}
    assert "0:40 Diane sells the house (2)" in texts(html)


def _is_followed(address: str | None) -> bool:
    """By the script: as in `followAddress`."""
    return bool(re.fullmatch(r"#t=(\d{1,7}(?:\.\d{1,6})?)", address or ""))


def test_a_speaker_renamed_on_the_page_is_renamed_in_what_was_said():
    """The script gives every `.name` inside of a speaker's `data-lane` the new name."""
    html = overview(rendered(CALL, NAMES, insights=insights_of(CALL)))
    for lane, name in enumerate(NAMES.values()):
        inside = f'<span data-lane="{lane}"><bdi class="name">{name}</bdi></span>'
        assert html.count(inside) == html.count(name) > 1


@pytest.mark.parametrize(
    ("made_by", "expected"),
    [
        (OFFLINE, "By extraction, without a language model."),
        (
            Provenance(method="offline", fallback_reason="The language model does not answer (HTTP <500>)."),
            "By extraction, without a language model. One was asked:"
            " The language model does not answer (HTTP &lt;500&gt;).",
        ),
        (
            BY_MODEL,
            "By llama (ollama); check against the recording."
            " 2 statements were left out, since the recording does not bear them out.",
        ),
    ],
)
def test_everything_says_how_it_was_made(made_by, expected):
    html = rendered(CALL, NAMES, insights=insights_of(CALL, made_by=made_by))
    # the summary, four parts of questions, the chapters
    assert html.count(f'<p class="made">{expected}</p>') == 6


def test_a_statement_leads_to_the_first_moment_of_each_run_of_segments():
    spoken = transcript_of([("SPEAKER_00", timed("yes", 10.0 * n)) for n in range(12)])
    known = insights_of(spoken)
    assert known.summary
    cited = known.summary.key_points[0].model_copy(update={"segments": (1, 2, 3, 5, 7, 8, 11, 99)})
    summary = known.summary.model_copy(update={"key_points": (cited,)})
    html = overview(rendered(spoken, insights=Insights(summary=summary)))
    assert re.findall(r'#t=([\d.]+)"[^>]*>', html[html.index("Key: ") : html.index("Decisions")]) == [
        "10.0",
        "50.0",
        "70.0",
    ]


def test_without_insights_there_is_no_place_for_them():
    silence = transcript_of([]).model_copy(update={"no_speech": True})
    nothing = Summary(
        transcript_id="t", language="und", made_by=OFFLINE, template="other/1", content_type="other", bottom_line=None,
        brief_summary=(),
    )  # fmt: skip
    for insights in (None, Insights(), Insights(summary=nothing)):
        html = rendered(silence, insights=insights)
        assert '<section class="overview"' not in html
        assert "Chapters" not in html


@settings(max_examples=40, deadline=None)
@given(strategies.transcripts(), strategies.speaker_names(), strategies.texts())
def test_no_text_of_an_insight_becomes_markup(transcript, names, text):
    """Every text stands once for each statement that has it, as text, whatever it is."""
    if not transcript.segments:
        return
    without = Read(rendered(transcript, names, insights=insights_of(transcript, "nothing special")))
    hostile = Read(rendered(transcript, names, insights=insights_of(transcript, text)))
    assert [tag for tag, _ in hostile.attributes if tag not in ("span", "bdi")] == [
        tag for tag, _ in without.attributes if tag not in ("span", "bdi")
    ]
    assert hostile.words() == without.words()
    assert all(not name.startswith("on") and name != "style" for _, values in hostile.attributes for name in values)


def test_the_list_of_transcripts_escapes_and_has_a_policy_of_its_own():
    entries = [Entry("<script>alert(1)</script>", '"><b>', datetime(2026, 5, 3, 9, 5, tzinfo=UTC), "/results/a%22b")]
    html, policy = render_index(entries, older="/?after=x&y")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<script>" not in html
    assert 'href="/results/a%22b"' in html
    assert "2026-05-03 09:05Z" in html
    assert 'href="/?after=x&amp;y"' in html
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    assert style
    assert base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode() in policy
    assert "default-src 'none'" in policy
