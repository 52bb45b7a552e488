"""How far a transcript can be trusted: doubts about segments, figures about files. Pure functions.

A suspicious segment is worth decoding again; a doubt stays in the transcript for people to see. Nothing here removes
words, except `is_noise`: what Whisper itself calls 'nobody spoke', and loops that no temperature broke.
"""

import re
import unicodedata
import zlib
from collections.abc import Sequence
from functools import lru_cache

from transcribe_pipeline.artifacts import Doubt, RecognisedSegment, TranscriptSegment
from transcribe_pipeline.speech.spans import Span, covered_seconds
from transcribe_pipeline.text.words import is_unspaced

# Thresholds of Whisper's own fallback (openai/whisper transcribe.py).
_COMPRESSION_RATIO_LIMIT = 2.4
_LOGPROB_FLOOR = -1.0
_NO_SPEECH_LIMIT = 0.6

LOW_CONFIDENCE = 0.5
"""A word below this probability; a segment whose mean is below it is doubtful."""
_UNSPOKEN_SHARE = 0.7
"""Of a segment outside detected speech, for it to be doubtful."""
_SHORTEST_LOOP_WORDS = 6
"""'No, no, no' is speech; six words that say three times the same are a loop."""
_LONGEST_LOOP_PERIOD = 12
_WORDS_PER_SECOND = (0.4, 6.5)
"""Auctioneers reach 6; a segment of a few words may well contain a pause."""
_CHARACTERS_PER_SECOND = (0.5, 15.0)
"""The same for scripts without spaces: Japanese news is read at 6 to 8."""
_SPEED_SECONDS = 3.0
"""Speed says something only of segments at least this long."""

# What Whisper writes for silence and music, learnt from the subtitles it was trained on. A list can never be complete
# (peers learnt that from Japanese and Turkish), so it only adds a doubt where other evidence is weak as well.
_INVENTED_PHRASES = (
    "thank you",
    "thank you for watching",
    "thank you so much for watching",
    "thanks for watching",
    "please subscribe",
    "like and subscribe",
    "see you in the next video",
    "Subtitles by the Amara.org community",
    "Untertitel der Amara.org-Community",
    "Untertitel im Auftrag des ZDF für funk",
    "Vielen Dank fürs Zuschauen",
    "Sous-titres réalisés par la communauté d'Amara.org",
    "Merci d'avoir regardé cette vidéo",
    "Subtítulos realizados por la comunidad de Amara.org",
    "Gracias por ver el video",
    "Sottotitoli creati dalla comunità Amara.org",
    "Sottotitoli e revisione a cura di QTSS",
    "Legendas pela comunidade Amara.org",
    "Obrigado por assistir",
    "Napisy stworzone przez społeczność Amara.org",
    "İzlediğiniz için teşekkür ederim",
    "Altyazı M.K.",  # noqa: RUF001  # Turkish
    "продолжение следует",
    "субтитры сделал dimatorzok",
    "ご視聴ありがとうございました",
    "시청해주셔서 감사합니다",
    "请不吝点赞 订阅 转发 打赏支持明镜与点点栏目",
)


def is_suspicious(segment: RecognisedSegment) -> bool:
    """Should this be decoded again? By Whisper's own test where the engine tells, and by what the words look like."""
    return bool(
        _compression_ratio(segment) > _COMPRESSION_RATIO_LIMIT
        or (segment.avg_logprob is not None and segment.avg_logprob < _LOGPROB_FLOOR)
        or (segment.no_speech_prob is not None and segment.no_speech_prob > _NO_SPEECH_LIMIT)
        or repeated_words([word.text for word in segment.words])
    )


def is_noise(segment: RecognisedSegment) -> bool:
    """Whisper's rule for 'nobody spoke', plus loops that even the highest temperature did not break."""
    silent = (
        segment.no_speech_prob is not None
        and segment.avg_logprob is not None
        and segment.no_speech_prob > _NO_SPEECH_LIMIT
        and segment.avg_logprob < _LOGPROB_FLOOR
    )
    return silent or _compression_ratio(segment) > _COMPRESSION_RATIO_LIMIT


def doubts(segment: RecognisedSegment, speech: Sequence[Span], language: str) -> tuple[Doubt, ...]:
    """Why this segment should be listened to before it is trusted. `speech` is what voice activity detection found."""
    found = set(segment.doubts)
    texts = [word.text for word in segment.words]
    if mean_probability(segment) < LOW_CONFIDENCE or (segment.avg_logprob or 0.0) < _LOGPROB_FLOOR:
        found.add(Doubt.LOW_CONFIDENCE)
    if repeated_words(texts):
        found.add(Doubt.REPETITION)
    seconds = segment.end - segment.start
    unspoken = 1.0 - covered_seconds([(segment.start, segment.end)], speech) / seconds if seconds > 0 else 0.0
    is_unheard = (segment.no_speech_prob or 0.0) > _NO_SPEECH_LIMIT or unspoken > _UNSPOKEN_SHARE
    if is_unheard:
        found.add(Doubt.NO_SPEECH)
    if _plain(segment.text) in _invented() and (is_unheard or (segment.no_speech_prob or 0.0) > _NO_SPEECH_LIMIT / 2):
        found.add(Doubt.HALLUCINATION)
    if not is_plausible_speed(texts, seconds, language):
        found.add(Doubt.SPEED)
    return tuple(doubt for doubt in Doubt if doubt in found)


def mean_probability(segment: RecognisedSegment | TranscriptSegment) -> float:
    return sum(word.probability for word in segment.words) / len(segment.words) if segment.words else 0.0


def repeated_words(texts: Sequence[str]) -> int:
    """Words in loops: a phrase of up to 12 words said at least three times in a row, six words at the least."""
    words = [_plain(text) for text in texts]
    looping, position = 0, 0
    while position < len(words):
        length = max(
            (_loop_length(words, position, period) for period in range(1, _LONGEST_LOOP_PERIOD + 1)), default=0
        )
        looping += length
        position += max(length, 1)
    return looping


def _loop_length(words: Sequence[str], start: int, period: int) -> int:
    """How many words from `start` on repeat every `period` words; 0 if that is not yet a loop."""
    end = start + period
    while end < len(words) and words[end] == words[end - period]:
        end += 1
    length = end - start
    return length if length >= max(3 * period, _SHORTEST_LOOP_WORDS) else 0


def is_plausible_speed(texts: Sequence[str], seconds: float, language: str) -> bool:
    """Could a person say these words in this time?"""
    if seconds < _SPEED_SECONDS:
        return True
    if is_unspaced(language):
        slowest, fastest = _CHARACTERS_PER_SECOND
        said = sum(len(text) for text in texts)
    else:
        slowest, fastest = _WORDS_PER_SECOND
        said = len(texts)
    return slowest <= said / seconds <= fastest


def _compression_ratio(segment: RecognisedSegment) -> float:
    """As Whisper computes it: bytes of UTF-8 per byte of zlib."""
    if segment.compression_ratio is not None:
        return segment.compression_ratio
    data = segment.text.encode()
    return len(data) / len(zlib.compress(data))


def _plain(text: str) -> str:
    """Lower case, without accents and punctuation."""
    bare = "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))
    return re.sub(r"[\W_]+", " ", unicodedata.normalize("NFC", bare)).strip()


@lru_cache(maxsize=1)
def _invented() -> frozenset[str]:
    return frozenset(_plain(phrase) for phrase in _INVENTED_PHRASES)
