"""A transcript that people made, in subtitles beside the recording: its text is kept, its times are put right.

What belongs here: reading SRT and WebVTT, and finding where in the recording their words are said, by comparing them
with what the recogniser heard. What does not: times to a hundredth (`align.py`), speakers, layout.

The parser is our own. pysubs2 1.8 takes a cue's identifier or a NOTE for words of the cue before, loses a last line
that is a number ('... in\\n1984'), and needs minutes for a megabyte of empty lines; here no word may be lost or added.
"""

import html
import re
import unicodedata
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import groupby, pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from transcribe_pipeline.artifacts import Cue, Doubt, GivenTranscript, RecognisedSegment, RecognisedWord, Transcription
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.speech.align import fill_gaps
from transcribe_pipeline.speech.spans import Span
from transcribe_pipeline.text.words import is_unspaced, joins

MAX_BYTES = 32 * 1024**2
MAX_CUES = 200_000
"""Ten hours of one cue every 0.2 s."""
MAX_CHARACTERS = 2_000_000
"""Twice what the fastest talkers say in ten hours."""
UNHEARD_PROBABILITY = 0.3
"""Of a given word that the recogniser did not hear: below what counts as confident, above what counts as noise."""

_MISMATCH = 0.25
"""Less of a transcript's words heard: another recording's.

With Whisper base, 19 right pairs of transcript and recording in 8 languages match by 0.70 (ten German words) to 1.0, by
0.48 with half of the cues replaced by another text; 414 wrong pairs by 0.18 (17 words) at most, by 0.09 where there are
more than 100 words.
"""
_DOUBTFUL = 0.34
"""A cue of which less than this share of words was heard at its place is doubtful."""
_RESIDUAL_SECONDS = 3.0
_RUN = 3
"""A match is believed if it is one of this many in a row, or near the place that the fit expects.

Without this, the worst of 30 wrong pairs of English texts matches by 0.27 instead of 0.07: 'the', 'and', 'of' are
everywhere.
"""
_LEAF = 250_000
"""Pairs of words (given times heard) up to which a stretch is compared by difflib, whose worst case is cubic."""
_DEPTH = 16
_ENOUGH_POINTS = 5
"""Matches to tell offset and drift from."""
_DRIFTS = (0.9, 1.1)
"""Frame rates differ by 4.3 % at most where films are concerned (25 / 23.976)."""
_DRIFT_GAIN = 0.7
"""How much closer a drift must bring the points."""


# --- reading --------------------------------------------------------------------------------------------------------

_TIMING = re.compile(
    r"\s*(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})\s*-->\s*(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})"
)
# Bounded, so that a megabyte of '<' costs no more than any other.
_TAG = re.compile(
    r"</?(?:b|i|u|s|c|v|em|strong|span|font|lang|ruby|rt)(?:[\s.][^<>]{0,200})?>|<\d[\d:.]{0,20}>|\{\\[^{}]{0,200}\}",
    re.IGNORECASE,
)
_LINE_BREAK = re.compile(r"<br\s{0,3}/?>|\\N", re.IGNORECASE)


