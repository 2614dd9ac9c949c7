"""Defines the fields of `model`: defaults, bounds and meaning, and their value in older runs.

They are also keyword arguments of the model's class, which refuses impossible combinations.
"""

from ntm_jax.config.field import Field

_NTM = ("ntm",)

MODEL = {
    "model.kind": Field(str, "Kind of model.", choices=("ntm", "lstm")),
    "model.controller": Field(
        str, "The NTM's controller.", choices=("feedforward", "lstm"), models=_NTM
    ),
    "model.controller_size": Field(
        100, "Units in each layer of the controller, or of the LSTM.", 1, 100_000
    ),
    "model.controller_layers": Field(
        1, "Layers of an LSTM (3 in the lstm model). A feed-forward controller has 1.", 1, 100
    ),
    "model.activation": Field(
        "tanh",
        "Activation of a feed-forward controller.",
        choices=("tanh", "sigmoid", "relu"),
        models=_NTM,
    ),
    "model.memory_size": Field(128, "Rows of memory (N).", 1, 1_000_000, models=_NTM),
    "model.word_size": Field(20, "Numbers in a row of memory (W).", 1, 100_000, models=_NTM),
    "model.read_heads": Field(1, "Read heads.", 1, 64, models=_NTM),
    "model.write_heads": Field(1, "Write heads.", 1, 64, models=_NTM),
    "model.shift_range": Field(1, "Most rows that a softmax shift moves.", 0, 64, models=_NTM),
    "model.key_activation": Field(
        "tanh", "Activation of keys (eq. 5).", choices=("identity", "tanh"), models=_NTM
    ),
    "model.strength_activation": Field(
        "softplus", "Activation of strengths (eq. 5).", choices=("softplus", "exp"), models=_NTM
    ),
    "model.shift_activation": Field(
        "softmax",
        "Activation of shifts (eq. 8).",
        choices=("softmax", "interpolated"),
        models=_NTM,
    ),
    "model.add_activation": Field(
        "tanh",
        "Activation of add vectors (eq. 4).",
        choices=("identity", "tanh", "sigmoid"),
        models=_NTM,
    ),
    "model.shared_weighting": Field(
        False, "Whether each read head shares a weighting with a write head.", models=_NTM
    ),
    "model.reads_from": Field(
        "written",
        "Whether heads read the memory after this step's write or the previous one.",
        choices=("written", "previous"),
        models=_NTM,
    ),
    "model.output_reads": Field(
        True, "Whether the output layer sees this step's reads.", models=_NTM
    ),
    "model.initial_memory": Field(
        "learned_row",
        "Memory before the first step. learned fixes the number of rows.",
        choices=("constant", "learned_row", "learned", "random"),
        models=_NTM,
    ),
    "model.initial_weighting": Field(
        "first_row",
        "Weightings before the first step. learned fixes the number of rows.",
        choices=("first_row", "learned", "random", "uniform"),
        models=_NTM,
    ),
    "model.initial_reads": Field(
        "learned",
        "Reads before the first step.",
        choices=("zeros", "learned", "memory"),
        models=_NTM,
    ),
    "model.gate_bias": Field(
        0.0, "First bias of the gates. Negative: heads begin by location.", -1e4, 1e4, models=_NTM
    ),
    "model.no_shift_bias": Field(
        0.0, "First bias of not shifting. Positive: heads begin by staying.", -1e4, 1e4, models=_NTM
    ),
    "model.sharpening_bias": Field(
        0.0, "First bias of sharpening. Positive: weightings begin sharper.", -1e4, 1e4, models=_NTM
    ),
    "model.cosine_epsilon": Field(
        float, "Added inside the root of the cosine similarity.", 0, 1, models=()
    ),
    "model.compute": Field(
        "float32",
        "Number format of the layers' products. Everything else stays float32.",
        choices=("float32", "bfloat16"),
        before="float32",
    ),
    "model.precision": Field(
        "highest",
        "Precision of matrix products on GPUs and TPUs. highest: float32. Below, GPUs use TF32.",
        choices=("highest", "high", "default"),
        before="highest",
    ),
    "model.engine": Field(
        "auto",
        "What computes a sequence. For GPUs: kernel, or step_kernel for large batches. auto: kernel where it is known to be faster, else scan.",
        choices=("auto", "scan", "kernel", "step_kernel"),
        may_change=True,
        before="auto",
        models=_NTM,
    ),
    "model.embedding_size": Field(
        0, "Numbers in a symbol's embedding. 0: no embedding.", 0, 100_000, models=()
    ),
    "model.dropout": Field(
        0.0, "Dropout rate around the core of an embedded model.", 0, 0.99, models=()
    ),
}
