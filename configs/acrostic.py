"""Acrostics: verse of the Tang around given characters."""

from ml_collections import ConfigDict

from configs import base


def get_config(model: str = "ntm-ff") -> ConfigDict:
    """The config for one of base.MODELS."""
    config = base.get_config(model)
    config.task.update({"name": "acrostic", "part": "train", "form": ""})
    config.task.update({"extra_keywords_percent": 60, "concatenated_percent": 0})
    config.task.update({"irregular_weight": 1, "shifted_linefeeds_percent": 0})
    config.task.update({"message_like_percent": 0})
    config.task.update({"shortest": 1, "longest": 256})
    config.task.update({"vocabulary": 3000, "corpus": "runs/corpus/quantangshi.npz"})
    config.model.update({"embedding_size": 256, "dropout": 0.15})
    config.optimizer.update({"name": "adamw", "learning_rate": 2e-3, "warmup": 200})
    config.optimizer.arguments = "weight_decay=0.01"
    config.optimizer.clip_limit = 50.0  # nats a poem: a few times the usual
    # Short poems first: how to find what was shown is learned there, at a fraction of the steps.
    config.curriculum.update({"name": "growing", "updates": 1500})
    config.train.update({"updates": 12000, "batch_size": 32, "log_every": 50})
    config.train.checkpoint_every = 200
    config.evaluate.episodes = 3000  # all that are held out
    config.evaluate.part = "test"  # validation, while something is tuned
    if model == "lstm":
        # As many parameters as the NTM, and a few more.
        config.model.update({"controller_layers": 2, "controller_size": 288})
        return config
    config.model.update({"controller_size": 384, "memory_size": 128, "word_size": 32})
    config.model.update({"read_heads": 2, "write_heads": 1})
    config.model.update({"gate_bias": -2.0, "sharpening_bias": 1.0})
    config.optimizer.state_gradient_limit = 1.0
    # With few rows at first, it moves on for what is shown rather than for every symbol.
    config.curriculum.rows = 0.55
    # Then more of the longest, and writes in the answer, that harm them, cost something.
    config.task.concatenated_percent = 40
    config.curriculum.late = 4000
    config.train.write_penalty = 0.1
    # At last, at a higher rate again, more of what is rare: lines of other widths, whose linefeeds are
    # hard to tell, and keywords as messages have them.
    config.task.update({"irregular_weight": 3, "shifted_linefeeds_percent": 30})
    config.task.update({"message_like_percent": 70})
    config.curriculum.last = config.train.first_updates = 12000
    config.train.updates = 24000
    return config
