"""Several workers: one worker process for each of several devices of this machine, all at work at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from aabench.runs.device_facts import DeviceFacts
from aabench.runs.dispatch import Tasks, dispatch
from aabench.runs.place import Place
from aabench.runs.post import Post
from aabench.runs.settings import RunSettings
from aabench.runs.task import Outcome, Task


class SeveralWorkers:
    """One worker process per device, each given one task at a time.

    Args:
        settings: of the run.
        outside_code: ``package.module:attribute`` targets that its cases name.
        devices: torch devices by what the results call them. Without them, the devices that
            ``settings.device`` names, as a first worker finds them: ``all`` are the CUDA devices that
            torch sees.
    """

    def __init__(
        self,
        settings: RunSettings,
        outside_code: Sequence[str] = (),
        devices: Mapping[str, str] | None = None,
    ) -> None:
        self._settings, self._outside_code = settings, outside_code
        self._devices = devices
        self._stations: list[_Station] = []

    def places(self) -> Sequence[Place]:
        """The devices, each with what its own worker says of it.

        Raises:
            UsageError: no such device, or code of the cases cannot be imported.
        """
        if not self._stations:
            self._open()
        return [station.place for station in self._stations]

    def run(self, tasks: Tasks, started: Callable[[Task], None]) -> Iterator[tuple[Task, Outcome]]:
        """Run the tasks, as many at once as there are devices."""
        self.places()
        return dispatch(self._stations, tasks, started)

    def close(self) -> None:
        """Kill all workers, whatever they are doing."""
        for station in self._stations:
            station.stop()
        for station in self._stations:
            station.close()
        self._stations = []

    def _open(self) -> None:
        """Start a worker for every device; they start side by side, for importing torch takes its time."""
        devices = self._found() if self._devices is None else self._devices
        self._stations = [
            _Station(label, Post(self._settings, device, self._outside_code))
            for label, device in devices.items()
        ]
        for greeting in [station.greet() for station in self._stations]:
            greeting.result()

    def _found(self) -> dict[str, str]:
        """The devices that the settings name, each under its own name."""
        first = Post(self._settings, self._settings.device, self._outside_code)
        try:
            facts = [DeviceFacts.from_dict(values) for values in first.greeting()["devices"]]
        finally:
            first.close()
        return {each.device: each.device for each in facts}


class _Station:
    """A post with a thread of its own, which starts its workers and waits for them."""

    def __init__(self, label: str, post: Post) -> None:
        self._label, self._post = label, post
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=label)
        self._place: Place | None = None

    @property
    def place(self) -> Place:
        """The device; known once it has been greeted."""
        assert self._place is not None
        return self._place

    def greet(self) -> Future[None]:
        """Start the worker and find out what it stands on."""
        return self._thread.submit(self._meet)

    def submit(self, task: Task) -> Future[Outcome]:
        """Run a task."""
        return self._thread.submit(self._post.run, task)

    def revive(self) -> None:
        """A device that no worker can be started on does not come back by itself."""
        return

    def stop(self) -> None:
        """End what is running."""
        self._post.stop()

    def close(self) -> None:
        """Take the worker and the thread down."""
        self._thread.submit(self._post.close)
        self._thread.shutdown()

    def _meet(self) -> None:
        self._place = Place.of_greeting(self._post.greeting(), self._label)
