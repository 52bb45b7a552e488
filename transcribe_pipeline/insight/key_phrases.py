"""What a text is about, in its own words: key phrases by YAKE, which needs no model and knows 34 languages.

YAKE (Campos et al. 2020, Information Sciences 509) scores words by their case, place, frequency, neighbours and spread
over sentences. What is added here: words that are only said, not written (fillers), count as stop words; phrases that
repeat each other are one; and a bound, so that ten hours take as long as one.

What does not belong here: whether a phrase is a name (`knowledge_graph`), and what is done with it.
"""

import logging
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Final

from transcribe_pipeline.search.tokens import stem
from transcribe_pipeline.text.words import is_unspaced

_MOST_WORDS: Final = 8_000
"""YAKE takes 0.5 s of CPU for 10,000 words, in linear time; of longer texts every second, third, ... is read. Of the
ten best phrases of a book (Newton's Opticks), 10 are found that way in 10,000 of its words, 8 in 100,000."""
_LONGEST_PHRASE: Final = 2
"""Words. Three take a third more time, and are rarely better on speech."""
_LONGEST_CHARACTERS: Final = 60
_CANDIDATES_PER_PHRASE: Final = 4
"""So many are asked of YAKE, since those that repeat a better one leave again."""

_YAKE_LISTS: Final = {"cs": "cz", "nn": "no", "bs": "hr"}
"""Our code -> its stop word list, where they differ."""
_WITHOUT_LIST: Final = "xx"
"""For YAKE, which would take the first two letters of 'noLang' for Norwegian."""
_MISNAMED: Final = frozenset({"br"})
"""YAKE's 'br' is Brazilian Portuguese, not Breton."""

_SAID_NOT_MEANT: Final = {
    "en": """um uh uhm erm hmm mhm mm ah oh huh yeah yep yes nope okay ok right well like gonna wanna gotta kinda sorta
        actually basically literally really obviously definitely probably maybe anyway just thing things stuff guys lot
        bit kind sort sure fine good great nice bad big little mean know think guess say said says saying tell told talk
        talking talked going go goes went gone come coming came get gets getting got let put make makes making made want
        wanted need look looking looked way time times today yesterday tomorrow day days week weeks month year years
        people somebody everybody everyone something anything everything nothing one ones two three lots hello hi hey
        bye thanks thank please sorry wow gosh cool don didn doesn isn wasn aren couldn wouldn shouldn won ain ve ll re
        mister missus monday tuesday wednesday thursday friday saturday sunday morning afternoon evening night hear
        heard thought feel felt seem seems seemed keep kept happen happened ask asked try tried agree agreed call
        called send sent""",
    "de": """äh ähm öh hm hmm mhm ja nee nö doch also halt eben quasi sozusagen irgendwie eigentlich natürlich genau
        okay ok gut klar naja tja ach oh einfach mal schon sache sachen ding dinge leute heute gestern morgen danke
        bitte hallo tschüss glaube weiß sagen sagt gesagt mache machen gemacht geht gehen kommt kommen sag""",
    "fr": """euh heu ben bah hein voilà ouais oui non donc quoi alors enfin bon bref ok okay genre truc trucs chose
        choses gens merci bonjour salut fait faire dit dire sais crois pense veux peux va vais aller aujourd hui""",
    "es": """eh ehm este pues bueno vale o sea entonces así claro sí no ok okay verdad mira oye cosa cosas gente gracias
        hola creo digo decir dice hacer hace hecho va voy ir hoy ayer mañana""",
    "it": """eh ehm uhm mah boh beh cioè insomma allora ecco quindi diciamo praticamente sì no ok okay certo vabbè cosa
        cose roba gente grazie ciao buongiorno dire detto fare fatto andare credo penso oggi ieri domani""",
    "pt": """eh hã né então tipo tá assim aí bom ok okay sim não pois enfim sei acho coisa coisas gente obrigado
        obrigada olá dizer disse fazer faz feito vou vai ir hoje ontem amanhã""",
    "nl": """eh ehm uhm hm ja nee nou zeg maar gewoon eigenlijk dus even toch hoor oké ok goed ding dingen mensen dank
        hallo denk weet zeggen gezegd doen gedaan gaan gaat vandaag gisteren morgen""",
    "ru": """э эм мм ну вот это значит типа короче как бы так да нет ладно хорошо спасибо привет вообще просто вещь вещи
        говорить сказал знаю думаю сегодня вчера завтра""",
}
"""Fillers, back-channels, and words of little content that speech is full of and stop word lists for writing lack."""

