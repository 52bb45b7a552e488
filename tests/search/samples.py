# a passage is a line
"""Recordings of three owners in eleven languages, as documents: what every backend is asked about."""

import re
import zlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from tests.export.insights import insights_of
from tests.export.transcripts import timed, transcript_of
from transcribe_pipeline.artifacts import Transcript
from transcribe_pipeline.evaluation.references import find_references
from transcribe_pipeline.insights import Insights
from transcribe_pipeline.search.documents import Chunk, MediaDocument, insight_passages, passages

Line = tuple[str | None, str]
"""Label and what is said."""


def transcript(language: str, lines: Sequence[Line]) -> Transcript:
    """A segment of ten seconds for each line."""
    return transcript_of(
        [(label, timed([text], start=10.0 * i, seconds=9.0)) for i, (label, text) in enumerate(lines)], language
    )


def document(
    key: str,
    owner: str,
    language: str,
    lines: Sequence[Line],
    *,
    names: dict[str, str] | None = None,
    file_name: str | None = None,
    added: str = "2026-03-01",
    seconds: float = 600.0,
    generation: int = 1,
    chunks: tuple[Chunk, ...] = (),
    embedding_model: str | None = None,
) -> MediaDocument:
    return MediaDocument(
        partition_key=key,
        owner=owner,
        file_name=file_name or f"{key}.wav",
        generation=generation,
        transcript_id=f"{key}:{generation}",
        language=language,
        added_at=datetime.fromisoformat(added).replace(tzinfo=UTC),
        seconds=seconds,
        names=names or {},
        passages=passages(transcript(language, lines), names or {}),
        chunks=chunks,
        embedding_model=embedding_model,
    )


MANIFEST = Path(__file__).parents[2] / "benchmarks" / "testdata.yaml"

A, B = "SPEAKER_00", "SPEAKER_01"

CORPUS = [
    document(
        "budget", "ann", "en",
        [
            (A, "The interest rates went up again last autumn."),
            (B, "Our houses are worth less than the bank believes."),
            (A, "A well-known café in Zürich closed its doors."),
            (B, "The bank raised the interest rate of our house twice."),
            (A, "Transcription takes a minute; transcribing by hand takes hours."),
            (None, "Rate the interest of every house."),
        ],
        names={A: "Ann Lee", B: "Bob Ray"}, file_name="Budget meeting.mp4", added="2026-01-10", seconds=1800.0,
    ),
    document(
        "oma", "ann", "de",
        [
            (A, "Die Häuser in der Straße sind sehr alt."),
            (A, "Das Haus meiner Großmutter steht noch."),
            (B, "Über die Zinsen sprechen wir später."),
        ],
        names={B: "ann lee"}, file_name="Gespräch mit Oma.mp3", added="2026-02-01", seconds=300.0,
    ),
    document(
        "ferme", "ann", "fr",
        [
            (A, "Les chevaux courent vite dans la forêt."),
            (A, "Le cheval de mon frère dort."),
            (B, "Il préfère le café."),
        ],
        added="2026-02-15", seconds=120.0,
    ),
    document(
        "tokyo", "ann", "ja",
        [
            (A, "東京都に住んでいます。"),
            (B, "機械学習の研究をしています。"),
            (A, "京都でお茶を飲みましょう。"),
        ],
    ),
    document(
        "merger", "bob", "en",
        [
            (A, "The xylophone merger with Quetzalcorp is confidential."),
            (B, "No interest rate and no house is worth that."),
            (A, "The bank knows nothing."),
        ],
        names={A: "Zebedee Quill", B: "Ann Lee"}, file_name="Unannounced.wav", added="2026-01-20", seconds=7200.0,
    ),
    document(
        "abuela", "bob", "es",
        [(A, "Las canciones de mi abuela son hermosas."), (A, "Canta una canción, por favor.")],
    ),
    document(
        "giardino", "bob", "it",
        [(A, "I ragazzi giocano in giardino."), (B, "Il ragazzo legge un giornale.")],
    ),
    document(
        "reuniao", "bob", "pt",
        [(A, "Os livros estão na mesa."), (B, "Este livro é muito bom."), (A, "A reunião começa às nove.")],
    ),
    document(
        "knigi", "bob", "ru",
        [(A, "Книги лежат на столе."), (B, "Эта книга очень старая."), (A, "Ёлка стоит в углу.")],
    ),
    document(
        "seoul", "cleo", "ko",
        [(A, "서울에서 만나요."), (B, "기계학습을 공부합니다.")],
    ),
    document(
        "beijing", "cleo", "zh",
        [(A, "我们在北京大学学习人工智能。"), (B, "银行又提高了利率。")],
    ),
    document(
        "kitab", "cleo", "ar",
        [(A, "الكتاب على الطاولة."), (B, "هذا كتاب جديد.")],
    ),
    document(
        "demo", "cleo", "xx",
        [(A, "Brbl wuggly zonk."), (A, "Wuggly brbl.")],
        names={A: "Ünal Şen"},
    ),
    document("silence", "cleo", "und", []),
]  # fmt: skip

