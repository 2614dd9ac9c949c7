"""Acrostics: Tang poems that contain given characters."""

from ml_collections import ConfigDict

from ntm_jax.config import base


def get_config(model: str = "ntm-ff") -> ConfigDict:
    """Returns the config for one of base.MODELS."""
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
    config.optimizer.clip_limit = (
        50.0  # of the norm of a poem's gradient in nats: a few times the usual
    )
    # Short poems come first. Finding the keywords is learned there in a fraction of the steps.
    config.curriculum.update({"name": "growing", "updates": 1500})
    config.train.update({"updates": 12000, "batch_size": 32, "log_every": 50})
    config.train.checkpoint_every = 200
    config.evaluate.episodes = 3000  # all held-out poems
    config.evaluate.part = "test"  # use validation for tuning
    if model == "lstm":
        # Slightly more parameters than the NTM.
        config.model.update({"controller_layers": 2, "controller_size": 288})
        return config
    config.model.update({"controller_size": 384, "memory_size": 128, "word_size": 32})
    config.model.update({"read_heads": 2, "write_heads": 1})
    config.model.update({"gate_bias": -2.0, "sharpening_bias": 1.0})
    config.optimizer.state_gradient_limit = 1.0
    # Writing during the answer harms long poems, so it is penalized.
    config.train.write_penalty = 0.1
    config.train.updates = 24000
    config.curriculum.stages = [
        # With few rows at first, the write head learns to advance at keywords only.
        {"start": 0, "memory_rows_per_step": 0.55},
        # Then come more long poems.
        {"start": 4000, "task": {"concatenated_percent": 40}},
        # The last stage restarts the learning rate and draws more rare poems: lines of other widths, whose
        # linefeeds are hard to predict, and keywords placed as in messages.
        {
            "start": 12000,
            "task": {
                "irregular_weight": 3,
                "shifted_linefeeds_percent": 30,
                "message_like_percent": 70,
            },
            "restart_schedule": True,
        },
    ]
    return config
