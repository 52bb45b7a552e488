"""Which sentences are questions, by language.

1. A question mark, in all scripts that have one (Greek and Armenian their own).
2. Particles that end a question, in languages that are often written without a mark.
3. Without any punctuation: an auxiliary before its subject, in the few languages where that tells.

Only the form counts: 'You did?' is a question by its mark alone, and a rhetorical one counts as any other.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from transcribe_pipeline.artifacts import Transcript
from transcribe_pipeline.insight.analytics.counting import bare

_MARKS: Final = "?？؟፧⁇⁈⁉‽"  # noqa: RUF001
_ENDS: Final = f".。．!！…۔।॥။።{_MARKS}"  # noqa: RUF001
_MARKS_OF: Final[Mapping[str, str]] = {"el": ";\u037e", "hy": "՞"}
"""Greek's is another language's semicolon; Armenian's stands in the word that is asked about."""

_MARKLESS_LANGUAGES: Final = frozenset({"bo", "km", "lo", "my", "th"})
"""Their spelling has no question mark of its own, so its absence says nothing."""

# What ends statements as well is left out ('ね', '呢', 'ទេ', 'ບໍ່').
_PARTICLES: Final[Mapping[str, str]] = {
    # Iwasaki (2013), Japanese: 'か' after the polite copula and verbs, but not 'そうですか', which means 'I see'.
    "ja": r"(?:(?<!そう)です|ます|でした|ました|ません|ましょう|でしょう|だろう|の|ん)か$",
    # The formal and the polite endings.
    "ko": r"(?:습니까|입니까|합니까|됩니까|까요|나요|인가요|는가요)$",
    "my": r"(?:လား|လဲ)$",
    # Iwasaki & Ingkaphirom (2005), A reference grammar of Thai; a polite particle may follow.
    "th": r"(?:ไหม|มั้ย|หรือเปล่า|หรือยัง|หรือไม่|เหรอ|หรอ)(?:ครับ|คะ|ค่ะ)?$",
    "yue": r"[嗎吗咩]$",
    # Li & Thompson (1981), Mandarin Chinese.
    "zh": r"[吗嗎]$",
}
_LEAD: Final = r"^(?:(?:and|so|but|or|well|okay|ok|now|then|oh),? )*"
_AUXILIARIES: Final = (
    r"(?:am|is|are|was|were|do|does|did|have|has|had|can|could|will|would|shall|should|may|might|must"
    r"|isn't|aren't|wasn't|weren't|don't|doesn't|didn't|haven't|hasn't|can't|couldn't|won't|wouldn't|shouldn't)"
)
_INTERROGATIVES: Final = r"(?:who|whose|what|when|where|why|which|how)"
_SUBJECTS: Final = r"(?:i|you|he|she|it|we|they|this|that|these|those|there)\b"
_OPENINGS: Final[Mapping[str, str]] = {
    # Quirk, Greenbaum, Leech & Svartvik (1985), A comprehensive grammar of the English language, ch. 11: inversion.
    "en": rf"{_LEAD}(?:{_AUXILIARIES} {_SUBJECTS}|{_INTERROGATIVES}(?: (?!{_SUBJECTS})\w+){{0,2}} {_AUXILIARIES}\b)",
    # The accent marks the interrogative (Real Academia Española: Ortografía).
    "es": r"^(?:y |pero |entonces )?(?:por )?(?:qué|quién(?:es)?|cuándo|dónde|cómo|cuál(?:es)?|cuánt[oa]s?)\b",
    "fr": r"^(?:et |mais |alors )?(?:qu'|\w+ )?est-ce qu",
}
_NEVER: Final = r"(?!)"
_PUNCTUATED_SHARE: Final = 0.1
"""Of segments that end a sentence. Recognisers that punctuate do so in most; those that do not, in none."""


class Questions:
    """Finds questions in texts of one transcript."""

    def __init__(self, language: str, form: re.Pattern[str]) -> None:
        self._language = language
        self._form = form

    @classmethod
    def of(cls, transcript: Transcript) -> "Questions | None":
        """None if language and punctuation of this transcript do not tell."""
        language = transcript.language
        texts = [segment.text for segment in transcript.segments]
        is_marked = any(_has_mark(text, language) for text in texts)
        is_punctuated = is_marked or _are_punctuated(texts)
        if language in _MARKLESS_LANGUAGES and not is_marked and language not in _PARTICLES:
            return None
        if not is_punctuated and language not in _PARTICLES and language not in _OPENINGS:
            return None
        form = _PARTICLES.get(language) or (not is_punctuated and _OPENINGS.get(language)) or _NEVER
        return cls(language, re.compile(form))

    def count(self, text: str) -> int:
        return sum(map(self._is_question, self._sentences(text)))

    def is_last_in(self, text: str) -> bool:
        """Does the text end with a question?"""
        sentences = self._sentences(text)
        return bool(sentences) and self._is_question(sentences[-1])

    def _sentences(self, text: str) -> list[str]:
        """Cut after every run of marks that end one."""
        ends = re.escape(_ENDS + (_MARKS_OF["el"] if self._language == "el" else ""))
        return [sentence for found in re.findall(rf"[^{ends}]+[{ends}]*", text) if (sentence := found.strip())]

    def _is_question(self, sentence: str) -> bool:
        if _has_mark(sentence, self._language):
            return True
        return bool(self._form.search(bare(sentence).casefold().replace("’", "'")))  # noqa: RUF001


def _are_punctuated(texts: Sequence[str]) -> bool:
    return sum(text.rstrip().endswith(tuple(_ENDS)) for text in texts) >= _PUNCTUATED_SHARE * len(texts)


def _has_mark(text: str, language: str) -> bool:
    marks = _MARKS + _MARKS_OF.get(language, "")
    return any(mark in text for mark in marks)
