"""A transcript for people who look: who spoke when, talk time, words per minute, confidence.

Each plot is prepared once, from plain figures that anybody may use, and drawn as SVG (pages, files) or PNG (Dagster's
markdown) by `canvas`. What belongs here: the figures, and what stands where. What does not: strokes, colours.

Speakers are told by the name beside their bar; the colour only repeats it. Ten hours and 20 speakers stay below 60 kB
as SVG and 40 kB as PNG: bars closer than a pixel become one.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median

from transcribe_pipeline.artifacts import Transcript
from transcribe_pipeline.export.canvas import Canvas, Span
from transcribe_pipeline.export.colours import SPEAKER_COLOURS, speaker_colours
from transcribe_pipeline.export.plot_parts import (
    AXIS,
    BAR,
    COLUMNS_HEIGHT,
    LANE,
    LEFT,
    MAX_LANES,
    RIGHT,
    TOP,
    WIDTH,
    Plot,
    fitted,
    lane_middle,
    pixel_of,
    round_up,
    text_lane,
    time_axis,
    value_axis,
)
from transcribe_pipeline.export.script import clean, short_clock

_UNKNOWN_COLOUR = SPEAKER_COLOURS[-1]
_FIGURE_COLOUR, _DOUBT_COLOUR = SPEAKER_COLOURS[0], SPEAKER_COLOURS[5]

_BIN_STEPS = (10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
_MAX_RATE_BINS = 80
_CONFIDENCE_BINS = 20
_LOW_CONFIDENCE = 0.5
"""What `TranscriptQuality.low_confidence_words` counts."""


# --- figures --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TalkTime:
    """How much one speaker talks."""

    label: str
    name: str
    """As people named the speaker; else the label."""
    seconds: float
    share: float
    """Of all speakers' talk time, 0..1; with overlap the seconds may add up to more than the recording."""
    words: int


@dataclass(frozen=True)
class SpeakingRate:
    """Words per minute over time."""

    bin_seconds: float
    words_per_minute: tuple[float, ...]
    """One value per bin from the beginning; the last bin may be shorter, its rate counts over what there is of it."""

    @property
    def median(self) -> float:
        """Of the bins in which somebody speaks; 0 without any."""
        spoken = [rate for rate in self.words_per_minute if rate]
        return median(spoken) if spoken else 0.0


def talk_time(transcript: Transcript, names: Mapping[str, str] | None = None) -> tuple[TalkTime, ...]:
    """Every speaker in order of appearance. `names`: label -> name."""
    names = names or {}
    whole = sum(speaker.seconds for speaker in transcript.speakers) or 1.0
    return tuple(
        TalkTime(
            label=speaker.label,
            name=clean(names.get(speaker.label, "")) or clean(speaker.label),
            seconds=speaker.seconds,
            share=speaker.seconds / whole,
            words=speaker.words,
        )
        for speaker in transcript.speakers
    )


def speaking_rate(transcript: Transcript) -> SpeakingRate:
    """Words by their start, in at most 80 bins of 10 s or more."""
    seconds = transcript.audio_seconds
    step = next((step for step in _BIN_STEPS if seconds / step <= _MAX_RATE_BINS), _BIN_STEPS[-1])
    counts = [0] * max(math.ceil(seconds / step), 1)
    for word in transcript.words:
        counts[min(int(word.start / step), len(counts) - 1)] += 1
    # A last bin of a moment would make a peak of a single word.
    lengths = [max(min(step, seconds - step * number), step / 2) for number in range(len(counts))]
    rates = (60 * count / length for count, length in zip(counts, lengths, strict=True))
    return SpeakingRate(float(step), tuple(rates))


def confidence_histogram(transcript: Transcript) -> tuple[int, ...]:
    """How many words have a probability of 0 to 5 %, 5 to 10 %, ..., 95 to 100 % (both ends of the last included)."""
    counts = [0] * _CONFIDENCE_BINS
    for word in transcript.words:
        counts[min(int(word.probability * _CONFIDENCE_BINS), _CONFIDENCE_BINS - 1)] += 1
    return tuple(counts)


# --- plots ----------------------------------------------------------------------------------------------------------


