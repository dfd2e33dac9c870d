"""What a part is. Every role has one file here, and so has what parts hand to each other."""

from ddcore.parts.architecture import (
    ARCHITECTURES,
    Architecture,
    Factory,
    OneOf,
    Redrawn,
    Usual,
    architecture_label,
    as_architecture,
    parse_architecture,
    rebuilt,
    require_buildable,
)
from ddcore.parts.augmentation import (
    AUGMENTATIONS,
    Augmentation,
    NoAugmentation,
    Unchanged,
    UsualAugmentation,
    View,
    restored_augmentation,
    viewed_at_once,
)
from ddcore.parts.batch import Batch, chunks, class_shares, concatenated, group_shares, shared_out, split_batch, taken
from ddcore.parts.context import Context
from ddcore.parts.coreset_rule import RULES, CoresetRule, Pool
from ddcore.parts.examples import Examples
from ddcore.parts.factorization import FACTORIZATIONS, NOISE, Factorization
from ddcore.parts.initial_weights import InitialWeights
from ddcore.parts.inputs import StandIn, are_connected, tensors_of
from ddcore.parts.ipc import Ipc, check_ipc, counts_within, largest_ipc, largest_size
from ddcore.parts.kernel import Kernel
from ddcore.parts.labels import LABELS, Feed, Labelling, Labels
from ddcore.parts.learner import LEARNERS, Learner, Predictor, Validate
from ddcore.parts.matching import Matching, MatchingState, Term, united
from ddcore.parts.method import Method
from ddcore.parts.modality import (
    MODALITIES,
    Card,
    Decoded,
    Export,
    Modality,
    add_modality,
    modality_named,
)
from ddcore.parts.network import FeaturesAndLogits, Network, find_head, plain_copy, weights_sha256
from ddcore.parts.network_source import NetworkSource, NoNetworks, SegmentSource
from ddcore.parts.networks import Networks, Segments
from ddcore.parts.normalisation import Identity, Normalisation, as_unit_float
from ddcore.parts.prediction import measured, scored
from ddcore.parts.real_signal import Counts, Features, Gradients, RealSignal
from ddcore.parts.recipe import LOSSES, Recipe, cross_entropy, squared_error
from ddcore.parts.run import Run
from ddcore.parts.sparse_rows import SparseRows, as_dense, as_sparse, inner_products, squared_norms
from ddcore.parts.spec import Spec
from ddcore.parts.steps import Steps, mixed_batches, step_batches
from ddcore.parts.suiting import (
    require_fitting,
    suited,
    suited_architecture,
    suited_augmentation,
    suited_factorization,
)
from ddcore.parts.target import (
    SPLITTING,
    Split,
    TargetData,
    content_split,
    example_digests,
    places_of_classes,
    split_in_two,
    stratified_split,
)
from ddcore.parts.task import Classification, Regression, Task, accuracy

__all__ = [
    "ARCHITECTURES",
    "AUGMENTATIONS",
    "FACTORIZATIONS",
    "LABELS",
    "LEARNERS",
    "LOSSES",
    "MODALITIES",
    "NOISE",
    "RULES",
    "SPLITTING",
    "Architecture",
    "Augmentation",
    "Batch",
    "Card",
    "Classification",
    "Context",
    "CoresetRule",
    "Counts",
    "Decoded",
    "Examples",
    "Export",
    "Factorization",
    "Factory",
    "Features",
    "FeaturesAndLogits",
    "Feed",
    "Gradients",
    "Identity",
    "InitialWeights",
    "Ipc",
    "Kernel",
    "Labelling",
    "Labels",
    "Learner",
    "Matching",
    "MatchingState",
    "Method",
    "Modality",
    "Network",
    "NetworkSource",
    "Networks",
    "NoAugmentation",
    "NoNetworks",
    "Normalisation",
    "OneOf",
    "Pool",
    "Predictor",
    "RealSignal",
    "Recipe",
    "Redrawn",
    "Regression",
    "Run",
    "SegmentSource",
    "Segments",
    "SparseRows",
    "Spec",
    "Split",
    "StandIn",
    "Steps",
    "TargetData",
    "Task",
    "Term",
    "Unchanged",
    "Usual",
    "UsualAugmentation",
    "Validate",
    "View",
    "accuracy",
    "add_modality",
    "architecture_label",
    "are_connected",
    "as_architecture",
    "as_dense",
    "as_sparse",
    "as_unit_float",
    "check_ipc",
    "chunks",
    "class_shares",
    "concatenated",
    "content_split",
    "counts_within",
    "cross_entropy",
    "example_digests",
    "find_head",
    "group_shares",
    "inner_products",
    "largest_ipc",
    "largest_size",
    "measured",
    "mixed_batches",
    "modality_named",
    "parse_architecture",
    "places_of_classes",
    "plain_copy",
    "rebuilt",
    "require_buildable",
    "require_fitting",
    "restored_augmentation",
    "scored",
    "shared_out",
    "split_batch",
    "split_in_two",
    "squared_error",
    "squared_norms",
    "step_batches",
    "stratified_split",
    "suited",
    "suited_architecture",
    "suited_augmentation",
    "suited_factorization",
    "taken",
    "tensors_of",
    "united",
    "viewed_at_once",
    "weights_sha256",
]