_NO_NOUNS: Final = ("ly", "ed")
"""Endings of English words that say little alone: 'originally', 'decided'."""
_LEAST_WORDS_FOR_A_LIST: Final = 300
_LEAST_SHARE_OF_A_STOP_WORD: Final = 0.005
_LONGEST_STOP_WORD: Final = 5

_KEPT_PUNCTUATION: Final = frozenset("'’.-,")  # noqa: RUF001
_SENTENCE_ENDS: Final = frozenset("!?…。．！？｡؟۔।॥")  # noqa: RUF001

_HAN: Final = "\u3400-\u9fff\uf900-\ufaff\u3005"
_RUNS: Final = {
    "ja": re.compile(rf"[{_HAN}]{{2,8}}|[\u30a1-\u30faー]{{3,16}}|[A-Za-z][A-Za-z0-9]{{1,20}}"),
    "zh": re.compile(rf"[{_HAN}]+"),
    "yue": re.compile(rf"[{_HAN}]+"),
}
_CHINESE_GLUE: Final = frozenset(
    "的了是我你他她它们們这這那在有和与與也都就不没沒还還很要会會能可以个個吗嗎呢吧啊嘛着著过過把被让讓给給对對从從到"
    "上下里裡中说說去来來做想看什么麼怎样樣为為因所而但如果或者咁嘅咗唔喺係佢哋啲嗰呢嚟睇"
)
"""Characters that are mostly grammar: no key phrase begins or ends with one."""
_LONGEST_CHINESE: Final = 4


def key_phrases(texts: Sequence[str], language: str, *, most: int) -> list[tuple[str, float]]:
    """Up to `most` phrases with a weight of 0 to 1 (the best has 1), best first. The same texts give the same phrases.

    Languages without a stop word list get one from the texts themselves, if there are enough of them. Of the languages
    written without spaces, Japanese phrases are runs of one script, Chinese ones are character sequences that recur;
    Thai, Lao and Burmese have none, since without a dictionary they would be pieces of words.

    :param texts: in order: a transcript's segments, or a part of them.
    :param language: ISO 639-1.
    """
    read = _bounded(texts)
    if is_unspaced(language):
        return _unspaced(read, language, most)
    return _spaced(read, language, most)


