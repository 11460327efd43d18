"""Asked to stop (SIGTERM, SIGUSR1): finish the step, save, and leave in good order.

A cluster sends one of them some time before it takes a machine away. The status 75
("temporary failure", sysexits.h) tells whoever started the run to start it again.
"""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from hornbook.core.errors import StoppedEarly

SIGNALS = ("SIGTERM", "SIGUSR1")  # Windows has the first only


class Stopping:
    """Whether a signal asked to stop. Used as a context, which listens.

    A second signal of the same kind does what it always does.
    """

    def __init__(self) -> None:
        self.asked = ""
        self._before: dict[int, Any] = {}
        self._all: dict[int, Any] = {}

    def __enter__(self) -> "Stopping":
        if threading.current_thread() is threading.main_thread():
            for name in SIGNALS:
                number = getattr(signal, name, None)
                if number is not None:
                    self._before[number] = signal.signal(number, self._note)
            self._all = dict(self._before)
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked = signal.Signals(number).name
        signal.signal(number, self._before.pop(number))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Whoever leaves in good order already needn't be told again: srun, for one, ends
        # the others when the first has gone.
        leaving = kind is not None and issubclass(kind, StoppedEarly)
        handlers = self._all if leaving else self._before
        for number, handler in handlers.items():
            signal.signal(number, signal.SIG_IGN if leaving else handler)