def parse(data: bytes, name: str) -> tuple[Cue, ...]:
    """The cues of an SRT or WebVTT file, ordered by start; tags, positions, notes and empty cues are left out.

    It is WebVTT if it says so or its name ends in '.vtt'. Lines of a cue are joined by a space.

    Raises BAD_GIVEN_TRANSCRIPT if it is neither, or larger than anything that people write.
    """
    if len(data) > MAX_BYTES:
        raise PipelineError(ErrorCode.BAD_GIVEN_TRANSCRIPT, f"larger than {MAX_BYTES // 1024**2} MB")
    text = _decoded(data)
    is_webvtt = text.lstrip().startswith("WEBVTT") or name.lower().endswith(".vtt")
    lines = text.splitlines()
    timings = [(n, match) for n, line in enumerate(lines) if "-->" in line and (match := _TIMING.match(line))]
    if len(timings) > MAX_CUES:
        raise PipelineError(ErrorCode.BAD_GIVEN_TRANSCRIPT, f"more than {MAX_CUES} cues")
    is_numbered = bool(timings) and timings[0][0] > 0 and lines[timings[0][0] - 1].strip().isdecimal()
    cues = list[Cue]()
    for number, (n, match) in enumerate(timings, 1):
        following = timings[number][0] if number < len(timings) else len(lines)
        block = lines[n + 1 : following]
        own = _webvtt_text(block) if is_webvtt else _srt_text(block, is_numbered and number < len(timings))
        words = _without_markup(" ".join(own), is_webvtt)
        if not words:
            continue
        start, end = _seconds(match.groups()[:4]), _seconds(match.groups()[4:])
        cues.append(Cue(number=number, start=start, end=max(start, end), text=words))
    if not cues:
        raise PipelineError(ErrorCode.BAD_GIVEN_TRANSCRIPT, "no subtitles in it")
    if sum(len(cue.text) for cue in cues) > MAX_CHARACTERS:
        raise PipelineError(ErrorCode.BAD_GIVEN_TRANSCRIPT, f"more than {MAX_CHARACTERS} characters")
    return tuple(sorted(cues, key=lambda cue: cue.start))


def _decoded(data: bytes) -> str:
    """UTF-8 or UTF-16, with or without byte order mark; else what Windows saves in western Europe."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    beginning = data[:1000]
    if beginning.count(0) > len(beginning) / 4:
        return data.decode("utf-16-be" if beginning[0] == 0 else "utf-16-le", "replace")
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1")


def _seconds(clock: Sequence[str | None]) -> float:
    hours, minutes, seconds, fraction = clock
    return round(int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds or 0) + float(f"0.{fraction}"), 3)


def _webvtt_text(block: Sequence[str]) -> Sequence[str]:
    """Up to the first empty line: what follows is a note, or the next cue's identifier."""
    end = next((n for n, line in enumerate(block) if not line.strip()), len(block))
    return block[:end]


def _srt_text(block: Sequence[str], ends_with_number: bool) -> Sequence[str]:
    """All lines but the number of the next cue: people leave empty lines inside cues, and forget those between."""
    return block[:-1] if ends_with_number and block and block[-1].strip().isdecimal() else block


def _without_markup(text: str, is_webvtt: bool) -> str:
    text = _TAG.sub("", _LINE_BREAK.sub(" ", text))
    if is_webvtt:
        text = html.unescape(text)
    said = "".join(c for c in text if c.isspace() or (unicodedata.category(c) not in ("Cc", "Cs") and c != "\ufeff"))
    return " ".join(said.split())


# --- words ----------------------------------------------------------------------------------------------------------

# What subtitles describe rather than say: '[door slams]', '(laughs)', '♪ song ♪', 'MARY: ' at the beginning.
_NOT_SAID = re.compile(
    r"\[[^\[\]]*\]|\([^()]*\)|\uff08[^\uff08\uff09]*\uff09|\u3010[^\u3010\u3011]*\u3011|♪[^♪]*♪?"
    r"|^\W{0,5}[A-Z][A-Z .'-]{1,30}:(?=\s)"
)
# Characters from Thai on are compared one by one: their scripts have no spaces, or people disagree where (Korean).
_TOKEN = re.compile(r"(?=[^\W_])[\u0e00-\U0010ffff]|[^\W_\u0e00-\U0010ffff]+")


class _GivenWord(NamedTuple):
    text: str
    cue: int
    """Position among the cues."""
    guess: Span
    """Where it would be if its cue were said at an even pace."""
    counts: bool
    """Is it said, rather than a description of sounds?"""


class _Token(NamedTuple):
    """A word, or a character of an unspaced script, as it is compared."""

    text: str
    position: int
    owner: int
    """Position of the word it belongs to."""
    span: Span


def _given_words(cues: Sequence[Cue], language: str) -> list[_GivenWord]:
    words = list[_GivenWord]()
    for position, cue in enumerate(cues):
        described = bytearray(len(cue.text))
        for match in _NOT_SAID.finditer(cue.text):
            described[slice(*match.span())] = bytes([True]) * len(match.group())
        pace = (cue.end - cue.start) / max(len(cue.text), 1)
        for first, last in _word_bounds(cue.text, is_unspaced(language)):
            guess = (cue.start + first * pace, cue.start + last * pace)
            words.append(_GivenWord(cue.text[first:last], position, guess, not described[first]))
    return words


