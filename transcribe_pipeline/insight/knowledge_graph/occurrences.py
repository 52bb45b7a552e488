"""Where phrases occur in a transcript, whatever their endings and case."""

from collections.abc import Iterable

from transcribe_pipeline.artifacts import Transcript
from transcribe_pipeline.search.tokens import stem, tokens


class Occurrences:
    """Of any phrase in one transcript: looked up by its rarest word, so that many phrases cost little."""

    def __init__(self, transcript: Transcript) -> None:
        self._language = transcript.language
        self._words = [self.words(segment.text) for segment in transcript.segments]
        self._places: dict[str, list[int]] = {}
        for segment, words in enumerate(self._words):
            for word in dict.fromkeys(words):
                self._places.setdefault(word, []).append(segment)

    def words(self, text: str) -> tuple[str, ...]:
        """What two texts are compared by: folded, without endings; single characters where there are no spaces."""
        return tuple(stem(token.text, self._language) or token.text for token in tokens(text))

    def of(self, phrases: Iterable[str]) -> tuple[int, ...]:
        """Ids of the segments that have one of the phrases, rising."""
        return tuple(sorted({segment for phrase in phrases for segment in self._of(self.words(phrase))}))

    def _of(self, wanted: tuple[str, ...]) -> Iterable[int]:
        if not wanted:
            return ()
        rarest = min((self._places.get(word, []) for word in wanted), key=len)
        return (segment for segment in rarest if _follow(wanted, self._words[segment]))


def _follow(wanted: tuple[str, ...], words: tuple[str, ...]) -> bool:
    size = len(wanted)
    return any(words[i : i + size] == wanted for i in range(len(words) - size + 1))