def _bounded(texts: Sequence[str]) -> list[str]:
    # Characters stand for words, so that texts without spaces are bounded too.
    length = sum(map(len, texts))
    stride = -(-length // (6 * _MOST_WORDS)) or 1
    return [text[: 6 * _MOST_WORDS] for text in texts[::stride]]


# --- languages with spaces ------------------------------------------------------------------------------------------


def _spaced(texts: list[str], language: str, most: int) -> list[tuple[str, float]]:
    import yake

    # YAKE catches its own errors, and would write the words that it was given into the log.
    logging.getLogger("yake").setLevel(logging.CRITICAL)
    # A segment ends a sentence, also where the recogniser wrote no mark.
    text = ". ".join(_plain(text).rstrip(" .,") for text in texts)
    stop_words = _stop_words(language) or _frequent(text)
    extractor = yake.KeywordExtractor(
        lan=_WITHOUT_LIST, n=_LONGEST_PHRASE, top=_CANDIDATES_PER_PHRASE * most, stopwords={"", *stop_words}
    )
    scored = [(phrase, max(float(score), 1e-9)) for phrase, score in extractor.extract_keywords(text)]
    phrases = [(phrase, score) for phrase, score in scored if _is_phrase(phrase, language, stop_words)]
    counts = _counts(text)
    chosen = _distinct([each for each in phrases if not _is_chance(each[0], counts)], language)[:most]
    written = _written(text, [phrase for phrase, _ in chosen])
    return [(written[phrase], chosen[0][1] / score) for phrase, score in chosen]


def _plain(text: str) -> str:
    """Marks of all scripts as the few that YAKE knows; otherwise they stay part of words."""
    table: dict[int, str] = {}
    for character in set(text):
        if character.isalnum() or character.isspace():
            continue
        if character in _SENTENCE_ENDS:
            table[ord(character)] = ". "
        elif character not in _KEPT_PUNCTUATION and unicodedata.category(character)[0] in "PS":
            table[ord(character)] = ", "
    return text.translate(table)


@lru_cache
def _stop_words(language: str) -> frozenset[str]:
    """Lower case; empty for languages without a list."""
    import yake

    name = _WITHOUT_LIST if language in _MISNAMED or len(language) > 2 else _YAKE_LISTS.get(language, language)
    listed = {word for word in yake.KeywordExtractor(lan=name).stopword_set if word}
    return frozenset(listed | set(_SAID_NOT_MEANT.get(language, "").split()))


def _frequent(text: str) -> frozenset[str]:
    """Short words that make up much of a text: grammar, in any language (Zipf's law of abbreviation)."""
    words = _words(text)
    if len(words) < _LEAST_WORDS_FOR_A_LIST:
        return frozenset()
    least = _LEAST_SHARE_OF_A_STOP_WORD * len(words)
    return frozenset(
        word for word, count in Counter(words).items() if count >= least and len(word) <= _LONGEST_STOP_WORD
    )


def _words(text: str) -> list[str]:
    """In small letters. Not by `\\w`, which has no vowel signs of Indic scripts."""
    stripped = (word.strip(".,-'’") for word in text.lower().split())  # noqa: RUF001
    return [word for word in stripped if word]


def _is_phrase(phrase: str, language: str, stop_words: frozenset[str]) -> bool:
    words = phrase.lower().split()
    if len(words) == 1 and language == "en" and words[0].endswith(_NO_NOUNS):
        return False
    if not words or len(phrase) > _LONGEST_CHARACTERS:
        return False
    if words[0] in stop_words or words[-1] in stop_words or any(left == right for left, right in pairwise(words)):
        return False
    return all(any(character.isalpha() for character in word) for word in words)


def _counts(text: str) -> Counter[str]:
    """Words and pairs of neighbours in small letters, with how often they occur."""
    words = _words(text)
    return Counter(words) + Counter(" ".join(pair) for pair in pairwise(words))


def _is_chance(phrase: str, counts: Counter[str]) -> bool:
    """Do two words only once stand together, of which one is said more often? Then that one says more."""
    words = phrase.lower().split()
    return len(words) > 1 and counts[" ".join(words)] <= 1 < max(counts[word] for word in words)


def _distinct(phrases: Iterable[tuple[str, float]], language: str) -> list[tuple[str, float]]:
    """Without those that say the same as a better one: another form ('rays', 'ray'), or a word of it."""
    kept: list[tuple[str, float]] = []
    forms: set[tuple[str, ...]] = set()
    parts: set[str] = set()
    for phrase, score in phrases:
        form = tuple(sorted(stems(phrase, language)))
        if form in forms or (len(form) == 1 and form[0] in parts):
            continue
        forms.add(form)
        parts.update(form)
        kept.append((phrase, score))
    return kept


def stems(phrase: str, language: str) -> list[str]:
    """The words of a phrase without their endings, in small letters; as they are in languages without a stemmer."""
    return [stem(word, language) or word for word in phrase.casefold().split()]


def _written(text: str, phrases: list[str]) -> dict[str, str]:
    """Each phrase as it is mostly written: 'light', though it began the sentence in which YAKE saw it first."""
    if not phrases:
        return {}
    longest_first = sorted(phrases, key=lambda phrase: (-len(phrase), phrase))
    pattern = re.compile(rf"\b(?:{'|'.join(map(re.escape, longest_first))})\b", re.IGNORECASE)
    forms: dict[str, Counter[str]] = {}
    for found in pattern.findall(text):
        forms.setdefault(found.lower(), Counter())[found] += 1
    return {phrase: _most_common(forms.get(phrase.lower()), phrase) for phrase in phrases}


def _most_common(forms: Counter[str] | None, otherwise: str) -> str:
    return max(forms, key=lambda form: (forms[form], form)) if forms else otherwise


# --- languages without spaces ---------------------------------------------------------------------------------------


def _unspaced(texts: list[str], language: str, most: int) -> list[tuple[str, float]]:
    runs = _RUNS.get(language)
    if runs is None:
        return []
    found = Counter(run for text in texts for run in runs.findall(text))
    counts = found if language == "ja" else _recurring(found)
    scored = sorted((-count * len(phrase), phrase) for phrase, count in counts.items())
    chosen = _not_contained(scored, most)
    return [(phrase, minus_score / chosen[0][0]) for minus_score, phrase in chosen]


def _recurring(runs: Counter[str]) -> dict[str, int]:
    """Sequences of 2 to 4 characters that occur twice and more, with how often."""
    counts: Counter[str] = Counter()
    for run, times in runs.items():
        for start in range(len(run) - 1):
            if run[start] in _CHINESE_GLUE:
                continue
            for end in range(start + 2, min(start + _LONGEST_CHINESE, len(run)) + 1):
                if run[end - 1] not in _CHINESE_GLUE:
                    counts[run[start:end]] += times
    return {phrase: count for phrase, count in counts.items() if count > 1}


def _not_contained(scored: list[tuple[int, str]], most: int) -> list[tuple[int, str]]:
    kept: list[tuple[int, str]] = []
    for each in scored:
        if len(kept) == most:
            break
        if not any(each[1] in other or other in each[1] for _, other in kept):
            kept.append(each)
    return kept