def _word_bounds(text: str, unspaced: bool) -> Iterator[tuple[int, int]]:
    """First and last + 1 of each word; in unspaced languages of each character, with its punctuation."""
    for match in re.finditer(r"\S+", text):
        first, last = match.span()
        cuts = [n for n in range(first + 1, last) if _begins_word(text[n - 1], text[n])] if unspaced else []
        yield from pairwise([first, *cuts, last])


def _begins_word(left: str, right: str) -> bool:
    opens = unicodedata.category(right) in ("Ps", "Pi")
    return (opens or right.isalnum()) and not joins(left, right) and unicodedata.category(left) not in ("Ps", "Pi")


def _tokens(words: Sequence[tuple[str, Span]]) -> list[_Token]:
    tokens = list[_Token]()
    for owner, (text, (start, end)) in enumerate(words):
        found = _TOKEN.findall(_comparable(text))
        step = (end - start) / max(len(found), 1)
        tokens += [
            _Token(token, len(tokens) + n, owner, (start + n * step, start + (n + 1) * step))
            for n, token in enumerate(found)
        ]
    return tokens


def _comparable(text: str) -> str:
    """Lower case, without accents, apostrophes and differences of width."""
    if text.isascii():
        return text.lower().replace("'", "")
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(c for c in decomposed if c not in "'’" and not unicodedata.combining(c))  # noqa: RUF001
    return unicodedata.normalize("NFC", bare)


# --- matching -------------------------------------------------------------------------------------------------------

_Pair = tuple[int, int]
_Range = tuple[int, int, int, int]
"""First and last + 1 in the one sequence, first and last + 1 in the other."""


def matches(left: Sequence[str], right: Sequence[str]) -> list[_Pair]:
    """Positions of equal words, in order in both sequences.

    A patience diff: runs of words that occur once in both are anchors, longest runs first; between them the same with
    shorter runs, and what is small in the end is compared by difflib. 100,000 words (ten hours) take a second, where
    the textbook's table would have 10^10 cells. A long stretch in which nothing is unique stays unmatched.
    """
    found = list[_Pair]()
    todo: list[tuple[_Range, int]] = [((0, len(left), 0, len(right)), 0)]
    while todo:
        (a, b, c, d), depth = todo.pop()
        if a >= b or c >= d:
            continue
        if (b - a) * (d - c) <= _LEAF:
            blocks = SequenceMatcher(None, left[a:b], right[c:d], autojunk=False).get_matching_blocks()
            found += [(a + block.a + n, c + block.b + n) for block in blocks for n in range(block.size)]
        elif depth < _DEPTH and (anchors := _anchors(left, right, (a, b, c, d))):
            found += anchors
            todo += [
                ((p + 1, q, r + 1, s), depth + 1) for (p, r), (q, s) in pairwise([(a - 1, c - 1), *anchors, (b, d)])
            ]
    return sorted(found)


def _anchors(left: Sequence[str], right: Sequence[str], stretch: _Range) -> list[_Pair]:
    """The longest chain of runs of words that are unique in both stretches."""
    a, b, c, d = stretch
    for size in (4, 2, 1):
        ours, theirs = _unique_runs(left, a, b, size), _unique_runs(right, c, d, size)
        chain = _increasing([(position, theirs[run]) for run, position in ours.items() if run in theirs])
        if chain:
            return _widened(chain, size)
    return []


def _widened(chain: Sequence[_Pair], size: int) -> list[_Pair]:
    """All pairs of the runs; where two runs overlap, they must agree."""
    pairs = list[_Pair]()
    for i, j in chain:
        for n in range(size):
            if not pairs or (i + n > pairs[-1][0] and j + n > pairs[-1][1]):
                pairs.append((i + n, j + n))
    return pairs


