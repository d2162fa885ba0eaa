"""A stand-in for the module ``pynvml``: one card whose answers a test sets, or makes fail."""

from types import SimpleNamespace

UUID = "GPU-01234567-89ab-cdef-0123-456789abcdef"


class NVMLError(Exception):
    """As pynvml's: carries NVML's code."""

    def __init__(self, value, text="NVML says no"):
        super().__init__(text)
        self.value = value


NOT_SUPPORTED, NOT_FOUND, UNKNOWN = 3, 6, 999


class SimulatedNvml:
    """Answers by function name; an exception among the answers is raised."""

    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0
    NVML_PERF_POLICY_POWER, NVML_PERF_POLICY_THERMAL = 0, 1

    def __init__(self, **answers):
        self.known_uuid = UUID
        self.open = 0
        self.answers = {
            "nvmlInit": None,
            "nvmlShutdown": None,
            "nvmlSystemGetDriverVersion": "580.65.06",
            "nvmlDeviceGetName": "NVIDIA H200",
            "nvmlDeviceGetUUID": UUID,
            "nvmlDeviceGetMemoryInfo": SimpleNamespace(total=150 * 10**9, used=2 * 10**9, free=0),
            "nvmlDeviceGetClockInfo": {1: 1980, 2: 3201},
            "nvmlDeviceGetTemperature": 41,
            "nvmlDeviceGetPowerUsage": 123_456,
            "nvmlDeviceGetEnforcedPowerLimit": 700_000,
            "nvmlDeviceGetCurrentClocksThrottleReasons": 0,
            "nvmlDeviceGetViolationStatus": {
                0: SimpleNamespace(violationTime=1_500_000_000),
                1: SimpleNamespace(violationTime=500_000_000),
            },
            "nvmlDeviceGetComputeRunningProcesses": [],
            "nvmlDeviceGetTotalEnergyConsumption": 5_000_250,
        } | answers

    def nvmlDeviceGetHandleByUUID(self, uuid):  # noqa: N802
        if uuid != self.known_uuid:
            raise NVMLError(NOT_FOUND, f"no card {uuid}")
        return "handle"

    def __getattr__(self, name):
        if name not in self.answers:
            raise AttributeError(name)
        return lambda *arguments: self._answer(name, arguments)

    def _answer(self, name, arguments):
        answer = self.answers[name]
        if isinstance(answer, BaseException):
            raise answer
        if name == "nvmlInit":
            self.open += 1
        if name == "nvmlShutdown":
            self.open -= 1
        if name.startswith("nvmlDevice"):
            assert arguments[0] == "handle"
        if callable(answer):
            return answer()
        return answer[arguments[1]] if isinstance(answer, dict) else answer


def processes(*ids):
    return [SimpleNamespace(pid=pid, usedGpuMemory=None) for pid in ids]