def all_plots(transcript: Transcript, names: Mapping[str, str] | None = None) -> dict[str, Plot]:
    """File name (without ending) -> plot."""
    return {
        "who-spoke-when": who_spoke_when(transcript, names),
        "talk-time": talk_time_bars(transcript, names),
        "words-per-minute": words_per_minute(transcript),
        "confidence": confidence(transcript),
    }


def who_spoke_when(transcript: Transcript, names: Mapping[str, str] | None = None) -> Plot:
    """A lane for each speaker (the first 24), a bar where they speak, their share of talk time, a time axis.

    Speech without known speakers has one lane; a recording without speech says so.
    """
    talks = talk_time(transcript, names)
    lanes = talks[:MAX_LANES]
    colours = speaker_colours(talk.label for talk in talks)
    seconds = max(transcript.audio_seconds, 1e-3)
    bars = _bars_by_speaker(transcript)
    rows = max(len(lanes), 1) + (len(talks) > len(lanes))
    bottom = TOP + rows * LANE

    def draw(canvas: Canvas) -> None:
        time_axis(canvas, seconds, bottom)
        for number, talk in enumerate(lanes):
            middle = _lane_label(canvas, number, talk)
            _bars(canvas, bars.get(talk.label, []), seconds, middle, colours[talk.label])
        if len(talks) > len(lanes):
            rest = [bar for talk in talks[MAX_LANES:] for bar in bars.get(talk.label, [])]
            text_lane(canvas, len(lanes), f"{len(talks) - len(lanes)} more")
            _bars(canvas, rest, seconds, lane_middle(len(lanes)), _UNKNOWN_COLOUR)
        if not lanes:
            text_lane(canvas, 0, "No speech" if transcript.no_speech else "Speech")
            _bars(canvas, bars.get(None, []), seconds, lane_middle(0), _UNKNOWN_COLOUR)

    return Plot("Who spoke when", _in_words(transcript, talks), bottom + AXIS, draw)