def _unique_runs(words: Sequence[str], first: int, last: int, size: int) -> dict[tuple[str, ...], int]:
    runs = [tuple(words[n : n + size]) for n in range(first, last - size + 1)]
    counts = Counter(runs)
    return {run: first + n for n, run in enumerate(runs) if counts[run] == 1}


def _increasing(pairs: Sequence[_Pair]) -> list[_Pair]:
    """The longest subsequence of pairs (ordered by their first) whose seconds increase too."""
    tails, tail_at, before = list[int](), list[int](), list[int]()
    for n, (_, second) in enumerate(pairs):
        length = bisect_left(tails, second)
        before.append(tail_at[length - 1] if length else -1)
        tails[length : length + 1] = [second]
        tail_at[length : length + 1] = [n]
    chain, n = list[_Pair](), tail_at[-1] if tail_at else -1
    while n >= 0:
        chain.append(pairs[n])
        n = before[n]
    return chain[::-1]


# --- time -----------------------------------------------------------------------------------------------------------

_FIT_POINTS = 600
"""Theil and Sen compare all pairs of points: 180,000 slopes."""


def fit_line(given: NDArray[np.float64], heard: NDArray[np.float64]) -> tuple[float, float]:
    """(drift, offset) with heard = drift * given + offset; by Theil and Sen, right while 29 % of the points are wrong.

    A drift is only believed if it explains the points clearly better than an offset alone (over a short recording any
    slope would fit), and is then made exact by least squares over the points near it.
    """
    if not len(given):
        return 1.0, 0.0
    chosen = np.unique(np.linspace(0, len(given) - 1, min(len(given), _FIT_POINTS)).astype(int))
    x, y = given[chosen], heard[chosen]
    offset = float(np.median(y - x))
    first, second = np.triu_indices(len(x), 1)
    apart = x[second] - x[first]
    far = apart > max((x[-1] - x[0]) / 4, 1.0)
    if not far.any():
        return 1.0, offset
    slope = float(np.median((y[second] - y[first])[far] / apart[far]))
    residuals = np.abs(y - slope * x - np.median(y - slope * x))
    explains = np.median(residuals) < min(_DRIFT_GAIN * np.median(np.abs(y - x - offset)), _RESIDUAL_SECONDS)
    if not explains or not _DRIFTS[0] <= slope <= _DRIFTS[1]:
        return 1.0, offset
    near = residuals <= _RESIDUAL_SECONDS
    drift, drifted = np.polyfit(x[near], y[near], 1)
    return float(drift), float(drifted)


# --- fitting --------------------------------------------------------------------------------------------------------


def fit(cues: Sequence[Cue], transcription: Transcription, audio_seconds: float, *, object_key: str) -> GivenTranscript:
    """The given transcript with its words in the recording, as far as the recogniser's words bear it out.

    A word that was heard gets the recogniser's time and probability; the others lie between these, near where their
    cue says, with `UNHEARD_PROBABILITY`. Each cue becomes a segment, ready for the aligner.
    Raises GIVEN_TRANSCRIPT_MISMATCH if so little was heard that the cues must belong to another recording.
    """
    words = _given_words(cues, transcription.language)
    heard = [(word, segment.channel) for segment in transcription.segments for word in segment.words]
    ours = _tokens([(word.text, word.guess) for word in words])
    theirs = _tokens([(word.text, (word.start, word.end)) for word, _ in heard])
    pairs = [(ours[i], theirs[j]) for i, j in matches([token.text for token in ours], [token.text for token in theirs])]
    drift, offset = _fit_pairs(pairs, cues)
    pairs = _believed(pairs, drift, offset)

    match = _share_heard(words, ours, pairs)
    if match is not None and match < _MISMATCH:
        raise PipelineError(ErrorCode.GIVEN_TRANSCRIPT_MISMATCH, f"{100 * match:.0f} % of its words were heard")

    def corrected(seconds: float) -> float:
        return round(min(max(drift * seconds + offset, 0.0), audio_seconds), 3)

    guesses = [(corrected(word.guess[0]), corrected(word.guess[1])) for word in words]
    times = fill_gaps(guesses, _spans(words, pairs), audio_seconds)
    sources = {mine.owner: heard[his.owner] for mine, his in pairs}
    placed = [
        RecognisedWord(
            text=word.text,
            start=start,
            end=end,
            probability=sources[n][0].probability if n in sources else UNHEARD_PROBABILITY,
        )
        for n, (word, (start, end)) in enumerate(zip(words, times, strict=True))
    ]
    segments, doubtful, channel = list[RecognisedSegment](), list[int](), None
    for position, group in groupby(range(len(words)), key=lambda n: words[n].cue):
        own = list(group)
        said = [n for n in own if words[n].counts]
        is_doubtful = sum(n in sources for n in said) < _DOUBTFUL * len(said)
        if is_doubtful:
            doubtful.append(cues[position].number)
        channels = Counter(sources[n][1] for n in own if n in sources)
        channel = max(channels, key=channels.__getitem__, default=channel)
        segments.append(
            RecognisedSegment(
                start=placed[own[0]].start,
                end=max(placed[n].end for n in own),
                text=cues[position].text,
                words=tuple(placed[n] for n in own),
                channel=channel,
                doubts=(Doubt.GIVEN_TEXT,) if is_doubtful else (),
            )
        )
    return GivenTranscript(
        object_key=object_key,
        cues=tuple(cue.model_copy(update={"start": corrected(cue.start), "end": corrected(cue.end)}) for cue in cues),
        offset_seconds=round(offset, 3),
        drift=round(drift, 6),
        match=match,
        doubtful_cues=tuple(doubtful),
        segments=tuple(segments),
    )


