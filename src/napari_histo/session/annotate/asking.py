"""Gestures on their way to the model and back: in order, none dropped, batched when many wait."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Thread
from uuid import UUID

from napari_histo.core import Box, Contours, PointPrompt, Prompt, PromptAnswer
from napari_histo.pipeline.prompt import PromptEngine, PromptRequest
from napari_histo.session.annotate.history import Moment
from napari_histo.session.jobs import Post

__all__ = ["Ask", "AskingLane"]

_AT_ONCE = 32
#: Around a gesture, while the engine is not there yet to say how far it looks.
_AROUND_PX = 256


@dataclass(frozen=True, eq=False)
class Ask:
    """All gestures of one object so far, and what was being worked on before the last of them."""

    object_id: UUID
    prompts: tuple[Prompt, ...]
    name: str
    before: Moment


class AskingLane:
    """One thread that answers; all methods belong to the thread that `post` serves.

    A newer ask for an object takes the place of an older one, whose answer is dropped.

    Parameters
    ----------
    post : Post
    make_engine : callable
        Called once, in the thread.
    known : callable
        Outlines that meet a box, without the object of an id.
    answered : callable
        Gets each ask with its answer.
    failed : callable
        Gets the error; all that was awaited is given up.
    """

    def __init__(
        self,
        post: Post,
        make_engine: Callable[[], PromptEngine],
        known: Callable[[Box, UUID], Contours],
        answered: Callable[[Ask, PromptAnswer], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._post = post
        self._make_engine = make_engine
        self._known = known
        self._answered = answered
        self._failed = failed
        self._engine: PromptEngine | None = None
        self._awaited: dict[UUID, Ask] = {}
        self._waiting: list[Ask] = []
        self._busy = False
        self._generation = 0

    def __len__(self) -> int:
        return len(self._awaited)

    def prompts_of(self, object_id: UUID) -> tuple[Prompt, ...] | None:
        """Gestures whose answer is awaited; None where there are none."""
        ask = self._awaited.get(object_id)
        return None if ask is None else ask.prompts

    def submit(self, ask: Ask) -> None:
        """Ask in its turn."""
        self._awaited[ask.object_id] = ask
        self._waiting.append(ask)
        if not self._busy:
            self._start()

    def drop(self, object_id: UUID) -> None:
        """No answer for this object is wanted any more."""
        self._awaited.pop(object_id, None)

    def latest(self) -> UUID | None:
        """The object asked for last."""
        return next(reversed(self._awaited), None)

    def close(self) -> None:
        """No answer arrives after this."""
        self._generation += 1
        self._awaited.clear()
        self._waiting.clear()

    def _start(self) -> None:
        current = [a for a in self._waiting if self._awaited.get(a.object_id) is a]
        batch, self._waiting = current[:_AT_ONCE], current[_AT_ONCE:]
        if not batch:
            return
        self._busy = True
        requests = [self._request(ask) for ask in batch]
        arguments = (batch, requests, self._generation)
        Thread(target=self._work, args=arguments, name="prompts", daemon=True).start()

    def _request(self, ask: Ask) -> PromptRequest:
        box = self._around(ask.prompts)
        others = tuple(
            p
            for other in self._awaited.values()
            if other.object_id != ask.object_id
            for p in other.prompts
            if isinstance(p, PointPrompt)
        )
        return PromptRequest(ask.prompts, self._known(box, ask.object_id), others)

    def _around(self, prompts: Sequence[Prompt]) -> Box:
        if self._engine is not None:
            return self._engine.reach_px(prompts)
        first = prompts[0]
        if not isinstance(first, PointPrompt):
            return Box(0, 0, 0, 0)
        x, y = int(first.x), int(first.y)
        return Box(x - _AROUND_PX, y - _AROUND_PX, 2 * _AROUND_PX, 2 * _AROUND_PX)

    def _work(self, batch: list[Ask], requests: list[PromptRequest], generation: int) -> None:
        """In the thread."""
        try:
            if self._engine is None:
                self._engine = self._make_engine()
            answers = self._engine.answer(requests)
        except BaseException as error:
            failure = error  # the name of an except clause ends with it
            self._post(lambda: self._give_up(failure, generation))
        else:
            self._post(lambda: self._finish(batch, answers, generation))

    def _finish(self, batch: list[Ask], answers: list[PromptAnswer], generation: int) -> None:
        self._busy = False
        if generation != self._generation:
            return
        for ask, answer in zip(batch, answers, strict=True):
            if self._awaited.get(ask.object_id) is ask:
                del self._awaited[ask.object_id]
                self._answered(ask, answer)
        if not self._busy:
            self._start()

    def _give_up(self, error: BaseException, generation: int) -> None:
        self._busy = False
        if generation == self._generation:
            self._awaited.clear()
            self._waiting.clear()
            self._failed(error)
