"""Whose voice is whose: agglomerative clustering of voice embeddings, with what else is known about them.

Pure functions over arrays. Average linkage of cosine similarity, the most alike first, until the closest two groups are
less alike than `SAME_VOICE`. Two things are known beyond how voices sound: how many people speak, if somebody said so;
and that voices which the segmentation told apart within one window are probably two people.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from transcribe_pipeline.speech.diarizer import SpeakerCount

Embeddings = NDArray[np.float32]
"""Shape (items, dimensions), of unit length."""

SAME_VOICE = 0.55
"""Mean cosine similarity (CAM++) from which two groups are one speaker.

With 1-2 s pieces, clean speech has 0.72-0.99 within and 0.27-0.44 between speakers, telephone speech 0.65-0.98 and
0.48-0.63. Speakers found and DER on seven voices, four readers, a telephone call and meetings stay the same for 0.48 to
0.65; below that voices merge.
"""

_TOLD_APART = 0.2
"""Taken from the similarity of groups that always appear in the same windows; in proportion otherwise. Without it the
two voices of a telephone call are one (DER 0.50 instead of 0.10); 0.2 to 0.4 give the same."""

_SURELY_SAME_VOICE = 0.7
"""Long recordings are grouped block by block up to here, then as a whole."""
_BLOCK = 500
"""Items in a block: cubic time (500: 0.5 s) and square memory stay small, 10 hours have about 10,000 items."""

_SPEAKER_SECONDS = 1.0
"""A group with less speech is no speaker of its own; its items go to the most similar speakers."""


@dataclass
class _Group:
    items: list[int]
    total: Embeddings
    """Sum of the embeddings, weighted by seconds: mean dot mean is the mean similarity of all pairs."""
    seconds: float
    windows: set[int]

    @property
    def mean(self) -> Embeddings:
        return self.total / np.float32(self.seconds)


def group_voices(
    embeddings: Embeddings,
    seconds: NDArray[np.floating],
    windows: NDArray[np.integer],
    count: SpeakerCount = SpeakerCount(),  # noqa: B008  # frozen
    *,
    same_voice: float = SAME_VOICE,
) -> NDArray[np.int64]:
    """The speaker (0, 1, ...) of each item; -1 for items of groups too small to be a speaker.

    :param seconds: speech in each item, all above 0; each second of the recording counted once.
    :param windows: number of the window that each item was heard in; two items of one window were told apart there.
    """
    groups = [
        _Group([item], embeddings[item] * np.float32(seconds[item]), float(seconds[item]), {int(windows[item])})
        for item in range(len(embeddings))
    ]
    if len(groups) > _BLOCK:
        groups = [
            group for start in range(0, len(groups), _BLOCK) for group in _surely_same(groups[start : start + _BLOCK])
        ]
    level = _right_level(groups, count, same_voice)
    labels = np.full(len(embeddings), -1)
    for speaker, group in enumerate(_speakers(level)):
        labels[group.items] = speaker
    return labels


def two_halves(embeddings: Embeddings, seconds: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Items parted into the two groups that are least alike: True for those in the second. At least two items."""
    groups = [_Group([n], embeddings[n] * np.float32(s), float(s), {n}) for n, s in enumerate(seconds)]
    _, second = next(level for _, level in _levels(groups) if len(level) == 2)
    return np.isin(np.arange(len(embeddings)), second.items)


def centroid(embeddings: Embeddings, seconds: NDArray[np.floating]) -> NDArray[np.float32]:
    """Mean direction, weighted by seconds; unit length."""
    return unit((embeddings * seconds[:, None].astype(np.float32)).sum(axis=0))


def unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    """The vector at length 1; zero stays zero."""
    length = float(np.linalg.norm(vector))
    return vector / np.float32(length) if length else vector


_Level = tuple[float, list[_Group]]
"""How alike the closest two of these groups are, and the groups."""


def _levels(groups: list[_Group]) -> Iterator[_Level]:
    """From every item on its own to all in one group, by merging the closest two again and again."""
    groups = list(groups)
    alive = np.ones(len(groups), bool)
    means = np.stack([group.mean for group in groups])
    heard = _heard_in(groups)
    windows = heard.sum(axis=1)
    closeness = means @ means.T - _TOLD_APART * (heard @ heard.T) / np.minimum.outer(windows, windows)
    np.fill_diagonal(closeness, -np.inf)
    while True:
        a, b = np.unravel_index(int(closeness.argmax()), closeness.shape)
        yield float(closeness[a, b]), [group for group, is_alive in zip(groups, alive, strict=True) if is_alive]
        if alive.sum() == 1:
            return
        one, other = groups[a], groups[b]
        groups[a] = _Group(
            one.items + other.items, one.total + other.total, one.seconds + other.seconds, one.windows | other.windows
        )
        means[a] = groups[a].mean
        heard[a] = np.maximum(heard[a], heard[b])
        windows[a] = heard[a].sum()
        alive[b] = False
        row = means @ means[a] - _TOLD_APART * (heard @ heard[a]) / np.minimum(windows, windows[a])
        row[~alive] = row[a] = -np.inf
        closeness[a] = closeness[:, a] = row
        closeness[b] = closeness[:, b] = -np.inf


def _heard_in(groups: list[_Group]) -> NDArray[np.float32]:
    """1 where a group was heard in a window, which each was at least once; shape (groups, windows)."""
    columns = {window: column for column, window in enumerate(sorted(set().union(*(g.windows for g in groups))))}
    heard = np.zeros((len(groups), len(columns)), np.float32)
    for row, group in enumerate(groups):
        heard[row, [columns[window] for window in group.windows]] = 1
    return heard


def _surely_same(groups: list[_Group]) -> list[_Group]:
    return next(level for closeness, level in _levels(groups) if closeness < _SURELY_SAME_VOICE)


def _speakers(groups: list[_Group]) -> list[_Group]:
    """The groups that count as speakers; the largest alone where none does."""
    return [g for g in groups if g.seconds >= _SPEAKER_SECONDS] or [max(groups, key=lambda g: g.seconds)]


def _right_level(groups: list[_Group], count: SpeakerCount, same_voice: float) -> list[_Group]:
    """The level that similarity alone would choose, else the nearest one with an allowed number of speakers."""
    # Levels are made twice rather than kept: all of them together took 0.5 GB for ten hours.
    closeness, found = zip(*((closeness, len(_speakers(level))) for closeness, level in _levels(groups)), strict=True)
    natural = next(n for n, close in enumerate(closeness) if close < same_voice)
    fewest = count.exactly or count.at_least or 1
    most = count.exactly or count.at_most or len(groups)
    wanted = min(max(found[natural], fewest), most)
    best = min(range(len(found)), key=lambda n: (abs(found[n] - wanted), abs(n - natural)))
    return next(islice((level for _, level in _levels(groups)), best, None))
