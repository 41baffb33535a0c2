"""What a round is done with: scoring, strategies, models, training. Tests bring their own."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Protocol

from napari_histo.core import (
    Box,
    CancelToken,
    ObjectTable,
    Progress,
    Segmenter,
    SlideReader,
    retold,
)
from napari_histo.core.learning import Pool, QueryStrategy
from napari_histo.learning.click.pointing import Pointed
from napari_histo.learning.look_words import PictureEncoder
from napari_histo.learning.rounds.families import (
    ahead_of_job,
    evaluate_regions,
    family_of,
    load_any,
    train_job,
    training_settings,
)
from napari_histo.learning.training import Example, Preflight

__all__ = ["Pointed", "Score", "Tools", "TrainJob", "real_tools", "training_settings"]


class Score(Protocol):
    """How a model did in one region; `RegionScore` is one."""

    @property
    def tp(self) -> int:
        """Objects found."""
        ...

    @property
    def fp(self) -> int:
        """Objects invented."""
        ...

    @property
    def fn(self) -> int:
        """Objects missed."""
        ...

    @property
    def iou_sum(self) -> float:
        """Sum over those found."""
        ...


@dataclass(frozen=True, eq=False)
class TrainJob:
    """One training.

    Attributes
    ----------
    parent : str
        Folder or name of the model to go on from.
    regions, replay : sequence of Example
        What is new, and what earlier rounds taught.
    folder : Path
        Of the new model.
    name : str
    seed : int
    settings : mapping
        Of `StarDistTraining` or `ClickTraining`, those that are not its defaults.
    about : mapping
        For the model's card.
    """

    parent: str
    regions: Sequence[Example]
    replay: Sequence[Example]
    folder: Path
    name: str
    seed: int
    settings: Mapping[str, Any]
    about: Mapping[str, Any]


@dataclass(frozen=True)
class Tools:
    """What the steps of a round call.

    Attributes
    ----------
    load_model : callable
        Folder or name to model: a `Segmenter`, `PromptSegmenter` or `RegionSegmenter`.
    strategy : callable
        Name to strategy.
    score : callable
        ``score(readers by image, model, region_px, seed, cancel)`` gives a pool, in steps.
    predict : callable
        ``predict(reader, model, box, seed)`` gives the objects whose centroids lie in a box, or
        the areas in it; the model may be `Pointed`.
    train : callable
        ``train(job, cancel)`` leaves a model in the job's folder, and gives what is to be kept of
        how it went, as JSON: ``settings`` and ``curve`` at least; ``from_scratch`` is true where
        the parent had no weights to go on from.
    evaluate : callable
        ``evaluate(model, examples, cancel)`` gives a `Score` for each.
    encoder : mapping
        Of the user's encoder: name, licence, hashes, for the record; empty where the model in use
        says itself what regions look like.
    preflight : callable
        ``preflight(job, cancel)`` says what a training will take before it begins, in seconds;
        None where nobody can tell, or where to find out would take about as long.
    """

    load_model: Callable[[str], Any]
    strategy: Callable[[str], QueryStrategy]
    score: Callable[
        [Mapping[str, SlideReader], Segmenter, int, int, CancelToken],
        Generator[Progress, None, Pool],
    ]
    predict: Callable[[SlideReader, Any, Box, int], ObjectTable]
    train: Callable[[TrainJob, CancelToken], Generator[Progress, None, dict[str, Any]]]
    evaluate: Callable[[Any, Sequence[Example], CancelToken], Iterable[Score]]
    encoder: Mapping[str, Any] = field(default_factory=dict)
    preflight: Callable[[TrainJob, CancelToken], Preflight | None] = lambda _job, _cancel: None


def real_tools(device: str = "auto", encoder: Path | None = None) -> Tools:
    """The suite's own, on a device.

    Parameters
    ----------
    device : str
    encoder : Path, optional
        Folder of an encoder of the user's, which then says what regions look like. Its network is
        read when it is first wanted.

    Raises
    ------
    ModelError
        The folder's ``encoder.json`` is missing or wrong.
    """
    words: dict[str, Any] = {}
    if encoder is not None:
        from napari_histo.models.encoder.card import EncoderCard

        words = EncoderCard.read(encoder).words()

    def load(name: str) -> Any:
        return load_any(name, device)

    def preflight(job: TrainJob, cancel: CancelToken) -> Preflight | None:
        return ahead_of_job(job, device, cancel)

    def train(job: TrainJob, cancel: CancelToken) -> Generator[Progress, None, dict[str, Any]]:
        return (yield from train_job(job, device, cancel))

    def score(
        readers: Mapping[str, SlideReader],
        model: Segmenter,
        region_px: int,
        seed: int,
        cancel: CancelToken,
    ) -> Generator[Progress, None, Pool]:
        own = None if encoder is None else _encoder(encoder, device)
        return (yield from _score(readers, model, region_px, seed, cancel, encoder=own))

    return Tools(load, _strategy, score, _predict, train, evaluate_regions, words, preflight)


@lru_cache(maxsize=1)
def _encoder(folder: Path, device: str) -> PictureEncoder:
    from napari_histo.models.encoder.card import EncoderCard
    from napari_histo.models.encoder.encoder import FolderEncoder

    return FolderEncoder(EncoderCard.read(folder), device=device)


def _strategy(name: str) -> QueryStrategy:
    from napari_histo.learning.strategies import strategy

    return strategy(name)


def _score(
    readers: Mapping[str, SlideReader],
    model: Segmenter,
    region_px: int,
    seed: int,
    cancel: CancelToken,
    *,
    encoder: PictureEncoder | None = None,
) -> Generator[Progress, None, Pool]:
    from napari_histo.learning.scoring import ScoreRequest, join, score_image

    pools = []
    for place, (name, reader) in enumerate(readers.items()):
        request = ScoreRequest(region_px=region_px, seed=seed)
        work = score_image(name, reader, model, request, cancel, encoder=encoder)
        words = partial(_of_image, f"{name} ({place + 1} of {len(readers)})")
        pools.append((yield from retold(work, words)))
    return join(pools)


def _of_image(what: str, step: Progress) -> Progress:
    return replace(step, message=f"{step.message}: {what}")


def _predict(reader: SlideReader, model: Any, box: Box, seed: int) -> ObjectTable:
    if isinstance(model, Pointed):
        return model.outline(reader, _predict(reader, model.finder, box, seed))
    return family_of(model.info.family).predict(reader, model, box, seed)
