"""A transcript on the screen: who said what when, and who spoke how much, by the names that people gave."""

from itertools import cycle
from typing import Any

from rich.text import Text

from transcribe_pipeline.artifacts import Paragraph, SpeakerIdentities, Transcript
from transcribe_pipeline.cli import output
from transcribe_pipeline.cli.output import clock, plain
from transcribe_pipeline.text.words import join_words

_QUALIFIED = {"suggested": "?", "auto": " (by voice)"}
"""What follows a name that no person has confirmed."""

# Names of the terminal's own palette: they fit light and dark backgrounds, which fixed colours do not.
_COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "red")


def print_transcript(
    transcript: Transcript, identities: SpeakerIdentities | None = None, *, paragraphs: int | None = None
) -> None:
    """The first `paragraphs` of it (all: None), with times and coloured speakers."""
    console = output.stdout()
    if transcript.no_speech:
        console.print("No speech in this recording.", style="italic")
        return
    colours = _colours(transcript)
    names = identities.names if identities else {}
    for paragraph in transcript.paragraphs[:paragraphs]:
        text = Text(f"[{clock(paragraph.start)}] ", style="dim")
        if paragraph.speaker:
            name = plain(names.get(paragraph.speaker, paragraph.speaker))
            text.append(f"{name}: ", style=f"not dim bold {colours[paragraph.speaker]}")
        text.append(_text(transcript, paragraph), style="not dim")
        console.print(text)
    if paragraphs is not None and len(transcript.paragraphs) > paragraphs:
        console.print(f"... {len(transcript.paragraphs) - paragraphs} more paragraphs", style="dim")


def print_speakers(transcript: Transcript, identities: SpeakerIdentities | None = None) -> None:
    """A line for each speaker: talk time and its share, words; who it is or may be, where that is known."""
    if not transcript.speakers:
        return
    colours = _colours(transcript)
    rows = output.table("SPEAKER", "TIME", "SHARE", "WORDS", "NAME")
    for speaker in _speakers(transcript, identities):
        label = Text(plain(speaker["label"]), style=colours[speaker["label"]])
        name = plain(speaker["name"] or "") + _QUALIFIED.get(speaker["band"], "")
        rows.add_row(label, f"{speaker['seconds']:.1f} s", f"{speaker['share']:.0%}", str(speaker["words"]), name)
    output.stdout().print(rows)


def summary(transcript: Transcript, identities: SpeakerIdentities | None, *, paragraphs: int) -> dict[str, Any]:
    """What the two functions above show, for programs."""
    return {
        "language": transcript.language,
        "audio_seconds": transcript.audio_seconds,
        "no_speech": transcript.no_speech,
        "speakers": _speakers(transcript, identities),
        "preview": [
            {"start": p.start, "end": p.end, "speaker": p.speaker, "text": _text(transcript, p)}
            for p in transcript.paragraphs[:paragraphs]
        ],
    }


def _speakers(transcript: Transcript, identities: SpeakerIdentities | None) -> list[dict[str, Any]]:
    # Of all talk, not of the recording: with overlap and pauses only these shares add up to 100 %.
    identified = {each.label: each for each in identities.speakers} if identities else {}
    talk_seconds = sum(speaker.seconds for speaker in transcript.speakers) or 1.0
    return [
        {
            "label": speaker.label,
            "seconds": round(speaker.seconds, 2),
            "share": round(speaker.seconds / talk_seconds, 4),
            "words": speaker.words,
            "name": identified[speaker.label].name if speaker.label in identified else None,
            "band": identified[speaker.label].band if speaker.label in identified else "none",
        }
        for speaker in transcript.speakers
    ]


def _text(transcript: Transcript, paragraph: Paragraph) -> str:
    segments = transcript.segments[paragraph.first_segment : paragraph.last_segment + 1]
    return plain(join_words((word.text for segment in segments for word in segment.words), transcript.language))


def _colours(transcript: Transcript) -> dict[str, str]:
    labels = [speaker.label for speaker in transcript.speakers]
    return dict(zip(labels, cycle(_COLOURS), strict=False))
