"""The path of every file that is read or written outside of the stages, relative to the top folder.

The stages do not use it: dvc.yaml gives them their paths on the command line.
"""

from pathlib import Path

DVC_YAML = Path("dvc.yaml")
DVC_LOCK = Path("dvc.lock")
EXPERIMENTS = Path("experiments.yaml")

# Outputs of the stages
RAW = Path("data/raw")
PREPARED = Path("data/prepared")
TRAINING_SPLIT = PREPARED / "train"
VALIDATION_SPLIT = PREPARED / "validation"
TEST_SPLIT = PREPARED / "test"
MODEL = Path("models/model.keras")
CHECKPOINT = Path("models/.model.keras.checkpoint")
TRAINED_HISTORY = Path("models/history.csv")
TRAINING_SUMMARY = Path("metrics/train.json")
SCORES = Path("metrics/evaluate.json")
PREDICTIONS = Path("metrics/predictions.csv")
CORRECT = Path("metrics/correct.csv")
PER_CLASS = Path("metrics/per_class.csv")
CONFUSED_PAIRS = Path("metrics/confused_pairs.csv")
ARITHMETIC = Path("metrics/arithmetic.csv")
HISTORY = Path("plots/history.csv")
MISTAKES = Path("plots/mistakes.npy")

# What the experiments write
SEEDS = Path("metrics/seeds")
SEARCH = Path("metrics/search.csv")
EXPERIMENTS_TABLE = Path("metrics/experiments.csv")
EXPERIMENTS_PAGE = Path("docs/experiments.md")
EXPERIMENTS_FIGURE = Path("docs/experiments.png")

MODEL_CARD = Path("docs/model-card.md")

# The page that dvc plots fills in
PLOTS_PAGE = Path(".dvc/plots.html")

# What git ignores: a review by default, the curves of a training in progress, predictions by default, a user's dataset
REPORT = Path("report")
LIVE_CURVES = Path("curves.png")
PREDICTED = Path("predictions")
OWN_DATASET = Path("data/own")