def talk_time_bars(transcript: Transcript, names: Mapping[str, str] | None = None) -> Plot:
    """A bar for each speaker (the first 24), as long as they talk, with seconds, share and words."""
    talks = talk_time(transcript, names)
    lanes = talks[:MAX_LANES]
    colours = speaker_colours(talk.label for talk in talks)
    longest = max((talk.seconds for talk in lanes), default=0.0) or 1.0
    room = WIDTH - LEFT - RIGHT - 190  # what '10:00:00, 100 %, 100,000 words' takes beside the longest bar

    def draw(canvas: Canvas) -> None:
        for number, talk in enumerate(lanes):
            middle = _lane_label(canvas, number, talk, share=False)
            length = max(round(talk.seconds / longest * room), 1)
            canvas.spans([(LEFT, length)], middle - BAR // 2, BAR, colours[talk.label])
            figures = f"{short_clock(talk.seconds)}, {talk.share:.0%}, {talk.words:,} words"
            canvas.text(LEFT + length + 8, middle, figures, tone="faint")
        if len(talks) > len(lanes):
            text_lane(canvas, len(lanes), f"{len(talks) - len(lanes)} more")
        if not talks:
            text_lane(canvas, 0, "No speech" if transcript.no_speech else "No speakers")

    rows = max(len(lanes), 1) + (len(talks) > len(lanes))
    return Plot("Talk time", _in_words(transcript, talks), 2 * TOP + rows * LANE, draw)


def words_per_minute(transcript: Transcript) -> Plot:
    """A column for each stretch of time, a dashed line at the median, a time axis."""
    rate = speaking_rate(transcript)
    rates = rate.words_per_minute
    top = round_up(max(rates))
    bottom = TOP + COLUMNS_HEIGHT
    seconds = max(transcript.audio_seconds, 1e-3)
    # Whole pixels a column, or bars would differ in width; the axis ends where the last column does.
    width = max((WIDTH - LEFT - RIGHT) // len(rates), 1)
    covered = rate.bin_seconds * (WIDTH - LEFT - RIGHT) / width

    def draw(canvas: Canvas) -> None:
        value_axis(canvas, top, bottom, "words / minute")
        time_axis(canvas, covered, bottom, until=seconds)
        if not any(rates):
            text_lane(canvas, 0, "No words")
            return
        heights = [round(value / top * COLUMNS_HEIGHT) for value in rates]
        canvas.columns(LEFT, width, heights, bottom, _FIGURE_COLOUR)
        level = bottom - round(rate.median / top * COLUMNS_HEIGHT)
        canvas.rule((LEFT, level), (WIDTH - RIGHT, level), "ink", dashed=True)
        canvas.text(LEFT - 8, level, f"median {rate.median:.0f}", "end")

    words = f"{len(transcript.words):,} words; median {rate.median:.0f} words per minute, at most {max(rates):.0f}."
    return Plot("Words per minute", words, bottom + AXIS, draw)


def confidence(transcript: Transcript) -> Plot:
    """Words by the recogniser's probability; those below 50 % in another colour, and counted."""
    counts = confidence_histogram(transcript)
    whole = sum(counts)
    low_bins = round(_LOW_CONFIDENCE * _CONFIDENCE_BINS)
    low = sum(counts[:low_bins])
    top = round_up(max(counts))
    bottom = TOP + COLUMNS_HEIGHT
    width = (WIDTH - LEFT - RIGHT) // _CONFIDENCE_BINS
    middle = LEFT + width * low_bins

    def draw(canvas: Canvas) -> None:
        value_axis(canvas, top, bottom, "words")
        for percent in range(0, 101, 25):
            canvas.text(LEFT + round(width * _CONFIDENCE_BINS * percent / 100), bottom + 14, f"{percent} %", "middle")
        if not whole:
            text_lane(canvas, 0, "No words")
            return
        heights = [math.ceil(count / top * COLUMNS_HEIGHT) for count in counts]
        canvas.columns(LEFT, width, heights[:low_bins], bottom, _DOUBT_COLOUR)
        canvas.columns(middle, width, heights[low_bins:], bottom, _FIGURE_COLOUR)
        canvas.rule((middle, TOP), (middle, bottom), "ink", dashed=True)
        canvas.text(middle - 8, TOP + 8, f"below 50 %: {low:,} words, {low / whole:.1%}", "end")

    words = f"{whole:,} words, of which {low:,} have a confidence below 50 %."
    return Plot("Confidence of the words", words, bottom + AXIS, draw)


# --- parts of plots -------------------------------------------------------------------------------------------------


def _bars_by_speaker(transcript: Transcript) -> dict[str | None, list[tuple[float, float]]]:
    """Speaker label -> (start, end) seconds by diarization, else by segments (label None: unknown), ordered."""
    bars: dict[str | None, list[tuple[float, float]]] = {}
    for spoken in transcript.turns or transcript.segments:
        bars.setdefault(spoken.speaker, []).append((spoken.start, spoken.end))
    return bars


def _bars(canvas: Canvas, bars: Iterable[tuple[float, float]], seconds: float, middle: int, colour: str) -> None:
    canvas.spans(_pixels(bars, seconds), middle - BAR // 2, BAR, colour)


def _pixels(bars: Iterable[tuple[float, float]], seconds: float) -> list[Span]:
    """Whole pixels of the time axis; what overlaps or lies less than a pixel apart is one."""
    spans: list[tuple[int, int]] = []
    for start, end in sorted(bars):
        left = pixel_of(start, seconds)
        right = max(pixel_of(end, seconds), left + 1)
        if spans and left <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(spans[-1][1], right))
        else:
            spans.append((left, right))
    return [(left, right - left) for left, right in spans]


def _lane_label(canvas: Canvas, lane: int, talk: TalkTime, *, share: bool = True) -> int:
    """Name, and share of talk time, before a lane; returns the lane's middle."""
    middle = lane_middle(lane)
    canvas.text(8, middle, fitted(talk.name), instead=fitted(talk.label))
    if share:
        canvas.text(LEFT - 10, middle, f"{talk.share:.0%}", "end", "faint")
    return middle


def _in_words(transcript: Transcript, talks: Iterable[TalkTime]) -> str:
    if transcript.no_speech:
        return f"Nobody speaks in {short_clock(transcript.audio_seconds)}."
    told = "; ".join(f"{talk.name} {short_clock(talk.seconds)}, {talk.share:.0%}" for talk in talks)
    return f"{short_clock(transcript.audio_seconds)} in all. {told or 'Speakers are unknown'}."
