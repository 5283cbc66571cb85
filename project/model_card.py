"""Write docs/model-card.md from the committed params, metrics and seeds.

    python -m project.model_card

The sections are those of Mitchell and others, Model cards for model reporting (FAccT 2019).
"""

from statsmodels.stats.proportion import proportion_confint

from classifier import artifacts, tables
from classifier.notation import percent
from classifier.params import PARAMS, Params, load_params, load_yaml
from project import cli, paths, scores, seeds
from project.text import Markdown, escape, mean_and_sd, table

CONFUSED_PAIRS = 10  # rows of the table


def main() -> None:
    cli.parser(__doc__).parse_args()
    text = model_card()
    with artifacts.replacing(paths.MODEL_CARD) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    print(paths.MODEL_CARD)


def model_card() -> str:
    """The model card as Markdown.

    Raises:
        UserError: params or results are missing or invalid.
    """
    params = load_params()
    results = scores.read(paths.SCORES)
    size = "×".join(map(str, artifacts.read_array(paths.MISTAKES).shape[1:]))
    splits = ", ".join(f"{name} accuracy {percent(values['accuracy'])}" for name, values in results.items())
    sections = [
        f"# Model card: {escape(params.dataset.name)}, {params.model.architecture}",
        "`python -m project.model_card` writes this page from the committed params and results.",
        "## The model",
        _model(params),
        "## Intended use",
        f"To classify grey images of {size} pixels as one of {len(params.dataset.classes)} classes, for teaching, as a "
        "baseline, and as an example of a reproducible pipeline. Images must be made as those of the dataset were. A "
        "picture of anything else gets one of the classes as well, often with a high probability. The model is not "
        "meant for decisions about people or goods.",
        "## Data",
        f"{escape(params.dataset.name)}: {splits}. What is known about its faults, and how the splits are made, is in "
        "[data.md](data.md).",
        "## Scores on the test set",
        *_test_scores(params, results["test"]),
        "## Calibration",
        _calibration(results["test"]),
        "## What it confuses",
        table(["true class", "predicted", "images", "share of the true class"], _pairs()),
        "## Limits",
        "The scores are those of images from the same source as the training images. Each report of a review says how "
        "often the test set was looked at ([review.md](review.md)). The model is the same bit for bit on the CPUs that "
        "[reproducibility.md](reproducibility.md) names.",
    ]
    return "\n\n".join(sections) + "\n"


def _model(params: Params) -> str:
    summary = tables.read_summary(paths.TRAINING_SUMMARY)
    rows = [
        ["architecture", Markdown(f"`{params.model.architecture}` in `classifier/models.py`")],
        ["file", Markdown("`models/model.keras`, from pixels of 0 to 255 to probabilities")],
        ["parameters", f"{summary['parameters']:,}"],
        ["MACs per image", f"{summary['multiply_adds']:,}"],
        ["training", f"{summary['epochs']} epochs, {summary['images_seen']:,} images seen"],
        ["recipe", f"{seeds.recipe(load_yaml(PARAMS))}, seed {params.train.seed}; all values are in params.yaml"],
    ]
    return table(["", ""], rows)


def _test_scores(params: Params, scores: dict[str, float]) -> list[str]:
    rows = tables.read_per_class(paths.PER_CLASS, params.dataset.classes).query("split == 'test'").to_dict("records")
    images = sum(row["support"] for row in rows)
    return [
        f"Accuracy {percent(scores['accuracy'])} ({_interval(scores['accuracy'], images)}), log loss "
        f"{scores['loss']:.4f} nats.{_over_seeds()}",
        table(
            ["class", "precision", "recall", "95 % interval of the recall", "F1", "images"],
            [
                [
                    row["class"],
                    percent(row["precision"], 1),
                    percent(row["recall"], 1),
                    _interval(row["recall"], row["support"]),
                    f"{row['f1']:.3f}",
                    row["support"],
                ]
                for row in rows
            ],
        ),
        "The intervals (Wilson's) consider the sample of test images, not the seeds of the training.",
    ]


def _over_seeds() -> str:
    """The accuracy over the measured seeds of the recipe, as a sentence."""
    lock = load_yaml(paths.DVC_LOCK)["stages"]
    accuracy = seeds.current(seeds.read(seeds.recipe(load_yaml(PARAMS))), seeds.origin(lock))["accuracy"]
    if len(accuracy) < 2:
        return ""
    return f" Over seeds, the recipe has an accuracy of {mean_and_sd(accuracy.mean(), accuracy.std(), len(accuracy))}."


def _calibration(scores: dict[str, float]) -> str:
    gap = 100 * (scores["confidence"] - scores["accuracy"])
    kind = "over-confident" if gap > 0 else "under-confident"
    return (
        f"The mean probability of the predicted class is {percent(scores['confidence'])}, the accuracy "
        f"{percent(scores['accuracy'])}: on average, the model is {kind} by {abs(gap):.1f} points."
    )


def _pairs() -> list[list[object]]:
    pairs = tables.read(paths.CONFUSED_PAIRS, tables.CONFUSED_PAIRS).head(CONFUSED_PAIRS)
    return [
        [row["actual"], row["predicted"], row["count"], percent(row["share"], 1)] for row in pairs.to_dict("records")
    ]


def _interval(share: float, images: int) -> str:
    """Wilson's 95 % interval of a share of images."""
    low, high = proportion_confint(round(share * images), images, method="wilson")
    return f"{percent(low, 1)} to {percent(high, 1)}"


if __name__ == "__main__":
    with cli.one_line_errors("project.model_card"):
        main()