def _fit_pairs(pairs: Sequence[tuple[_Token, _Token]], cues: Sequence[Cue]) -> tuple[float, float]:
    """Drift and offset, from the best points of which there are enough.

    Those are the first words of cues: inside a cue people do not speak at an even pace, and rest at its end. Next come
    matches in runs: a lone 'the' proves nothing.
    """
    in_runs = [pair for pair, length in zip(pairs, _run_lengths(pairs), strict=True) if length >= _RUN]
    cue_starts = {cue.start for cue in cues}
    firsts = [pair for pair in in_runs if pair[0].span[0] in cue_starts]
    points = next((chosen for chosen in (firsts, in_runs) if len(chosen) >= _ENOUGH_POINTS), pairs)
    return fit_line(np.array([mine.span[0] for mine, _ in points]), np.array([his.span[0] for _, his in points]))


def _believed(pairs: Sequence[tuple[_Token, _Token]], drift: float, offset: float) -> list[tuple[_Token, _Token]]:
    """Without matches by chance: neither in a run nor near the place that the fit expects."""
    return [
        (mine, his)
        for (mine, his), length in zip(pairs, _run_lengths(pairs), strict=True)
        if length >= _RUN or abs(drift * mine.span[0] + offset - his.span[0]) <= _RESIDUAL_SECONDS
    ]


def _run_lengths(pairs: Sequence[tuple[_Token, _Token]]) -> list[int]:
    """For each match, how many follow each other without a gap on either side, itself among them."""
    lengths = list[int]()
    runs = groupby(enumerate(pairs), key=lambda item: (item[1][0].position - item[0], item[1][1].position - item[0]))
    for _, run in runs:
        length = len(list(run))
        lengths += [length] * length
    return lengths


def _share_heard(
    words: Sequence[_GivenWord], ours: Sequence[_Token], pairs: Sequence[tuple[_Token, _Token]]
) -> float | None:
    """Of what is said, not described; None if nothing is."""
    said = sum(words[token.owner].counts for token in ours)
    found = sum(words[mine.owner].counts for mine, _ in pairs)
    return round(found / said, 4) if said else None


def _spans(words: Sequence[_GivenWord], pairs: Sequence[tuple[_Token, _Token]]) -> list[Span | None]:
    """Where the recogniser heard each given word; starts in order even where channels were heard side by side."""
    spans: list[Span | None] = [None] * len(words)
    latest = 0.0
    for mine, his in pairs:
        latest = max(latest, his.span[0])
        before = spans[mine.owner]
        spans[mine.owner] = (before[0] if before else latest, max(his.span[1], latest))
    return spans
