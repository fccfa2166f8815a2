"""How far apart are the routing logits of two people? What the strength of a place is to be measured against.

    python benchmarks/routing_margins.py --seed 3

One video of two people, without places; for some steps and each routed block the median and the 95th percentile, over
video tokens, of the difference between their logits. One thread.
"""

import argparse
import warnings

import torch

from ingredients.pipelines.loading import load_pipeline


def main() -> None:
    """Measures and prints, a line each step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=None)
    parser.add_argument("--photos", nargs=2, default=["examples/ana.png", "examples/ben.png"])
    parser.add_argument("--prompt", default="Two people wave on a beach.")
    parser.add_argument("--seed", type=int, default=3)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    pipeline = load_pipeline(arguments.model)
    pipeline.set_progress_bar_config(disable=True)
    margins: list[torch.Tensor] = []  # (J, L) each step

    def keep(_module: object, _arguments: object, output: object) -> None:
        logits = torch.stack([each[-1] for each in output.routing_logits])  # (J, L, 2), of the pass that sees all
        margins.append((logits[..., 0] - logits[..., 1]).abs())

    pipeline.transformer.register_forward_hook(keep)
    pipeline(arguments.photos, arguments.prompt, generator=arguments.seed, output_type="latent")
    for step in (0, len(margins) // 2, len(margins) - 1):
        median, most = margins[step].median(dim=1).values.tolist(), margins[step].quantile(0.95, dim=1).tolist()
        shown = ", ".join(f"{half:.1f} / {high:.1f}" for half, high in zip(median, most, strict=True))
        print(f"step {step + 1:2}: median / 95 % by block: {shown}", flush=True)


if __name__ == "__main__":
    main()
