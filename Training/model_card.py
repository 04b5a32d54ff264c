"""The model card: what a bundle's metadata say, for people."""

from __future__ import annotations

from typing import Any

#: Columns of the table; the noise regression has no gain over itself.
_FIGURES = ("PLCC", "SROCC", "KROCC", "sum", "MAE", "sum above noise")
#: Of bundles on simulated data.
SIMULATED_FIGURES = (
    "Against surrogate labels of simulated images, with the 95 % bootstrap interval over source slices. They say how "
    "well the network learned the simulation, not how well it agrees with radiologists."
)


def card_head(metadata: dict[str, Any]) -> list[str]:
    """The first lines of any card: name, what the weights are worth, what they are for."""
    return [
        f"# {metadata['name']} {metadata['version']}",
        "",
        f"**{metadata['ctqa']['statement']}**",
        "",
        metadata["description"],
        "",
        "## Intended use",
        metadata["intended_use"],
        "",
    ]


def model_card(metadata: dict[str, Any]) -> str:
    """``docs/README.md`` from the metadata, so that the two never disagree."""
    ours = metadata["ctqa"]
    lines = [
        *card_head(metadata),
        "## Training data",
        _training_data(ours),
        "",
        *[f"- {source}" for source in metadata["data_source"].split("; ")],
        "",
        "## Limits",
        *[f"- {limit}" for limit in ours["limits"]],
        "",
        "## Figures",
        ours.get("figures", SIMULATED_FIGURES),  # older bundles do not say: they are all simulated
        "",
        "| scorer | n | " + " | ".join(_FIGURES) + " |",
        "|---|---|" + "---|" * len(_FIGURES),
    ]
    for row in ours["evaluation"]:
        figures = [row["figures"].get(name) for name in _FIGURES]
        cells = [f"{v[0]:.3f} [{v[1]:.3f}, {v[2]:.3f}]" if v else "" for v in figures]
        lines.append(f"| {row['name']} | {row['images']} | " + " | ".join(cells) + " |")
    banded = [row for row in ours["evaluation"] if row.get("bands")]
    if banded:
        lines += [
            "",
            "PLCC within bands of the true score, and pairs of one slice in the right order:",
            "",
        ]
    for row in banded:
        bands = ", ".join(f"{band} {v[0]:.2f}" for band, v in row["bands"].items())
        pairs = ", ".join(f"{kind} {right} of {total}" for kind, (right, total) in row["pairs"].items() if total)
        lines.append(f"- {row['name']}: bands {bands}" + (f"; pairs {pairs}" if pairs else ""))
    lines += [
        "",
        "## Identity",
        f"{ours['parameters']:,} parameters, stored as float16. SHA-256 of the weights: `{ours['sha256']}`.",
        f"Window `{ours['window']}`, input {ours['input_size']} px. Licence: Apache-2.0.",
    ]
    return "\n".join(lines)


def _training_data(ours: dict[str, Any]) -> str:
    words = f"{ours['training_images']} {ours.get('training_data', 'simulated images')}"
    if ours["training_patients"]:
        patients = ours["training_patients"]
        words += f" of {len(patients)} patients and phantoms ({', '.join(patients)})"
    held_out = ours["held_out_patients"]
    return f"{words}." + (f" Never trained on: {', '.join(held_out)}." if held_out else "")
