# ruff: noqa: RUF001  # characters that look like others are what is tested
"""Hypothesis strategies: transcripts as hostile and as wrongly timed as they come."""

from hypothesis import strategies as st

from tests.export.transcripts import transcript_of
from transcribe_pipeline.artifacts import TranscriptWord

LIKE_CUES = ["-->", "--\u2060>", "00:00:01,000", "00:00:01.000", "1", "42", "WEBVTT", "NOTE", "[00:00:01]", "Bob:"]
LIKE_TAGS = ["<script>", "<i>", "</v>", "<v", "Eve>", "<00:00:01.000>", "＜", "＜\u2060", "{\\an8}", "{b}", "\\N"]
LIKE_ENTITIES = ["&amp;", "&lt;", "&", "&#10;", "&copy"]
LIKE_FORMULAS = ["=cmd()", "+1", "-1", "@SUM(A1)", "'=1", "''-", ";=1", ';"=1"', ";'+1", "＝1", "'tis", '"', "a,b", "|"]
LINE_BREAKS = [
    "\n",
    "a\n\nb",
    "1\n00:00:01,000 --> 00:00:02,000\nx",
    "a\rb",
    "a\tb",
    "a\u2028b",
    "a\u0085b",
    "Bob:\u00a0",
]
INVISIBLE = ["", "\x00", "a\x1bb", "\ufeff", "\u200b", "\u202eabc"]
SCRIPTS = ["שלום", "مرحبا", "👩\u200d👩\u200d👧", "e\u0301", "客観", "的", "ですよ。", "สวัสดี", "Donau" * 10]
SPEECH = ["well", "so,", "Dr.", "done.", "why?"]
NASTY = [*LIKE_CUES, *LIKE_TAGS, *LIKE_ENTITIES, *LIKE_FORMULAS, *LINE_BREAKS, *INVISIBLE, *SCRIPTS, *SPEECH]

# Lone surrogates cannot be part of an artifact: pydantic refuses them.
_texts = st.sampled_from(NASTY) | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_names = st.sampled_from(
    ["Ann", "", "A: B", "<v Eve>", "a\n\n2\nb", "=cmd()", "Größe & Söhne", "名前" * 20, "x" * 60, ":\u00a0"]
)
_labels = st.sampled_from([None, "SPEAKER_00", "SPEAKER_01", "SPEAKER_02", "A: <b>"])


@st.composite
def transcripts(draw):
    """Up to 8 turns of 30 words; long pauses, overlaps, words of no length and of 9 s, audio that ends too early."""
    time, turns = 0.0, []
    for speaker in draw(st.lists(_labels, max_size=8)):
        words = []
        for text in draw(st.lists(_texts, max_size=30)):
            time = max(0.0, time + draw(st.sampled_from([0.0, 0.0, 0.05, 0.4, 2.5, -0.3])))
            seconds = draw(st.sampled_from([0.0, 0.08, 0.2, 0.2, 0.5, 9.0]))
            words.append(TranscriptWord(text=text, start=time, end=time + seconds, probability=0.5))
            time += seconds
        turns.append((speaker, words))
    language = draw(st.sampled_from(["en", "en", "ja", "th"]))
    return transcript_of(turns, language, audio_seconds=max(0.0, time + draw(st.sampled_from([0.0, 1.5, -0.4]))))


def texts():
    return _texts


def speaker_names():
    return st.dictionaries(_labels.filter(bool), _names)
