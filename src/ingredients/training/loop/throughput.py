"""How fast a run is: samples, tokens and arithmetic a second, and memory."""

import dataclasses
import resource
import sys

import torch

from ingredients.training.loop.stage import Work

PEAKS = {
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "RTX 4090": 165e12,
    "RTX 3090": 71e12,
}
"""Dense bfloat16 peaks of GPUs in FLOP/s, from the makers' data sheets."""

PROCESSOR_CORE_FLOPS = 0.043e12
"""What one pinned core of an Intel Xeon with AVX-512 reaches in float32, measured: `tflops` in the log of an alignment
of the small model in batches of 24 images and of 12 clips, with the identity loss."""


def peak_flops(device: torch.device) -> float | None:
    """Peak FLOP/s in bfloat16 of a GPU that is known; None for others, and for processors."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for known, peak in PEAKS.items() if known in name), None)


@dataclasses.dataclass(slots=True, kw_only=True)
class Throughput:
    """Adds up the work of the steps between two lines of the log: that of one process, for the others do as much.

    Attributes:
        peak: FLOP/s that one process could do at most; None where it is not known.
        num_processes: that share the work.
    """

    peak: float | None
    num_processes: int
    seconds: float = 0.0
    waited: float = 0.0
    num_steps: int = 0
    work: Work | None = None

    def add(self, work: Work | None, seconds: float, *, waited: float) -> None:
        """A step was done in `seconds`, for `waited` of which its data were not there yet."""
        self.seconds += seconds
        self.waited += waited
        self.num_steps += 1
        if work is not None:
            before = self.work or Work(num_samples=0, num_tokens=0, flops=0)
            self.work = Work(
                num_samples=before.num_samples + work.num_samples,
                num_tokens=before.num_tokens + work.num_tokens,
                flops=before.flops + work.flops,
            )

    def take(self, device: torch.device) -> dict[str, float]:
        """Numbers for the log; then starts again."""
        seconds = max(self.seconds, 1e-9)
        numbers = {
            "seconds_per_step": seconds / max(self.num_steps, 1),
            "waiting_share": self.waited / seconds,
            "memory_gb": peak_memory(device) / 1e9,
        }
        if self.work is not None:
            numbers |= {
                "samples_per_second": self.num_processes * self.work.num_samples / seconds,
                "tokens_per_second": self.num_processes * self.work.num_tokens / seconds,
                "tflops": self.num_processes * self.work.flops / seconds / 1e12,
            }
            if self.peak is not None:
                numbers["mfu"] = self.work.flops / seconds / self.peak
        self.seconds, self.waited, self.num_steps, self.work = 0.0, 0.0, 0, None
        return numbers


def peak_memory(device: torch.device) -> int:
    """Most bytes that this process has held on a device so far; on a processor, its resident memory."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