OWNERS = {document.partition_key: document.owner for document in CORPUS}


def words_of(owner: str) -> set[str]:
    """All that only this owner's recordings say, in small letters: words, names of speakers and files."""

    def said(documents: list[MediaDocument]) -> set[str]:
        texts = [passage.text for document in documents for passage in document.passages]
        texts += [passage.speaker_name for document in documents for passage in document.passages]
        texts += [document.file_name for document in documents]
        return {word for text in texts for word in re.findall(r"\w+", text.casefold())}

    own = said([document for document in CORPUS if document.owner == owner])
    return own - said([document for document in CORPUS if document.owner != owner])


class Signs:
    """An embedder whose idea of meaning can be checked by hand: each text's concepts, by keywords."""

    name = "signs"
    dimensions = 8
    CONCEPTS = (("dog", "puppy", "kennel"), ("money", "cash", "coins"), ("rain", "storm", "clouds"))

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        rows = np.zeros((len(texts), self.dimensions), np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in re.findall(r"\w+", text.casefold()):
                known = [i for i, words in enumerate(self.CONCEPTS) if word in words]
                # Unknown words are a little noise, the same each time.
                row[known[0] if known else 3 + zlib.crc32(word.encode()) % 5] += 1.0 if known else 0.05
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)


def with_chunks(key: str, owner: str, chunks: Sequence[Sequence[str]]) -> MediaDocument:
    """A document whose segments are embedded in these groups."""
    lines = [(A, text) for chunk in chunks for text in chunk]
    vectors = Signs().embed([" ".join(chunk) for chunk in chunks])
    firsts = np.cumsum([0, *map(len, chunks)])
    made = tuple(Chunk(i, int(firsts[i]), int(firsts[i + 1]) - 1, vector.tolist()) for i, vector in enumerate(vectors))
    return document(key, owner, "en", lines, chunks=made, embedding_model=Signs.name)


def with_insights(
    key: str, owner: str, lines: Sequence[Line], *, names: dict[str, str] | None = None, text: str | None = None
) -> MediaDocument:
    """A document with two chapters and a summary, in whose every sentence stands 'the house', or `text`."""
    spoken = transcript("en", lines)
    said = {"chapter": text or "The house", "summary": text or "SPEAKER_00 sells the house"}
    of = {kind: insights_of(spoken, sentence) for kind, sentence in said.items()}
    told = Insights(chapters=of["chapter"].chapters, summary=of["summary"].summary)
    made = document(key, owner, "en", lines, names=names)
    passages = made.passages + insight_passages(told, spoken, names or {})
    return replace(made, passages=passages, insights={"chapters": 1, "summary": 1})


def real_documents(testdata: Path) -> list[MediaDocument]:
    """What people know about the recordings of the test data, sentence by sentence or turn by turn."""
    made: list[MediaDocument] = []
    for reference in find_references(testdata, MANIFEST):
        if reference.utterances:
            lines: list[Line] = [(utterance.speaker, utterance.text) for utterance in reference.utterances]
        else:
            lines = [(None, text) for text in re.split(r"(?<=[.!?。])\s+|\n", reference.text or "") if text.strip()]
        if lines:
            key = re.sub(r"\W+", "-", reference.name)
            made.append(document(key, f"owner{len(made) % 3}", reference.language or "und", lines))
    return made
